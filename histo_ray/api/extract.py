"""`hr.extract`: slides into a feature store."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from histo_ray.api.keywords import ExtractSettings, make_settings
from histo_ray.api.pipelines import choose_pipeline
from histo_ray.config import ExtractConfig
from histo_ray.errors import ConfigError
from histo_ray.extract.pipeline import Report
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.run import run_extract
from histo_ray.schema import column_names
from histo_ray.store.extraction_record import RunRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class ExtractionResult:
    """Result of an extraction."""

    store: str
    """Folder or URI of the store."""
    summary: RunSummary
    """All that is known of the run."""

    def __repr__(self) -> str:
        """Describe the run in a few words; `outcomes` and `record` have all of it."""
        told = ", ".join(f"{count:,} {word}" for word, count in self.summary.outcomes.items())
        return (
            f"<ExtractionResult {self.run_id}; {self.record.state.value}; "
            f"{told or 'no slides'}; store {self.store}>"
        )

    @property
    def run_id(self) -> str:
        """Name of the run; its table is `runs/<run_id>.parquet` in the store."""
        return self.summary.run_id

    @property
    def record(self) -> RunRecord:
        """State, speed and settings of the run, as `histo-ray runs` shows them."""
        return self.summary.record

    @property
    def outcomes(self) -> "pd.DataFrame":
        """Table of one row a slide and encoder: slide_id, encoder, outcome, reason, n_tiles, ...

        With several tilings in one run, `tiling` says which a row is of.
        """
        import pandas as pd  # half of what the command would import before its work

        several = any(row.tiling for row in self.summary.rows)
        columns = column_names("runs", ("tiling",) if several else ())
        rows = [asdict(row) | {"outcome": row.outcome.value} for row in self.summary.rows]
        return pd.DataFrame(rows, columns=columns)


def extract(
    manifest: str | Path | ExtractConfig,
    store: str | Path | None = None,
    *,
    report: Report = lambda counts: None,
    notify: Callable[[str], None] = lambda text: None,
    **settings: Unpack[ExtractSettings],
) -> ExtractionResult:
    """Bring every slide of a manifest, with every encoder, into a feature store.

    What the store has is skipped, so the same call again finishes what is missing. A slide that
    cannot be used is an outcome with its reason, not an error. Ctrl-C ends the run; what is done
    stays done, and `record.state` is `interrupted`.

    Args:
        manifest: CSV or Parquet of the slides (`slide_id`, `path`, ...), or a config object that
            holds all settings.
        store: Folder or URI of the store; it is made if it is not there.
        report: Called about once a second with how far the run is.
        notify: Called with lines on the manifest.
        **settings: As the flags of `histo-ray extract`, with underscores: `encoder`, `mpp`,
            `tile_px`, ... `address` is "none" unless it is given: all work is done in this process.
            "local" starts Ray on this machine, "auto" or "ray://host:port" join a cluster.

    Returns:
        The outcomes as a DataFrame, the run's name and its record.

    Raises:
        ConfigError: The settings, the manifest or an encoder cannot be used.
        StoreError: The store cannot be used.

    Examples:
        >>> import histo_ray as hr
        >>> run = hr.extract(
        ...     slides, store, encoder="random:resnet10t?seed=0&px=64", tile_px=64, mpp=0.5
        ... )
        >>> run.outcomes[["slide_id", "outcome"]].values.tolist()
        [['S1', 'done']]
        >>> run.record.state.value
        'finished'
        >>> again = hr.extract(
        ...     slides, store, encoder="random:resnet10t?seed=0&px=64", tile_px=64, mpp=0.5
        ... )
        >>> again.outcomes.outcome.tolist()
        ['skipped']
    """
    config = read_extract_settings("hr.extract", manifest, store, settings)
    pipeline = choose_pipeline(config, notify)
    return ExtractionResult(config.store, run_extract(config, pipeline, report, notify))


def read_extract_settings(
    origin: str,
    manifest: str | Path | ExtractConfig,
    store: str | Path | None,
    settings: ExtractSettings,
) -> ExtractConfig:
    """Make a config of keywords, or take the one that was given in their place.

    Raises:
        ConfigError: Both, or keywords that cannot be used.
    """
    if not isinstance(manifest, ExtractConfig):
        given = {} if store is None else {"store": store}
        return make_settings(ExtractConfig, {"manifest": manifest, **given, **settings}, origin)
    if store is not None or settings:
        raise ConfigError(
            f"{origin}: a config object holds all settings; change it with "
            "config.model_copy(update={...}) in place of further arguments"
        )
    return manifest
