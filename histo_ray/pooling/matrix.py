"""Pool the tiles of a store to one vector a slide or patient; cached as a table in the store."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from histo_ray.config import digest
from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.base import Pooled, PoolingMethod
from histo_ray.pooling.class_heads import read_class_head
from histo_ray.pooling.methods.slide_encoder import SlideEncoderPooling
from histo_ray.pooling.pooled_cache import (
    By,
    PooledTable,
    PoolFacts,
    PoolReceipt,
    digest_snapshot,
    read_pooled,
    write_pooled,
)
from histo_ray.pooling.pooled_frame import LeftOut, make_frame
from histo_ray.pooling.quantiles import Spread
from histo_ray.pooling.registry import parse_pooling
from histo_ray.pooling.slide_encoders.slide_matrix import average_slides, read_slide_vectors
from histo_ray.pooling.stored_tiles import StoredTiles, TileClassifier
from histo_ray.pooling.tile_classes import ClassSource, find_class_source
from histo_ray.store.catalog import FORMATS, Partitions
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import choose_slides
from histo_ray.store.location import THREADS, Location
from histo_ray.store.partition_vectors import CountedPartition, count_tiles
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.replaced import TRIES, read_again, replaced
from histo_ray.store.stated import correct_receipts, read_stated
from histo_ray.store.store import Store
from histo_ray.store.tile_filter import parse_where
from histo_ray.store.verify import check_partitions
from histo_ray.types import PartitionKey, Receipt

if TYPE_CHECKING:
    import pandas as pd

Receipts = dict[PartitionKey, Receipt]
Group = list[tuple[PartitionKey, Receipt]]
Groups = dict[str, Group]

_log = logging.getLogger(__name__)


@read_again
def pool_matrix(
    store: Store,
    encoder: str,
    pool: str = "mean",
    by: By = "slide",
    tiling: str | None = None,
    class_encoder: str | None = None,
    slide_ids: Iterable[str] | None = None,
    check: bool = False,
    where: str | None = None,
) -> "pd.DataFrame":
    """Pool the tiles of an encoder to one vector a slide or patient; see `pool_partitions`.

    Labelled tile sets are no slides and are left out.

    Args:
        store: Where the embeddings are; keeps the result in its cache.
        encoder: Whose embeddings are pooled.
        pool: As for `parse_pooling`.
        by: `slide` or `patient`.
        tiling: Where the encoder has several.
        class_encoder: Published encoder whose head weighs the tiles for `class:` and `classes`;
            None: `encoder` itself.
        slide_ids: The slides that are pooled; None: all.
        check: Hold every byte that is pooled against the partitions' digests first, which reads
            them twice; without it a changed vector is not noticed.
        where: Condition on tiles, see `parse_where`: others are not pooled; None: all are.

    Raises:
        StoreError: Nothing of this encoder or of a slide, or several tilings and none is named.
            Or a partition is damaged.
        ConfigError: Another `pool` or `by`, no class head, or a class that it does not know.
    """
    partitions = choose_slides(store.root, encoder, tiling, slide_ids)
    if check:
        check_partitions(store.root, partitions)
    return pool_partitions(store.root, partitions, pool, by, class_encoder, where)


def pool_partitions(
    root: Location,
    partitions: Partitions,
    pool: str,
    by: By,
    class_encoder: str | None = None,
    where: str | None = None,
) -> "pd.DataFrame":
    """Pool the tiles of each slide, or of all slides of each patient together.

    Memory holds the result and some blocks of rows; for `median` and `quantiles` also all tiles of
    one slide or patient, as they are stored.

    Args:
        root: The store.
        partitions: Those of one encoder and tiling; at least one.
        pool: As for `parse_pooling`.
        by: `slide` or `patient`.
        class_encoder: Published encoder whose head gives the class probabilities, from its own
            embeddings of the same tiles; None: the pooled encoder. Of no concern to other pools.
        where: Condition on the tiles that are pooled; None: all are.

    Returns:
        float32, index slide_id or patient_id in sorted order. In its `attrs`:
        `empty_slides`: without tiles, so left out;
        `filtered_slides`: with tiles of which `where` keeps none, so left out;
        `left_out`: slides or patients with tiles, but none of any weight: no tissue, or less than
        half a tile (`LEAST_CLASS_TILES`) of the classes asked for;
        `absent_classes`, for `classes`: by class, slides or patients with less than half a tile of
        it, for which the mean of all their tiles stands in its place;
        `slides_without_classes`: not there for `class_encoder`, so left out;
        `receipt`: what was pooled, as `PoolFacts`.

    Raises:
        ConfigError: Another `pool` or `by`, no class head, or a class that it does not know.
        StoreError: The partitions do not go together, or cannot be read.
    """
    method = parse_pooling(pool)
    if by not in get_args(By):
        raise ConfigError(f"by={by!r}: vectors can be pooled by slide or by patient")
    if isinstance(method, SlideEncoderPooling) and where is not None:
        raise ConfigError(
            f"--pooling {pool} with --where: a slide encoder's vectors are of all tiles of a "
            "slide; leave out one of the two"
        )
    receipts = read_receipts(root, partitions)
    bare = {key for key, receipt in receipts.items() if not receipt.tile_count}
    receipts = choose_tiles(root, partitions, receipts, where)
    if by == "patient":
        receipts = correct_receipts(receipts, read_stated(root))
    _check_alike(root, receipts)
    if isinstance(method, SlideEncoderPooling):
        return _pool_slide_vectors(root, partitions, receipts, method, by)
    source = find_class_source(root, receipts, class_encoder) if method.needs_head else None
    if source is not None:
        method.check_classes(source.card.classes, source.encoder)
    full = {k: r for k, r in receipts.items() if r.tile_count}
    weighed = (
        full if source is None else {k: full[k] for k in full if k.slide_id in source.partitions}
    )
    groups = _group(weighed, by)
    facts = _state_facts(receipts, groups, method, by, source, where)
    table = read_pooled(root, facts, groups)
    if table is None:
        table, groups = _pool_groups(root, partitions, groups, facts, source)
        read = dict(pair for group in groups.values() for pair in group)
        if digest_snapshot(read.items()) != digest_snapshot((k, receipts[k]) for k in read):
            receipts |= read  # some were replaced before they were read
            facts = _state_facts(receipts, groups, method, by, source, where)
            table = replace(table, receipt=table.receipt.model_copy(update={"facts": facts}))
        try:
            write_pooled(root, table, groups)
        except StoreError as error:  # a store that may only be read still answers
            _log.warning("pooled vectors are not kept for the next time: %s", error)
    filtered = sorted(key.slide_id for key in receipts.keys() - full.keys() - bare)
    unweighed = sorted(key.slide_id for key in full.keys() - weighed.keys())
    lost = _group(full, by).keys() - groups.keys() | set(table.receipt.left_out)
    empty = sorted(key.slide_id for key in bare)
    return make_frame(table, by, LeftOut(empty, filtered, unweighed, sorted(lost)))


def _pool_slide_vectors(
    root: Location, partitions: Partitions, receipts: Receipts, method: SlideEncoderPooling, by: By
) -> "pd.DataFrame":
    """Vectors that a slide encoder made, or the mean of them for each patient.

    Returns:
        As `pool_partitions`; nobody is left out but for slides without tiles.
    """
    full = {key: receipt for key, receipt in receipts.items() if receipt.tile_count}
    groups = _group(full, by)
    facts = _state_facts(receipts, groups, method, by, None, None)
    vectors = read_slide_vectors(root, partitions, full, method.slide_encoder) if full else {}
    keys = {name: [key for key, _ in group] for name, group in groups.items()}
    values = average_slides(vectors, keys) if full else np.empty((0, 0), np.float32)
    table = PooledTable(list(groups), values, PoolReceipt(facts=facts))
    empty = sorted(key.slide_id for key in receipts.keys() - full.keys())
    return make_frame(table, by, LeftOut(empty, [], [], []))


def _check_alike(root: Location, receipts: Receipts) -> None:
    """Refuse partitions of several weights under one name.

    Raises:
        StoreError: They are.
    """
    weights = {(r.encoder.weights_sha256, r.encoder.dim) for r in receipts.values()}
    if len(weights) > 1:
        found = " and ".join(sorted(f"{sha[:12]} ({dim})" for sha, dim in weights))
        raise StoreError(
            f"store {root.path}: partitions under one encoder's name are of different weights "
            f"({found}); store verify names them, extract them again"
        )


def _group(receipts: Receipts, by: By) -> Groups:
    """Partitions by slide or patient, in sorted order."""
    groups: Groups = defaultdict(list)
    for key, receipt in receipts.items():
        name = receipt.slide.patient_id if by == "patient" else key.slide_id
        groups[name].append((key, receipt))
    return dict(sorted(groups.items()))


def _state_facts(
    receipts: Receipts,
    groups: Groups,
    method: PoolingMethod,
    by: By,
    source: ClassSource | None,
    where: str | None,
) -> PoolFacts:
    key, receipt = next(iter(receipts.items()))
    facts = PoolFacts(
        encoder=key.encoder,
        weights_sha256=receipt.encoder.weights_sha256,
        dim=receipt.encoder.dim,
        tiling=key.tiling,
        pool=method.name,
        by=by,
        partitions=len(receipts),
        tiles=sum(receipt.tile_count for receipt in receipts.values()),
        snapshot_sha256=digest_snapshot(receipts.items()),
        groups_sha256=digest([[name, *(k.slide_id for k, _ in g)] for name, g in groups.items()]),
        where="" if where is None else parse_where(where).text,
    )
    if source is None:
        return facts
    return facts.model_copy(
        update={
            "class_encoder": source.encoder,
            "class_tiling": source.tiling,
            "class_file_sha256": source.card.file_sha256,
            "class_snapshot_sha256": source.snapshot_sha256,
        }
    )


def _pool_groups(
    root: Location,
    partitions: Partitions,
    groups: Groups,
    facts: PoolFacts,
    source: ClassSource | None,
) -> tuple[PooledTable, Groups]:
    """Pool each group: several at once, or the columns of one at once where it is held whole.

    Returns:
        The table, and the groups with the receipts of what was read.
    """
    method = parse_pooling(facts.pool)
    classifier = (
        None if source is None else TileClassifier(source, read_class_head(root, source.card))
    )
    threads = THREADS if not root.local else 4
    with ThreadPoolExecutor(threads) as outer, ThreadPoolExecutor(threads) as inner:

        def pool_one(name: str) -> tuple[Pooled, Group]:
            return _pool_settled(
                root,
                partitions,
                groups[name],
                facts.where or None,
                lambda counted: pool_group(root, counted, method, classifier, inner.map),
            )

        spread = map if method.needs_all_tiles else outer.map
        both = dict(zip(groups, spread(pool_one, groups), strict=True))
    found = {name: pooled for name, (pooled, _) in both.items()}
    kept = {name: pooled.vector for name, pooled in found.items() if pooled.vector is not None}
    absent: dict[str, list[str]] = defaultdict(list)
    for name, pooled in found.items():
        for label in pooled.absent:
            absent[label].append(name)
    width = method.width(facts.dim, 0 if source is None else len(source.card.classes))
    values = np.empty((len(kept), width), np.float32)
    for row, vector in zip(values, kept.values(), strict=True):
        row[:] = vector
    receipt = PoolReceipt(
        facts=facts,
        left_out=tuple(name for name in found if name not in kept),
        absent_classes={label: tuple(names) for label, names in sorted(absent.items())},
    )
    return PooledTable(list(kept), values, receipt), {n: used for n, (_, used) in both.items()}


def pool_group(
    root: Location,
    partitions: Sequence[CountedPartition],
    method: PoolingMethod,
    classifier: TileClassifier | None,
    spread: Spread,
) -> Pooled:
    """Pool all tiles of some partitions together.

    Raises:
        StoreError: A partition cannot be read, or the head's encoder saw other tiles.
    """
    return method.pool(StoredTiles(root, partitions, classifier, spread))


def _pool_settled(
    root: Location,
    partitions: Partitions,
    group: Group,
    where: str | None,
    pool: Callable[[list[CountedPartition]], Pooled],
) -> tuple[Pooled, Group]:
    """Pool one group, again where another run replaced a partition of it meanwhile.

    Returns:
        Its vector, and its partitions with the receipts of what was read.

    Raises:
        ReplacedError: One is gone or without tiles now, or was replaced again and again.
        StoreError: As `pool_group`.
    """
    for _ in range(TRIES):
        counted = [count_tiles(k, partitions[k], r) for k, r in group]
        pooled, error = None, None
        try:
            pooled = pool(counted)
        except StoreError as raised:
            error = raised
        read = {one.key: FORMATS[one.form].read_receipt(one.locate(root)) for one in counted}
        now = [*choose_tiles(root, partitions, read, where).items()]
        if digest_snapshot(now) == digest_snapshot(group):
            if pooled is not None:
                return pooled, group
            if error is not None:
                raise error
        if not all(receipt.tile_count for _, receipt in now):
            break
        group = now
    raise replaced(counted[0].locate(root).path)
