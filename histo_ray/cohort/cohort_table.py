"""Write a cohort as a table: who is evaluated, and why others are not."""

import pyarrow as pa

from histo_ray.cohort.join import Cohort
from histo_ray.schema import arrow_schema, column_names


def tabulate_cohort(cohort: Cohort) -> pa.Table:
    """Tabulate all patients, used or not, as `schemas/outcome_cohort.json` describes."""
    names = column_names("outcome_cohort")
    columns = {name: [getattr(row, name) for row in cohort.rows] for name in names}
    return pa.table(columns, arrow_schema("outcome_cohort"))
