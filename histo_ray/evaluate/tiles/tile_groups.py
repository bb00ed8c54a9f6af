"""What keeps labelled tiles together in folds: patients, a column, or groups that are inferred."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from histo_ray.cohort.fold_table import parse_folds, read_fold_file
from histo_ray.cohort.folds import Folds, draw_folds
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.tissue import AUTO, INFERRED, NO_GROUPS, TissueConfig
from histo_ray.evaluate.tiles.groups_record import GroupsRecord
from histo_ray.evaluate.tiles.tile_units import CV, TEST
from histo_ray.tilesets.colour_clusters import FEWEST_CLUSTERS
from histo_ray.tilesets.group_column import read_group_column
from histo_ray.tilesets.infer_groups import InferredGroups, describe_settings, group_tiles
from histo_ray.tilesets.tile_traits import TileTraits
from histo_ray.tilesets.tileset import TileSet


class GroupSource(StrEnum):
    """Where groups of tiles come from."""

    GIVEN = "given"
    """The column `group` of the table of tiles."""
    COLUMN = "column"
    """Another column of it, which was asked for."""
    INFERRED = "inferred"
    NONE = "none"


@dataclass(frozen=True)
class TileGroups:
    """Groups of the tiles of one set."""

    source: GroupSource
    names: tuple[str, ...] | None = None
    """(N,) group of each tile."""
    column: str = ""
    inferred: InferredGroups | None = None
    too_few: int = 0
    """Inferred groups of the class that has the fewest, where they could not fill the folds."""

    def record(self) -> GroupsRecord:
        """Record what is known of them."""
        found = self.inferred
        return GroupsRecord(
            source=self.source.value,
            column=self.column,
            groups=len(set(self.names or ())),
            sha256=hashlib.sha256("\n".join(self.names or ()).encode()).hexdigest(),
            near_duplicates=0 if found is None else len(found.pairs),
            settings={} if found is None else describe_settings(found.seed, found.fewest),
        )


@dataclass(frozen=True)
class DrawnFolds:
    """Folds of labelled tiles."""

    folds: Folds
    """Those that lead: whole groups in one fold, where groups are known or inferred."""
    random: Folds | None
    """Beside inferred groups: drawn as if tiles were independent."""
    groups: TileGroups


def choose_groups(
    config: TissueConfig, tiles: TileSet, traits: TileTraits, source: str | None = None
) -> TileGroups:
    """Read or infer the groups of a set, as `--groups` says.

    Args:
        config: Settings.
        tiles: The set.
        traits: Of its tiles.
        source: Table of the set, where `--groups` may name a column of it; None: of the external
            test set, which has its own column `group`, or inferred groups.

    Raises:
        ConfigError: There is no such column.
    """
    asked = config.groups
    if source is None and asked not in (INFERRED, NO_GROUPS):
        asked = AUTO
    if asked == NO_GROUPS:
        return TileGroups(GroupSource.NONE)
    if asked == AUTO and tiles.groups is not None:
        return TileGroups(GroupSource.GIVEN, tiles.groups)
    if asked not in (AUTO, INFERRED):
        names = read_group_column(str(source), asked, tiles)
        return TileGroups(GroupSource.COLUMN, names, asked)
    if asked == AUTO and source is not None and config.fold_file is not None:
        return TileGroups(GroupSource.NONE)  # the folds that are given are the ones that are meant
    found = group_tiles(traits, tiles.labels, config.seed, max(FEWEST_CLUSTERS, config.folds))
    return TileGroups(GroupSource.INFERRED, found.names, inferred=found)


def draw_tile_folds(config: TissueConfig, tiles: TileSet, groups: TileGroups) -> DrawnFolds:
    """Read the folds that are given, or draw them; random ones, too, beside inferred groups.

    Inferred groups that cannot fill the folds are left out, unless they were asked for.

    Raises:
        ConfigError: They do not fit the tiles, or the tiles do not suffice for them.
    """
    if config.fold_file is not None:
        table = read_fold_file(config.fold_file)
        items = [str(name) for name in tiles.tile_ids.tolist()]
        folds = parse_folds(table, items, tiles.label_names, groups.names, config.fold_file)
        return DrawnFolds(folds, None, groups)
    if groups.source is not GroupSource.INFERRED:
        return DrawnFolds(_draw(config, tiles, groups.names), None, groups)
    plain = _draw(config, tiles, None)
    try:
        return DrawnFolds(_draw(config, tiles, groups.names), plain, groups)
    except ConfigError:
        if config.groups == INFERRED:
            raise
    fewest = _count_fewest(tiles, groups)
    return DrawnFolds(plain, None, replace(groups, names=None, too_few=fewest))


def choose_all_groups(
    config: TissueConfig, sets: Mapping[str, TileSet], traits: Mapping[str, TileTraits]
) -> dict[str, TileGroups]:
    """Choose the groups of every set, by split; see `choose_groups`.

    Raises:
        ConfigError: There is no column that was asked for.
    """
    return {
        split: choose_groups(config, tiles, traits[split], config.tiles if split == CV else None)
        for split, tiles in sets.items()
    }


def record_groups(groups: Mapping[str, TileGroups]) -> dict[str, object]:
    """Record the groups of every set, as `TissueRecord` has them."""
    keys = {CV: "groups", TEST: "test_groups"}
    return {keys[split]: own.record().model_dump() for split, own in groups.items()}


def as_identity(groups: Mapping[str, TileGroups]) -> dict[str, object]:
    """List what decides the tables beside what runs before groups were inferred had."""
    new = {
        split: own
        for split, own in groups.items()
        if own.source not in (GroupSource.GIVEN, GroupSource.NONE)
    }
    return record_groups(new)


def _draw(config: TissueConfig, tiles: TileSet, groups: tuple[str, ...] | None) -> Folds:
    return draw_folds(tiles.label_names, config.folds, config.repeats, config.seed, groups)


def _count_fewest(tiles: TileSet, groups: TileGroups) -> int:
    pairs = {*zip(tiles.labels.tolist(), groups.names or (), strict=True)}
    return int(np.bincount([label for label, _ in pairs]).min())
