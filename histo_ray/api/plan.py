"""`hr.plan`: what an extraction would read, write and take."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from histo_ray.api.extract import read_extract_settings
from histo_ray.api.keywords import ExtractSettings
from histo_ray.config import ExtractConfig
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.extract.dry_run import MakePlanner, Pictures, PlanListener, run_plan, survey_slides
from histo_ray.extract.plan_summary import PlanRow, PlanSummary
from histo_ray.report.slides.slide_picture import draw_or_problem
from histo_ray.text import count_of

if TYPE_CHECKING:
    import pandas as pd

_plan_on_ray: MakePlanner = deferred("histo_ray.cluster.plan_on_ray:PlanOnRay")


@dataclass(frozen=True, repr=False)
class ExtractionPlan:
    """Plan of an extraction, its rows as a DataFrame."""

    summary: PlanSummary

    def __repr__(self) -> str:
        """Describe the plan in a few words; `slides` has a row a slide."""
        counts = Counter(row.status.value for row in self.summary.rows)
        parts = [f"{count:,} {status}" for status, count in counts.items()] or ["no slides"]
        if self.tiles is not None:
            parts.append(count_of(self.tiles, "tile"))
        if self.seconds is not None:
            parts.append(f"about {self.seconds:,.0f} s")
        return f"<ExtractionPlan {', '.join(parts)}>"

    @property
    def slides(self) -> "pd.DataFrame":
        """Table of one row a slide: slide_id, status, reason, n_tiles, width, height, mpp, ..."""
        import pandas as pd  # half of what the command would import before its work

        columns = list(PlanRow.__dataclass_fields__)
        if not any(row.tiling for row in self.summary.rows):
            columns = [name for name in columns if name not in ("tiling", "tiles_of")]
        rows = [asdict(row) | {"status": row.status.value} for row in self.summary.rows]
        return pd.DataFrame(rows, columns=columns)

    @property
    def tiles(self) -> int | None:
        """Tiles to be read; None where slides were not opened."""
        return self.summary.tiles

    @property
    def source_tiles_saved(self) -> int | None:
        """Tiles of files that are decoded once for several tilings, about; None with one."""
        return self.summary.source_tiles_saved

    @property
    def bytes(self) -> int | None:
        """Bytes to be written; None where slides, or encoders of unknown dim, were not opened."""
        return self.summary.bytes

    @property
    def seconds(self) -> float | None:
        """Estimated time, as `seconds_from` says; None without tiles, or without an estimate."""
        return self.summary.seconds

    @property
    def seconds_from(self) -> str:
        """What `seconds` is from.

        `batch`: one that was read and encoded here; else the name of a run of the store whose speed
        was taken; empty: there is no estimate.
        """
        return self.summary.seconds_from


def plan(
    manifest: str | Path | ExtractConfig,
    store: str | Path | None = None,
    *,
    pictures: str | Path | None = None,
    open_slides: bool = True,
    measure: bool | None = None,
    listener: PlanListener | None = None,
    **settings: Unpack[ExtractSettings],
) -> ExtractionPlan:
    """Plan an extraction, and write nothing to the store.

    Args:
        manifest: CSV or Parquet of the slides, or a config object that holds all settings.
        store: Folder or URI of the store; it need not be there.
        pictures: Folder for one PNG a slide: overview, tissue outline, tiles.
        open_slides: Whether slides are opened; without it only the manifest is compared with the
            store.
        measure: Whether the encoders are loaded, and one batch is read and encoded, for the
            estimate of time. Left out, that is done from 1,000 vectors on, and not where the store
            has a run like this one, whose speed is taken.
        listener: Called while it works.
        **settings: As of `hr.extract`.

    Returns:
        One row a slide, sums, and where that is worth its while an estimate of time.

    Raises:
        ConfigError: The settings, the manifest or an encoder cannot be used.

    Examples:
        >>> import histo_ray as hr
        >>> plan = hr.plan(
        ...     slides, store, encoder="random:resnet10t?seed=0", mpp=0.5, open_slides=False
        ... )
        >>> plan.slides[["slide_id", "status"]].values.tolist()
        [['S1', 'todo']]
    """
    config = read_extract_settings("hr.plan", manifest, store, settings)
    if not open_slides:
        if pictures is not None:
            raise ConfigError(
                "hr.plan: slides are drawn once opened; leave out pictures, or open_slides=False"
            )
        if measure:
            raise ConfigError(
                "hr.plan: a batch is measured of slides that are opened; leave out measure, or "
                "open_slides=False"
            )
        return ExtractionPlan(survey_slides(config))
    drawn = None if pictures is None else Pictures(Path(pictures), draw_or_problem)
    return ExtractionPlan(run_plan(config, _plan_on_ray, drawn, listener, measure))
