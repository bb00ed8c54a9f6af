"""Caveats of an evaluation on labelled tiles."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.encoders.requested import resolve_encoders
from histo_ray.evaluate.caveats import Caveat, CaveatCode, CaveatValue, caveat
from histo_ray.evaluate.evaluation_record import TissueRecord
from histo_ray.evaluate.leaks import find_tile_leaks, open_tuned, refuse_leaks
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.evaluate.tiles.tile_groups import TileGroups
from histo_ray.evaluate.tiles.tile_units import CV, RANDOM, TEST
from histo_ray.learn.statistics import FEWEST_UNITS
from histo_ray.learn.targets.fold_support import FEW_GROUPS
from histo_ray.learn.tiles.tissue_tests import TileSupport
from histo_ray.store.location import location_of
from histo_ray.tilesets.tile_traits import TileTraits, shrink_tiles
from histo_ray.tilesets.tileset import TileSet

TELLING = 0.75
"""AUROC from which colour is said to tell test from training tiles."""
NEAR_COLOUR = 0.05
"""An encoder's accuracy above colour alone, below which its lead is called small."""


def find_tile_caveats(
    config: TissueConfig, sets: Sequence[TileSet], support: TileSupport, groups: TileGroups
) -> Iterator[Caveat]:
    """Find the caveats that are known before any head is trained.

    Args:
        config: Names the encoders.
        sets: Tiles that are cross-validated, then those of the external test set.
        support: Of tests over folds.
        groups: Of the tiles that are cross-validated.
    """
    yield from find_synthetic_sets(sets)
    if groups.too_few:
        yield caveat(CaveatCode.INFERRED_TOO_FEW, groups=groups.too_few, folds=config.folds)
    if groups.names is None:
        yield caveat(CaveatCode.NO_GROUPS)
    else:
        yield from find_group_caveats(support, inferred=groups.inferred is not None)


def find_score_caveats(record: TissueRecord) -> Iterator[Caveat]:
    """Find what scores by other folds and by colour alone say of the scores.

    Args:
        record: Of the run, with its scores.
    """
    grouped, random = (record.summary.get(split, {}) for split in (CV, RANDOM))
    encoders = [name for name in grouped if name != record.baseline]
    best = max(encoders, key=lambda name: grouped[name].accuracy)
    if random:
        yield caveat(
            CaveatCode.GROUPS_INFERRED,
            groups=record.groups.groups,
            near_duplicates=record.groups.near_duplicates,
            encoder=best,
            random=random[best].accuracy,
            grouped=grouped[best].accuracy,
        )
    if record.baseline:
        colour = grouped[record.baseline].accuracy
        if grouped[best].accuracy - colour < NEAR_COLOUR:
            yield caveat(
                CaveatCode.COLOUR_ALONE,
                colour=colour,
                encoder=best,
                score=grouped[best].accuracy,
            )
    outside = [value for value in record.colour_auroc.get(TEST, {}).values() if value is not None]
    if outside and max(outside) >= TELLING:
        by_folds = record.colour_auroc.get(RANDOM) or record.colour_auroc.get(CV, {})
        inside = [value for value in by_folds.values() if value is not None]
        yield caveat(
            CaveatCode.COLOUR_TELLS_TEST,
            low=min(outside),
            high=max(outside),
            folds=sum(inside) / len(inside) if inside else None,
        )


def find_group_caveats(support: TileSupport, *, inferred: bool) -> Iterator[Caveat]:
    """Find the caveats of tests that rest on few groups, known or inferred ones."""
    kind: dict[str, CaveatValue] = {"inferred": True} if inferred else {}
    count, rarest = support.units, min(support.units_of_classes)
    if count < FEWEST_UNITS:
        yield caveat(CaveatCode.TOO_FEW_GROUPS, groups=count, needed=FEWEST_UNITS, **kind)
        return
    if rarest < FEWEST_UNITS:
        yield caveat(CaveatCode.CLASS_TOO_FEW_GROUPS, groups=rarest, needed=FEWEST_UNITS, **kind)
    if count < FEW_GROUPS:
        yield caveat(CaveatCode.FEW_GROUPS, groups=count, enough=FEW_GROUPS, **kind)


def find_synthetic_sets(sets: Sequence[TileSet]) -> Iterator[Caveat]:
    """Find the tile sets whose own tables mark their tiles as synthetic."""
    for tiles in sets:
        if tiles.synthetic:
            yield caveat(CaveatCode.SYNTHETIC_TILES, tiles=tiles.name)


def find_trained_on(
    config: TissueConfig,
    sets: Sequence[TileSet],
    thumbs: Mapping[str, npt.NDArray[np.uint8]] | None = None,
) -> Iterator[Caveat]:
    """Find the encoders that were fine-tuned on tiles or patients that they are evaluated on.

    Args:
        config: Names the encoders.
        sets: Tiles that are evaluated.
        thumbs: (N, 64, 64) grey pictures of each set, by its name; None: read from its files.
    """
    tuned = [
        open_tuned(location_of(spec.published), spec.name, spec.published_name)
        for spec in resolve_encoders(config)
        if spec.published is not None and spec.published_name is not None
    ]
    found = [encoder for encoder in tuned if encoder is not None]
    if found and thumbs is None:
        thumbs = {tiles.name: shrink_tiles(tiles, range(len(tiles))) for tiles in sets}
    yield from find_tile_leaks(found, sets, thumbs or {})


def check_leaks(
    config: TissueConfig, sets: Mapping[str, TileSet], traits: Mapping[str, TileTraits]
) -> list[Caveat]:
    """Find what encoders were fine-tuned on; refuse it in the set whose scores are to be believed.

    That is the external one where it is given: the tiles that heads are trained on may then be
    those of fine-tuning, and a caveat says that cross-validation flatters.

    Args:
        config: Names the encoders, and allows leaks.
        sets: By split.
        traits: Of their tiles.

    Raises:
        ConfigError: There are some, and they are not allowed.
    """
    found = {
        split: list(find_trained_on(config, [tiles], {tiles.name: traits[split].thumbs}))
        for split, tiles in sets.items()
    }
    refuse_leaks(found[TEST] if TEST in found else found[CV], config.allow_leak)
    leaks = [one for some in found.values() for one in some]
    return [one for at, one in enumerate(leaks) if one not in leaks[:at]]
