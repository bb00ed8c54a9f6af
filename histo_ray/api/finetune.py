"""`hr.finetune`: labelled tiles to a new encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from histo_ray.api.keywords import FinetuneSettings, make_settings
from histo_ray.config import NO_RAY, works_here
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.storage.shipped import check_shipped

if TYPE_CHECKING:
    from histo_ray.finetune.finetune_run import FinetuneResult
    from histo_ray.finetune.job import ReportProgress

_finetune_here = deferred("histo_ray.finetune.finetune_run:finetune")
_finetune_on_ray = deferred("histo_ray.cluster.run_finetune:run_finetune")


def finetune(
    tiles: str | Path | FinetuneConfig,
    store: str | Path | None = None,
    *,
    report: "ReportProgress" = lambda progress: None,
    notify: Callable[[str], None] = lambda text: None,
    **settings: Unpack[FinetuneSettings],
) -> "FinetuneResult":
    """Fine-tune an encoder on labelled tiles and publish it into a store under a new name.

    An interrupted run goes on from its checkpoint; a published one is returned as it is.

    Args:
        tiles: Folder with one folder a class, or a CSV or Parquet with `path`, `label` and
            optionally `group`; or a config object that holds all settings.
        store: Folder or URI of the store.
        report: Called after each batch.
        notify: Called with a line on what begins.
        **settings: As the flags of `histo-ray finetune`, with underscores; `encoder` (the base)
            and `name` are needed. `address` is "none" unless it is given; `workers` above 1 need
            Ray: "local", "auto" or "ray://host:port".

    Returns:
        The new encoder's card, and whether it had been published before.

    Raises:
        ConfigError: Settings, tiles, base or name cannot be used.
        StoreError: The store is none.

    Examples:
        >>> import histo_ray as hr
        >>> new = hr.finetune(
        ...     tiles, store, encoder="random:resnet10t?seed=0&px=32", name="ft", device="cpu",
        ...     set=["network.epochs=1", "held_out=0"],
        ... )
        >>> new.card.name
        'ft'
    """
    config = _read_settings(tiles, store, settings)
    alone = config.workers == 1 and works_here(config.address)
    if not alone and config.address == NO_RAY:
        raise ConfigError(
            f"workers = {config.workers}: several workers need Ray; give an address, as local"
        )
    check_shipped(config)
    work = _finetune_here if alone else _finetune_on_ray
    result: FinetuneResult = work(config, report, notify)
    return result


def _read_settings(
    tiles: str | Path | FinetuneConfig, store: str | Path | None, settings: FinetuneSettings
) -> FinetuneConfig:
    if not isinstance(tiles, FinetuneConfig):
        given = {} if store is None else {"store": store}
        return make_settings(FinetuneConfig, {"tiles": tiles, **given, **settings}, "hr.finetune")
    if store is not None or settings:
        raise ConfigError(
            "hr.finetune: a config object holds all settings; change it with "
            "config.model_copy(update={...}) in place of further arguments"
        )
    return tiles
