"""Check every file of a store that is no partition against the digest that it carries.

Run tables, tables and notes of evaluations and predictions, cards of encoders and predictors, and
the store's marker hold their digest inside; weights, which cannot, are named by their card's
`file_sha256`. The cache is left out: it can be made again, and is checked as it is read.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import UnreachableError
from histo_ray.storage.native import native
from histo_ray.storage.seal import State, check_stream
from histo_ray.store.layout import MARKER, QUALITY, RUNS
from histo_ray.store.location import THREADS, Location
from histo_ray.store.partition import first_line
from histo_ray.store.slide_vectors import SLIDES, find_slide_problems
from histo_ray.store.tables import EVALUATIONS, PIECES
from histo_ray.store.upkeep import DAY_S

CARDS = ("models", "predictors", "slide_encoders")
"""Folders of weights, each with a card beside them."""
TABLES = (RUNS, EVALUATIONS, "predictions", SLIDES, QUALITY)
WEIGHTS = ".safetensors"


class Checked(NamedTuple):
    """What became of the files that were looked at."""

    files: int
    unsealed: int
    """Whole as far as can be told, but without a digest: of version 0.1.0."""
    problems: list[str]


def check_files(root: Location) -> Checked:
    """Look at every byte of every file but partitions and cache."""
    paths = [MARKER, *_list_files(root)]
    with ThreadPoolExecutor(4 if root.local else THREADS) as pool:
        found = list(pool.map(lambda path: _check_file(root, path), paths))
    cards = {path for path in paths if path.endswith(".json")}
    old = time.time() - DAY_S
    strays = [
        f"{path}: weights without the card that names them, left by a killed run; remove them"
        for path in paths
        if path.endswith(WEIGHTS)
        and f"{path.removesuffix(WEIGHTS)}.json" not in cards
        and (root.local or _changed_s(root.child(path)) < old)  # elsewhere it may be on its way
    ]
    return Checked(
        len(paths),
        sum(state == "unsealed" for state, _ in found),
        [problem for _, problems in found for problem in problems] + strays,
    )


def _list_files(root: Location) -> Iterator[str]:
    for room in (*CARDS, *TABLES):
        for info in root.child(room).walk():
            path = info.path.removeprefix(f"{root.path}/")
            if f"/{PIECES}/" not in path and not (room == RUNS and not path.endswith(".parquet")):
                yield path


def _check_file(root: Location, path: str) -> tuple[State | None, list[str]]:
    """Whether one file is as it was written, and a line on each thing that is wrong with it."""
    location = root.child(path)
    if path.endswith(WEIGHTS):
        return None, []  # with its card
    if not path.endswith((".parquet", ".json")):
        return None, [f"{path}: not a file of a store; move it out"]
    try:
        with location.open() as file:
            state = check_stream(file)
            if state == "damaged":
                return state, [f"{path}: bytes differ from those that were written"]
            if path.endswith(".parquet"):
                if path.startswith(f"{SLIDES}/"):
                    return state, find_slide_problems(root, [path])
                if state == "unsealed":
                    file.seek(0)
                    pq.read_table(native(file.read()))
                return state, []
            file.seek(0)
            said = json.loads(bytes(file.read()))
        if not path.startswith(CARDS):
            return state, []
        if state == "unsealed" and isinstance(said, dict) and said.get("format_version") != 1:
            return state, [f"{path}: its digest was taken out, so it was changed"]
        return state, _check_weights(root, path, said)
    except UnreachableError:
        raise
    except FileNotFoundError:  # written anew, or gone with its folder, since it was listed
        return None, [] if path != MARKER else [f"{path}: missing"]
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        return None, [f"{path}: not readable ({first_line(error)})"]


def _check_weights(root: Location, card: str, said: Any) -> list[str]:
    """What is wrong with the file that a card names by its digest."""
    expected = said.get("file_sha256") if isinstance(said, dict) else None
    path = f"{card.removesuffix('.json')}{WEIGHTS}"
    if expected is None:
        return [f"{card}: names no weights (file_sha256), so it is no card"]
    location = root.child(path)
    if location.kind() != "file":
        return [f"{path}: missing, although {card} names it"]
    digest = hashlib.sha256()
    with location.open() as file:
        while block := file.read(8 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        return [f"{path}: bytes differ from those that {card} names"]
    return []


def _changed_s(location: Location) -> float:
    stamp = location.stamp()
    return stamp.mtime_ns / 1e9 if stamp else 0.0
