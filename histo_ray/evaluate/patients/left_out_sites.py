"""Sites that were left out one after another: their table, and what a record says of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.evaluate.patients.confounder_record import LeftOutSite
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.learn.targets.site_scores import tabulate_left_out_sites

TABLE = "left_out_sites"
"""Name of the table in a run's folder."""


def tabulate_sites(
    plan: PatientPlan, predictions: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, pa.Table]:
    """Tabulate the sites of a run that leaves out one after another; empty for another run.

    Args:
        plan: Of the run.
        predictions: (1, P, T) out-of-fold predictions by encoder.
    """
    if plan.config.leave_out != "site":
        return {}
    sites = sorted(set(plan.patients.groups))
    return {TABLE: tabulate_left_out_sites(plan.truth, predictions, sites)}


def summarise_sites(table: pa.Table | None) -> tuple[LeftOutSite, ...]:
    """Summarise each site over targets.

    Args:
        table: Rows of `outcome_left_out_sites`; None: the run leaves out none.
    """
    if table is None:
        return ()
    by_site: dict[str, list[dict[str, object]]] = {}
    for row in table.to_pylist():
        by_site.setdefault(row["site"], []).append(row)
    return tuple(_summarise(site, rows) for site, rows in by_site.items())


def _summarise(site: str, rows: Sequence[Mapping[str, object]]) -> LeftOutSite:
    scores: dict[str, list[float]] = {}
    for row in rows:
        score = row["score"]
        own = scores.setdefault(str(row["encoder"]), [])
        if isinstance(score, float) and score == score:
            own.append(score)
    counts = [row["n_patients"] for row in rows]
    return LeftOutSite(
        site=site,
        patients=max(count for count in counts if isinstance(count, int)),
        scored=max(map(len, scores.values())),
        mean_scores={name: float(np.mean(some)) if some else None for name, some in scores.items()},
    )
