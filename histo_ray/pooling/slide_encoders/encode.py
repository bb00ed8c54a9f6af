"""Encode slides: tile vectors in, one vector a slide out, published with a receipt each.

What is there and fits its tiles is not made again. A slide that cannot be encoded is an answer.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np

from histo_ray._version import __version__
from histo_ray.encoders.slide_protocol import SlideSpec, TileBag
from histo_ray.errors import ConfigError, SlideError, StoreError, UnreachableError
from histo_ray.pooling.slide_encoders.resolve import NamedSlideEncoder
from histo_ray.pooling.slide_encoders.tile_input import (
    check_input,
    describe_input,
    digest_input,
    read_bag,
)
from histo_ray.store.catalog import Partitions
from histo_ray.store.half_floats import Float32s
from histo_ray.store.location import THREADS, Location
from histo_ray.store.partition_vectors import CountedPartition
from histo_ray.store.slide_vectors import (
    FORMAT_VERSION,
    SlideVector,
    digest_vector,
    list_encoded,
    read_slide_vector,
    write_slide_vector,
)
from histo_ray.types import Outcome, PartitionKey, Receipt
from histo_ray.types.slide_vector_receipt import (
    SlideEncoderFacts,
    SlideVectorKey,
    SlideVectorReceipt,
)

AHEAD = 2
"""Slides whose tiles are read while one is encoded."""

Receipts = Mapping[PartitionKey, Receipt]
Report = Callable[[int, int], None]
"""(slides done, slides in all)."""


class SlideFate(NamedTuple):
    """What became of one slide."""

    slide_id: str
    outcome: Outcome
    reason: str
    n_tiles: int
    seconds: float


@dataclass(frozen=True)
class EncodeOptions:
    """How slides are encoded."""

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    allow_contract_break: bool = False
    run_id: str = ""


def encode_slides(
    root: Location,
    partitions: Partitions,
    receipts: Receipts,
    encoder: NamedSlideEncoder,
    options: EncodeOptions = EncodeOptions(),
    report: Report = lambda done, total: None,
) -> Iterator[SlideFate]:
    """Encode the slides of one tile encoder and tiling that have no vector yet.

    Args:
        root: The store.
        partitions: Of the slides.
        receipts: Of the same, with the patients as they are stated now.
        encoder: The slide encoder; it is loaded only if there is something to do, or if it is a
            plugin and made what is there.
        options: How.
        report: Called after each slide.

    Yields:
        The fate of each slide, those that were there first.

    Raises:
        ConfigError: It was not made for such tiles, its name stands for other weights in the
            store, or its code fails.
        StoreError: The store cannot be written.
    """
    spec = encoder.encoder.spec()
    broken = {
        key: check_input(encoder.name, spec, receipt, options.allow_contract_break)
        for key, receipt in receipts.items()
    }
    todo, done = [], 0
    there = read_stored(root, encoder.name, receipts)
    for key, receipt in receipts.items():
        known = there.get(key)
        if not receipt.tile_count:
            why = f"no tiles: {receipt.empty_reason}"
            yield SlideFate(key.slide_id, Outcome.EMPTY, why, 0, 0.0)
        elif known is not None and _is_same(known.receipt, spec):
            tiles = receipt.tile_count
            yield SlideFate(key.slide_id, Outcome.SKIPPED, "", tiles, 0.0)
        else:
            todo.append(key)
            continue
        done += 1
        report(done, len(receipts))
    if not todo and not (encoder.plugin and there):
        return
    spec = load(encoder, options)  # also to see that a plugin's weights are those of before
    _check_name(root, encoder.name, there, spec)
    counted = [CountedPartition(k, partitions[k], receipts[k].tile_count) for k in todo]
    work = _Work(root, receipts, encoder, spec, options, broken)
    for partition, bag, began in _read_ahead(root, counted, receipts):
        fate = work.encode(partition.key, bag, began)
        done += 1
        report(done, len(receipts))
        yield fate


def load(encoder: NamedSlideEncoder, options: EncodeOptions) -> SlideSpec:
    """Load a slide encoder, and ask it what it is now.

    Raises:
        ConfigError: It fails, or states no digest of its weights.
    """
    encoder.encoder.load(options.device, options.threads)
    spec = encoder.encoder.spec()
    if spec.weights_sha256 is None:
        raise ConfigError(
            f"slide encoder {encoder.name}: it is loaded and states no weights_sha256, by which "
            "stores tell slide encoders of one name apart; have spec() state the SHA-256 of the "
            "weights once they are loaded"
        )
    return spec


def read_stored(
    root: Location, slide_encoder: str, receipts: Receipts
) -> dict[PartitionKey, SlideVector]:
    """Read the vectors of some slides that are there and of the tiles that the store has now.

    A damaged one counts as not there: it is made again.
    """
    folders = {(key.encoder, key.tiling) for key in receipts}
    names = {one: list_encoded(root, slide_encoder, *one) for one in folders}
    held = [key for key in receipts if key.slide_id in names[key.encoder, key.tiling]]

    def read(key: PartitionKey) -> SlideVector | None:
        try:
            return read_slide_vector(root, SlideVectorKey(slide_encoder, *key))
        except UnreachableError:
            raise
        except StoreError:
            return None

    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        found = dict(zip(held, pool.map(read, held), strict=True))
    return {
        key: one
        for key, one in found.items()
        if one is not None
        and digest_input(one.receipt.input) == digest_input(describe_input(key, receipts[key]))
    }


def _is_same(receipt: SlideVectorReceipt, spec: SlideSpec) -> bool:
    """Whether a vector is of this slide encoder; one that is not loaded yet may be any."""
    return spec.weights_sha256 in (None, receipt.slide_encoder.weights_sha256)


def _check_name(
    root: Location, name: str, there: Mapping[PartitionKey, SlideVector], spec: SlideSpec
) -> None:
    """Refuse a name that the store has for other weights.

    Raises:
        StoreError: It has.
    """
    for one in there.values():
        known = one.receipt.slide_encoder.weights_sha256
        if known != spec.weights_sha256:
            raise StoreError(
                f"store {root.path}: has slide vectors of {name} by the weights {known[:12]}, and "
                f"these are {str(spec.weights_sha256)[:12]}; one name is bound to one set of "
                "weights: give these another name with ?name=NAME, or delete "
                f"slides/encoder={name}"
            )


Read = tuple[CountedPartition, TileBag | StoreError, float]


def _read_ahead(
    root: Location, partitions: Sequence[CountedPartition], receipts: Receipts
) -> Iterator[Read]:
    """Read the tiles of some slides in order, a few ahead; an error stands for what has none."""

    def read(partition: CountedPartition) -> Read:
        began = time.monotonic()
        try:
            return partition, read_bag(root, partition, receipts[partition.key]), began
        except UnreachableError:
            raise
        except StoreError as error:
            return partition, error, began

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[Read]] = deque()
        for partition in partitions:
            waiting.append(pool.submit(read, partition))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _Work:
    """All that one slide's encoding needs beside its tiles."""

    root: Location
    receipts: Receipts
    encoder: NamedSlideEncoder
    spec: SlideSpec
    """Asked once it was loaded."""
    options: EncodeOptions
    broken: Mapping[PartitionKey, str]
    """What of its contract each slide breaks, on request."""

    def encode(self, key: PartitionKey, bag: TileBag | StoreError, began: float) -> SlideFate:
        """Encode one slide and publish its vector; what cannot be encoded is an answer."""
        receipt = self.receipts[key]
        found = self._try(bag)
        took = round(time.monotonic() - began, 3)
        if isinstance(found, str):
            return SlideFate(key.slide_id, Outcome.FAILED, found, 0, took)
        written = SlideVectorReceipt(
            format_version=FORMAT_VERSION,
            slide_id=key.slide_id,
            patient_id=receipt.slide.patient_id,
            slide_encoder=self._describe(key, len(found)),
            input=describe_input(key, receipt),
            vector_sha256=digest_vector(found),
            library_version=__version__,
            run_id=self.options.run_id,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_slide_vector(self.root, written, found)
        return SlideFate(key.slide_id, Outcome.DONE, "", receipt.tile_count, took)

    def _try(self, bag: TileBag | StoreError) -> Float32s | str:
        """Vector of a slide, or why it has none."""
        if isinstance(bag, StoreError):
            return str(bag)
        if not np.isfinite(bag.vectors).all():
            return "vectors of its tiles are not finite; see store verify"
        try:
            found = self.encoder.encoder.encode(bag)
        except SlideError as error:
            return error.problem
        except ConfigError as error:  # its code fails on this slide; others may be well
            return str(error)
        vector = check_vector(self.encoder.name, self.spec, found)
        return vector if np.isfinite(vector).all() else "its vector is not finite"

    def _describe(self, key: PartitionKey, dim: int) -> SlideEncoderFacts:
        return SlideEncoderFacts(
            name=self.encoder.name,
            request=self.encoder.request,
            method=self.spec.method,
            weights_sha256=str(self.spec.weights_sha256),
            dim=dim,
            licence=self.spec.licence,
            seed=self.spec.seed,
            precision=self.spec.precision,
            device=self.options.device,
            plugin=self.encoder.plugin,
            code_revision=self.spec.code_revision,
            contract_broken=self.broken[key],
        )


def check_vector(name: str, spec: SlideSpec, found: object) -> Float32s:
    """Hold what a slide encoder returned against what it states; float32.

    Raises:
        ConfigError: No array of floats of its length.
    """
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.ndim != 1:
        told = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found)
        raise ConfigError(
            f"slide encoder {name}: encode() returns {told}; return a numpy array of floats, (dim,)"
        )
    if spec.dim not in (None, len(found)):
        raise ConfigError(
            f"slide encoder {name}: encode() returns {len(found)} numbers, and it states "
            f"{spec.dim}; correct dim in its spec()"
        )
    return np.ascontiguousarray(found, np.float32)
