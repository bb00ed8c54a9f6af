"""The flow of a cohort as a table."""

import pyarrow as pa

from histo_ray.cohort.join import Cohort
from histo_ray.schema import arrow_schema, column_names


def tabulate_cohort(cohort: Cohort) -> pa.Table:
    """All patients, used or not, as a table of `schemas/outcome_cohort.json`."""
    names = column_names("outcome_cohort")
    columns = {name: [getattr(row, name) for row in cohort.rows] for name in names}
    return pa.table(columns, arrow_schema("outcome_cohort"))
