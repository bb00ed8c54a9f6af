"""Verify a whole store: read everything and report what is damaged."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from histo_ray.errors import StoreError, UnreachableError
from histo_ray.storage.native import native
from histo_ray.store.catalog import FORMATS, Partitions, has_form, list_folders, list_partitions
from histo_ray.store.layout import (
    EMBEDDINGS,
    FORMS,
    MARKER,
    ROOMS,
    RUNS,
    Form,
    check_slug,
    parse_partition_path,
    partition_path,
    split_folder,
)
from histo_ray.store.location import THREADS, Location
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.partition import Tally, Totals, first_line
from histo_ray.store.replaced import TRIES, look_at
from histo_ray.store.upkeep import DAY_S, list_leftovers
from histo_ray.store.verify_files import check_files
from histo_ray.types import EncoderFacts, PartitionKey, Receipt

WEIGHING = (
    "weights_sha256", "input_px", "mean", "std", "pool", "dtype", "dim", "interpolation",
    "rotations",
)  # fmt: skip
"""What must not differ between vectors under one encoder's name, beside their origin."""

Checked = tuple[list[str], Receipt | None]


class Weights(NamedTuple):
    """Encoder and weights that a partition's receipt states."""

    encoder: str
    marks: tuple[tuple[str, str], ...]
    """Names and values from `describe_weights`."""


class Verification(NamedTuple):
    """Result of verifying a whole store."""

    partitions: int
    """Partitions that were looked at."""
    files: int
    """Other files that were looked at: marker, run tables, evaluations, cards and weights."""
    unsealed: int
    """Those of them without a digest, as 0.1.0 wrote them: whole as far as can be told."""
    problems: list[str]
    """One line each: `<path>: <what is wrong>`."""


def verify_store(
    root: Location, report: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Read every byte and check it against receipts, digests, paths, schemas and siblings.

    Args:
        root: The store.
        report: Called with (partitions checked, partitions in all).
    """
    problems = _find_strays(root)
    partitions: list[tuple[PartitionKey, Form]] = []
    for folder in list_folders(root, None, None):
        for name in root.child(folder).names():
            try:
                key, form = parse_partition_path(f"{folder}/{name}")
            except StoreError as error:
                problems.append(str(error))
                continue
            if form == "parquet" or has_form(root, key, form):
                partitions.append((key, form))
            elif root.local:  # elsewhere it may be on its way
                problems.append(
                    f"{folder}/{name}: what a killed process left of a Zarr partition, which does "
                    "not count as one; remove it with store gc"
                )
    weights: dict[str, Weights] = {}  # all that is kept of receipts: there may be very many
    alike: dict[Weights, Weights] = {}
    forms = Counter(key for key, _ in partitions)
    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        checked = pool.map(lambda item: _check_one(root, *item), partitions)
        pairs = zip(partitions, checked, strict=True)
        for done, ((key, form), (found, said)) in enumerate(pairs, 1):
            report(done, len(partitions))
            path = partition_path(key, form)
            if forms[key] > 1 and form == "zarr":
                found = [*found, _describe_double(root, key)]
            problems += [f"{path}: {problem}" for problem in found]
            if said is not None:
                weights[path] = alike.setdefault(said, said)
    problems += _compare_siblings(weights)
    problems += _find_vanished(root, {(key.slide_id, key.encoder) for key, _ in partitions})
    others = check_files(root)
    problems = sorted(problems + others.problems)
    return Verification(len(partitions), others.files, others.unsealed, problems)


def _check_one(root: Location, key: PartitionKey, form: Form) -> tuple[list[str], Weights | None]:
    """What is wrong with one partition, and which weights it says it is of."""
    problems, receipt = check_partition(root, key, form)
    if receipt is None:
        return problems, None
    marks = tuple(describe_weights(receipt.encoder).items())
    return problems, Weights(receipt.encoder.name, marks)


def check_partition(root: Location, key: PartitionKey, form: Form) -> Checked:
    """What is wrong with one partition, and its receipt as far as there is one."""
    location = root.child(partition_path(key, form))
    checked: Checked = [], None
    for _ in range(TRIES):
        before = look_at(location, form)
        checked = _check_now(location, key, form)
        if not checked[0] or look_at(location, form) == before:
            break  # else another run replaced it meanwhile
    return checked


def _check_now(location: Location, key: PartitionKey, form: Form) -> Checked:
    try:
        problems = FORMATS[form].find_problems(location)
    except OSError as error:
        return [f"not readable ({first_line(error)})"], None
    try:
        receipt = FORMATS[form].read_receipt(location)
    except StoreError as error:
        return problems or [str(error).removeprefix(f"{location.path}: ")], None
    problems += compare_key(receipt, key)
    if not problems:
        problems += _check_rows(location, form, receipt)
    return problems, receipt


def check_partitions(root: Location, partitions: Partitions) -> None:
    """Hold every byte of some partitions against their receipts and digests.

    Raises:
        StoreError: Some are damaged; names the first ones.
    """
    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        checked = pool.map(lambda item: check_partition(root, *item)[0], partitions.items())
        found = {key: why for key, why in zip(partitions, checked, strict=True) if why}
    if found:
        told = [
            f"{root.child(partition_path(key, partitions[key])).path}: {'; '.join(why)}"
            for key, why in sorted(found.items())
        ]
        raise StoreError(
            f"{'1 partition is' if len(told) == 1 else f'{len(told)} partitions are'} damaged: "
            f"{' | '.join(told[:3])}; delete {'it' if len(told) == 1 else 'them'}, and the "
            "same extract command makes them again"
        )


def _describe_double(root: Location, key: PartitionKey) -> str:
    """What to do about the Zarr form of a partition that is there as Parquet too."""
    try:
        one, two = (
            FORMATS[form].read_receipt(root.child(partition_path(key, form))) for form in FORMS
        )
    except StoreError:
        return "is there as Parquet too, and one of the two is damaged; delete that one"
    if is_same_content(one, two):
        return (
            "is there as Parquet too, with the same content; one of them is enough, and store "
            "convert --to parquet removes this one"
        )
    return (
        "is there as Parquet too, with other content; readers take the Parquet, so delete the "
        "one that you do not want"
    )


def is_same_content(one: Receipt, two: Receipt) -> bool:
    """Whether two receipts tell of the same rows, slide, tiling and encoder; runs may differ."""
    runs = {"run_id", "created_at"}
    return one.model_dump_json(exclude=runs) == two.model_dump_json(exclude=runs)


def compare_key(receipt: Receipt, key: PartitionKey) -> list[str]:
    """Where a receipt disagrees with the path that it was found at."""
    said = {
        "slide_id": (receipt.slide.slide_id, key.slide_id),
        "encoder": (receipt.encoder.name, key.encoder),
        "tiling": (receipt.tiling.fingerprint, key.tiling),
    }
    return [
        f"its receipt says {name} {found!r}, its path {expected!r}"
        for name, (found, expected) in said.items()
        if found != expected
    ]


def check_encoder(root: Location, facts: EncoderFacts) -> None:
    """Refuse a name that the store knows for other weights or other preparation of tiles.

    Raises:
        StoreError: It does; names both and the remedy.
    """
    for folder in list_folders(root, facts.name, None):
        keys = list_partitions(root, *split_folder(folder))
        if not keys:
            continue
        receipt = _first_receipt(root, keys)
        if receipt is None:
            continue
        known = describe_weights(receipt.encoder)
        now = describe_weights(facts)
        if receipt.tiling.settings.get("tile_px") != facts.input_px:  # such tiles are never cut
            known["resize_px"], now["resize_px"] = (
                str(about.resize_px) for about in (receipt.encoder, facts)
            )
        other = [
            f"{what} {known[what]}, now {now[what]}" for what in now if now[what] != known[what]
        ]
        if other:
            raise StoreError(
                f"encoder {facts.name}: the store has it with {'; '.join(other)}; "
                "one name is bound to one set of weights, so give the new one another (name=, or "
                "--encoder of store import)"
            )


def _first_receipt(root: Location, keys: Partitions) -> Receipt | None:
    """The first receipt that can be read; a damaged partition binds no name."""
    for key in sorted(keys):
        try:
            return FORMATS[keys[key]].read_receipt(root.child(partition_path(key, keys[key])))
        except UnreachableError:
            raise
        except StoreError:
            continue
    return None


def describe_weights(facts: EncoderFacts) -> dict[str, str]:
    """What must be alike for all vectors under one name, as text."""
    said = {name: str(getattr(facts, name)) for name in WEIGHING}
    return {**said, "origin": facts.imported_from or "encoded here"}


def _check_rows(location: Location, form: Form, receipt: Receipt) -> list[str]:
    tally, bad, shapes = Tally(), 0, set()
    try:
        for rows in FORMATS[form].read_rows(location):
            tally.add(rows)
            bad += int((~np.isfinite(rows.embeddings).all(axis=1)).sum())
            shapes.add((rows.embeddings.shape[1], rows.embeddings.dtype.name))
    except (*UNREADABLE, StoreError) as error:
        return [f"rows are not readable ({first_line(error)})"]
    problems = [f"{bad} vectors are not finite"] if bad else []
    if shapes - {(receipt.encoder.dim, receipt.encoder.dtype)}:
        problems.append(f"vectors are {sorted(shapes)}, not what the receipt says")
    return problems + _compare_totals(tally.totals(), receipt)


def _compare_totals(found: Totals, receipt: Receipt) -> list[str]:
    problems = []
    if found.tile_count != receipt.tile_count:
        problems.append(f"{found.tile_count} rows, {receipt.tile_count} by the receipt")
    if found.vectors_sha256 != receipt.vectors_sha256:
        problems.append("vectors differ from the receipt's digest")
    if found.columns_sha256 != receipt.columns_sha256:
        problems.append("tile_id, x, y, tissue or focus differ from the receipt's digest")
    if found.texts_sha256 != receipt.texts_sha256:
        problems.append("label or group differ from the receipt's digest")
    if bool(receipt.tile_count) == bool(receipt.empty_reason):
        problems.append(f"{receipt.tile_count} tiles, with empty_reason {receipt.empty_reason!r}")
    return problems


def _compare_siblings(weights: dict[str, Weights]) -> list[str]:
    """Partitions, by path, of other weights than most of the same name."""
    problems = []
    for encoder in sorted({said.encoder for said in weights.values()}):
        siblings = {path: said.marks for path, said in weights.items() if said.encoder == encoder}
        usual = dict(Counter(siblings.values()).most_common(1)[0][0])
        for path, marks in siblings.items():
            other = [f"{n} {v}, not {usual[n]}" for n, v in marks if v != usual[n]]
            if other:
                problems.append(f"{path}: other than most of {encoder}: {'; '.join(other)}")
    return problems


def _find_vanished(root: Location, there: set[tuple[str, str]]) -> list[str]:
    """Slides that a run table calls stored and that are in no partition.

    Slide encoders (`slide:NAME` there) write no partitions, and vectors of slides are made anew
    where they are read.
    """
    said = {}
    runs = root.child(RUNS)
    for name in sorted(name for name in runs.names() if name.endswith(".parquet")):
        try:
            with runs.child(name).open() as file:
                table = pq.read_table(native(file), columns=["slide_id", "encoder", "outcome"])
        except UNREADABLE:  # `check_files` tells
            continue
        for row in table.to_pylist():
            said[row["slide_id"], row["encoder"]] = (name, row["outcome"])
    return [
        f"{RUNS}/{name}: says {slide_id} of {encoder} is {outcome}, its partition is gone; "
        "the same extract command makes it again"
        for (slide_id, encoder), (name, outcome) in said.items()
        if outcome != "failed" and (slide_id, encoder) not in there and ":" not in encoder
    ]


def _find_strays(root: Location) -> list[str]:
    found = [(name, "part of a store") for name in root.names() if name not in (*ROOMS, MARKER)]
    runs = root.child(RUNS).names()
    found += [(f"{RUNS}/{name}", "a run") for name in runs if not name.endswith(".parquet")]
    known = list_folders(root, None, None)
    for name in root.child(EMBEDDINGS).names():
        room = f"{EMBEDDINGS}/{name}"
        inside = [f"{room}/{below}" for below in root.child(room).names()]
        if not name.startswith("encoder=") or not _is_slug(name):
            found.append((room, "an encoder"))
            continue
        found += [(path, "a tiling") for path in inside if path not in known]
    leftovers = list_leftovers(root, time.time() - DAY_S)
    return [
        *(f"{path}: not {kind}; move it out of the store" for path, kind in found),
        *(f"{path}: left by a crashed run; remove it with store gc" for path in leftovers),
    ]


def _is_slug(folder: str) -> bool:
    try:
        check_slug("encoder", folder.removeprefix("encoder="))
    except StoreError:
        return False
    return True
