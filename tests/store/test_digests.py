"""Every file of a store carries the digest of itself; those of version 0.1.0 are told as such."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save

from histo_ray.encoders.published import read_card
from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.storage.seal import check_bytes, seal_json, strip_marks
from histo_ray.store import models
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.run_tables import list_runs, read_run, read_runs
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import open_evaluation
from histo_ray.types import Outcome, RunRow, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
OLD = Path(__file__).parent / "fixtures/store-0.1.0.zip"
RUN = "20260101T000000-aaaaaa"
EVALUATION = "evaluations/expression/expression-0123456789ab"
FILES = [
    "store.json",
    f"runs/{RUN}.parquet",
    f"{EVALUATION}/scores.parquet",
    f"{EVALUATION}/run.json",
    "models/ftx/model.json",
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store that version 0.1.0 wrote: Parquet, Zarr, an empty slide, run, evaluation, model."""
    with zipfile.ZipFile(OLD) as file:
        file.extractall(tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def new(old: Path, store: Store, make_facts: MakeFacts, make_rows: MakeRows) -> Path:
    """The same, written now."""
    root = Path(store._root.path)
    facts = make_facts()
    store.commit(facts.key, facts, make_rows(5))
    record = RunRecord(
        run_id=RUN,
        state=ExtractionState.FINISHED,
        began_at="",
        encoders=("e",),
        outcomes={"done": 1},
        slides=1,
    )
    store.write_run(RUN, [RunRow("S1", "e", Outcome.DONE, "", 5, 1.0)], record)
    folder = open_evaluation(str(root), "expression", "expression-0123456789ab")
    table = pa.table({"target": ["TP53", "=1+1"], "score": [0.5, -0.25]})
    folder.write("scores", [table], table.schema)
    folder.write_note("run", {"task": "expression", "scores": {"TP53": 0.5}})
    model = root / "models/ftx"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes((old / "models/ftx/model.safetensors").read_bytes())
    card = json.loads((old / "models/ftx/model.json").read_bytes())
    (model / "model.json").write_bytes(seal_json(card | {"format_version": 2}, indent=2))
    found = store.inspect()
    assert (found.partitions, found.files, found.unsealed, found.problems) == (1, 6, 0, [])
    return root


def flip(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_byte_is_found(new: Path, store: Store, name: str) -> None:
    """The key of the digest too: a file without a digest would be taken for an old one."""
    whole, random = (new / name).read_bytes(), np.random.default_rng(3)
    assert check_bytes(whole) == "sealed"
    for at in range(len(whole)):
        assert check_bytes(flip(whole, at, int(random.integers(8)))) == "damaged", at
    for at in random.integers(0, len(whole), 8).tolist():
        (new / name).write_bytes(flip(whole, at, 1))
        assert any(text.startswith(f"{name}: ") for text in store.verify()[1]), at
    for keep in (0, 1, len(whole) // 2, len(whole) - 1):
        (new / name).write_bytes(whole[:keep])
        assert any(text.startswith(f"{name}: ") for text in store.verify()[1]), keep
    (new / name).write_bytes(whole)
    assert store.verify()[1] == []


def test_the_weights_of_a_model_are_those_that_its_card_names(new: Path, store: Store) -> None:
    path = new / "models/ftx/model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(flip(whole, len(whole) - 3, 6))
    (problem,) = store.verify()[1]
    assert "model.safetensors: bytes differ from those that models/ftx/model.json" in problem
    path.unlink()
    assert "model.safetensors: missing" in "\n".join(store.verify()[1])
    path.write_bytes(whole)
    (new / "models/ftx/model.json").unlink()
    assert "weights without the card that names them" in "\n".join(store.verify()[1])
    (new / "models/ftx/notes.txt").write_text("x")
    assert "models/ftx/notes.txt: not a file of a store" in "\n".join(store.verify()[1])


def test_predictors_and_predictions_are_looked_at_too(new: Path, store: Store) -> None:
    import hashlib

    data = save({"head": np.eye(2, dtype=np.float32)})
    folder = new / "predictors/mine"
    folder.mkdir(parents=True)
    (folder / "predictor.safetensors").write_bytes(data)
    about = {"format_version": 1, "kind": "made up"}
    card = seal_json(about | {"file_sha256": hashlib.sha256(data).hexdigest()})
    (folder / "predictor.json").write_bytes(card)
    assert store.verify()[1] == []
    (folder / "predictor.json").write_bytes(card.replace(b"made up", b"mode up"))
    assert "predictors/mine/predictor.json: bytes differ" in "\n".join(store.verify()[1])
    (folder / "predictor.json").write_bytes(card)
    (folder / "predictor.safetensors").write_bytes(data[:-1] + b"\x01")
    assert "predictors/mine/predictor.safetensors: bytes differ" in "\n".join(store.verify()[1])


def test_a_changed_normalisation_is_refused_and_not_used(new: Path, store: Store) -> None:
    """It gave other vectors in silence."""
    path = new / "models/ftx/model.json"
    assert read_card(str(new), "ftx") is not None
    card = json.loads(path.read_bytes())
    card["encoder"]["mean"] = [0.1, 0.2, 0.3]
    for changed in (card, strip_marks(card)):
        path.write_text(json.dumps(changed, indent=2))
        with pytest.raises(ConfigError, match=r"model\.json is damaged: its bytes are not those"):
            read_card(str(new), "ftx")
        with pytest.raises(StoreError, match=r"model\.json"):
            models.read_card(store.root, "ftx")
        assert "models/ftx/model.json: " in "\n".join(store.verify()[1])


def test_a_changed_table_or_note_is_refused_and_not_used(new: Path) -> None:
    folder = open_evaluation(str(new), "expression", "expression-0123456789ab")
    assert folder.read("scores").to_pydict() == {"target": ["TP53", "=1+1"], "score": [0.5, -0.25]}
    assert folder.read("scores").schema.metadata is None
    assert folder.read_note("run") == {"task": "expression", "scores": {"TP53": 0.5}}
    note = new / EVALUATION / "run.json"
    whole = note.read_bytes()
    for changed in (whole.replace(b"0.5", b"0.6"), whole[:30], b"[]", b"\xff", b"[" * 100_000):
        note.write_bytes(changed)
        with pytest.raises(StoreError, match=r"run\.json is damaged.*makes it again") as told:
            folder.read_note("run")
        assert "\n" not in str(told.value)
    table = new / EVALUATION / "scores.parquet"
    table.write_bytes(flip(table.read_bytes(), 20, 3))
    with pytest.raises(StoreError, match=r"scores\.parquet is damaged"):
        folder.read("scores")
    with pytest.raises(StoreError, match="there is no such table"):
        folder.read("nothing")


def test_a_changed_run_table_is_named_and_not_used(new: Path) -> None:
    path = new / f"runs/{RUN}.parquet"
    path.write_bytes(flip(path.read_bytes(), 9, 2))
    assert f"runs/{RUN}.parquet" in "\n".join(read_runs(str(new))[1])
    assert f"runs/{RUN}.parquet" in "\n".join(list_runs(str(new), 9).problems)
    with pytest.raises(StoreError, match="bytes are not those that were written"):
        read_run(str(new), RUN)


def test_a_pooled_table_that_was_changed_is_made_again(new: Path, store: Store) -> None:
    first = pool_matrix(store, "e")
    (path,) = (new / "cache/matrix").iterdir()
    whole, random = path.read_bytes(), np.random.default_rng(1)
    for at in random.integers(0, len(whole), 60).tolist():
        path.write_bytes(flip(whole, at, int(random.integers(8))))
        assert pool_matrix(store, "e").equals(first), at


def test_a_store_of_version_0_1_0_is_read_and_its_files_are_told(old: Path) -> None:
    store = open_store(str(old))
    found = store.inspect()
    assert (found.partitions, found.files, found.unsealed, found.problems) == (3, 6, 5, [])
    slides = store.slides()
    assert slides[["slide_id", "format", "n_tiles"]].to_numpy().tolist() == [
        ["S1", "parquet", 3],
        ["S2", "zarr", 3],
        ["S3", "parquet", 0],
    ]
    assert store.bag("S1", "e").embeddings.tobytes() == store.bag("S2", "e").embeddings.tobytes()
    assert pool_matrix(store, "e").shape == (2, 4)
    assert read_run(str(old), RUN)[0].outcomes == {"done": 2, "empty": 1}
    folder = open_evaluation(str(old), "expression", "expression-0123456789ab")
    assert folder.read("scores").to_pydict() == {"target": ["TP53"], "score": [0.5]}
    note = folder.read_note("run")
    assert note is not None
    assert note["sentences"] == ["made up"]
    card = read_card(str(old), "ftx")
    assert card is not None
    assert card.format_version == 1
    store.convert("zarr").check()
    store.convert("parquet").check()
    assert store.verify() == (3, [])


def test_what_is_wrong_in_an_old_file_is_found_as_far_as_it_can_be(old: Path) -> None:
    (old / EVALUATION / "run.json").write_text('{"task": ')
    (old / EVALUATION / "scores.parquet").write_bytes(b"PAR1 nonsense PAR1")
    told = "\n".join(open_store(str(old)).verify()[1])
    assert f"{EVALUATION}/run.json: not readable" in told
    assert f"{EVALUATION}/scores.parquet: not readable" in told


def test_a_store_can_be_written_on_by_both_versions(old: Path, make_facts: MakeFacts) -> None:
    """As long as no receipt says what 0.1.0 does not know, the store's format stays 1."""
    assert json.loads((old / "store.json").read_bytes())["format_version"] == 1
    fresh = open_store(str(old.parent / "fresh"), create=True)
    marker = json.loads((old.parent / "fresh/store.json").read_bytes())
    assert marker["format_version"] == 1
    assert set(strip_marks(marker)) == set(json.loads((old / "store.json").read_bytes()))
    assert fresh.inspect().unsealed == 0
