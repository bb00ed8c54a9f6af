"""What a record repeats of the tables that reviewers ask for, and their caveats. Pure."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.patients.review_record import (
    CalibrationRecord,
    GroupRecord,
    GroupsRecord,
    ReviewRecord,
    SiteMeanRecord,
    SiteRecord,
)
from histo_ray.evaluate.patients.review_tables import (
    CALIBRATION,
    SITE_MEANS,
    SITE_PREDICTION,
    SUBGROUPS,
)

WELL_TOLD = 0.8
"""Mean AUROC from which on a site counts as well told, if the interval is above a guess, too."""

Row = Mapping[str, Any]


def summarise_reviews(tables: Mapping[str, pa.Table]) -> ReviewRecord:
    """Summarise the tables of a run, as far as it has them.

    Args:
        tables: By name.
    """
    rows = {name: _take_means(table).to_pylist() for name, table in tables.items() if name in _READ}
    return ReviewRecord(
        groups=tuple(_summarise_groups(rows.get(SUBGROUPS, []))),
        sites=_summarise_sites(rows.get(SITE_PREDICTION, [])),
        site_means=_find_best(rows.get(SITE_MEANS, [])),
        calibration=_summarise_calibration(rows.get(CALIBRATION, [])),
    )


def find_site_told(record: ReviewRecord, kept_together: str) -> Iterator[Caveat]:
    """Find encoders that tell the site well, where folds do not keep sites together.

    Args:
        record: Of the run.
        kept_together: What no two folds share.
    """
    if kept_together == "site":
        return
    told = tuple(
        f"{encoder} at AUROC {found.auroc:.3f}"
        for encoder, found in record.sites.items()
        if found.auroc is not None
        and found.auroc >= WELL_TOLD
        and (found.low is None or found.low > 0.5)
    )
    if told:
        yield caveat(CaveatCode.SITE_TOLD, encoders=told)


def _take_means(table: pa.Table) -> pa.Table:
    """Take the means over targets where a table has them: there may be 20,000 targets beside."""
    means = pc.equal(table["target"], "") if "target" in table.column_names else None
    return table if means is None or not pc.any(means).as_py() else table.filter(means)


_READ = (SUBGROUPS, SITE_PREDICTION, SITE_MEANS, CALIBRATION)


def _summarise_groups(rows: list[Row]) -> Iterator[GroupsRecord]:
    for (column, encoder), some in groupby(rows, lambda row: (row["column"], row["encoder"])):
        own = list(some)
        several = any(row["target"] == "" for row in own)
        main = [row for row in own if not several or row["target"] == ""]
        scored = sorted((r for r in main if r["score"] == r["score"]), key=lambda r: r["score"])
        most = max((row["n_targets"] for row in scored), default=0)
        alike = [row for row in scored if row["n_targets"] == most]  # means of the same targets
        ends = [
            GroupRecord(group=r["group"], n_patients=r["n_patients"], score=r["score"])
            for r in alike
        ]
        yield GroupsRecord(
            column=column,
            encoder=encoder,
            groups=len(main),
            scored=len(scored),
            compared=len(alike) if len(alike) < len(scored) else None,
            lowest=ends[0] if ends else None,
            highest=ends[-1] if ends else None,
        )


def _summarise_sites(rows: list[Row]) -> dict[str, SiteRecord]:
    found = {}
    for encoder, some in groupby(rows, lambda row: row["encoder"]):
        own = list(some)
        overall = {row["metric"]: row for row in own if row["site"] == ""}
        area, accuracy = overall["auroc"], overall["balanced_accuracy"]
        found[encoder] = SiteRecord(
            sites=len({row["site"] for row in own}) - 1,
            patients=area["n_patients"],
            auroc=area["score"],
            low=area["low"],
            high=area["high"],
            balanced_accuracy=accuracy["score"],
            chance=accuracy["chance"],
        )
    return found


def _find_best(rows: list[Row]) -> SiteMeanRecord | None:
    known = [row for row in rows if row["score"] == row["score"]]
    if not known:
        return None
    best = max(known, key=lambda row: row["score"])
    return SiteMeanRecord(**{name: best[name] for name in ("target", "score", "low", "high")})


def _summarise_calibration(rows: list[Row]) -> dict[str, CalibrationRecord]:
    found = {}
    for encoder in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == encoder]
        medians = {
            name: _median([row["score"] for row in own if row["metric"] == name])
            for name in ("calibration_slope", "brier_skill")
        }
        found[encoder] = CalibrationRecord(
            slope=medians["calibration_slope"], brier_skill=medians["brier_skill"]
        )
    return found


def _median(values: list[float]) -> float | None:
    known = [value for value in values if value == value]
    return median(known) if known else None
