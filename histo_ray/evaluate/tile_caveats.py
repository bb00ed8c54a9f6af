"""Caveats of an evaluation on labelled tiles."""

from collections.abc import Iterator, Sequence

from histo_ray.encoders.published import read_card
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.learn.fold_support import FEW_GROUPS
from histo_ray.learn.statistics import FEWEST_UNITS
from histo_ray.learn.tissue_tests import TileSupport
from histo_ray.tilesets.tileset import TileSet


def find_tile_caveats(
    config: TissueConfig, sets: Sequence[TileSet], support: TileSupport
) -> Iterator[Caveat]:
    """Find the caveats that are known before any head is trained.

    Args:
        config: Names the encoders.
        sets: Tiles that are cross-validated, then those of the external test set.
        support: Of tests over folds.
    """
    yield from find_synthetic_sets(sets)
    yield from find_trained_on(config, sets)
    if sets[0].groups is None:
        yield caveat(CaveatCode.NO_GROUPS)
    else:
        yield from find_group_caveats(support)


def find_group_caveats(support: TileSupport) -> Iterator[Caveat]:
    """Find the caveats of tests that rest on few groups."""
    count, rarest = support.units, min(support.units_of_classes)
    if count < FEWEST_UNITS:
        yield caveat(CaveatCode.TOO_FEW_GROUPS, groups=count, needed=FEWEST_UNITS)
        return
    if rarest < FEWEST_UNITS:
        yield caveat(CaveatCode.CLASS_TOO_FEW_GROUPS, groups=rarest, needed=FEWEST_UNITS)
    if count < FEW_GROUPS:
        yield caveat(CaveatCode.FEW_GROUPS, groups=count, enough=FEW_GROUPS)


def find_synthetic_sets(sets: Sequence[TileSet]) -> Iterator[Caveat]:
    """Find the tile sets whose own tables mark their tiles as synthetic."""
    for tiles in sets:
        if tiles.synthetic:
            yield caveat(CaveatCode.SYNTHETIC_TILES, tiles=tiles.name)


def find_trained_on(config: TissueConfig, sets: Sequence[TileSet]) -> Iterator[Caveat]:
    """Find the encoders that were fine-tuned on the very tiles that they are evaluated on."""
    for spec in resolve_encoders(config):
        if spec.published is None or spec.published_name is None:
            continue
        card = read_card(spec.published, spec.published_name)
        for tiles in sets:
            if card is not None and card.data.digest == tiles.digest:
                yield caveat(CaveatCode.TRAINED_ON_TILES, encoder=spec.name, tiles=tiles.name)
