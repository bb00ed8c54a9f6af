"""Evaluations of more targets than are held at once: the same tables, and what is held and read."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.errors import StoreError
from histo_ray.evaluate.engine import run_evaluation, run_here
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients import patient_tables, prediction_blocks
from histo_ray.evaluate.patients.prediction_blocks import EncoderPieces, list_blocks, list_repeats
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.statistics import targets_at_once
from histo_ray.learn.targets.target_scores import EncoderScores
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.store.location import Location, location_of
from histo_ray.store.store import open_store
from histo_ray.store.tables import TableFolder
from histo_ray.types import TargetKind, TileRows
from tests.made_up import facts_of

PATIENTS, GENES, REPEATS, DIM, ENCODERS = 36, 47, 3, 6, ("dull", "sharp")
STEP = 10
"""Genes whose resamples are drawn in one go, in the run that is cut."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two encoders and three sites, and labels, some of which are missing."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(PATIENTS, 3))
    values = hidden @ rng.normal(size=(3, GENES)) + rng.normal(size=(PATIENTS, GENES))
    values[rng.random(values.shape) < 0.01] = np.nan
    names = [f"P{number:02d}" for number in range(PATIENTS)]
    genes = [f"G{number:02d}" for number in range(GENES)]
    table = pd.DataFrame(values, columns=genes).assign(patient_id=names)
    table[["patient_id", *genes]].to_csv(folder / "expression.csv", index=False)
    mutated = pd.DataFrame({"patient_id": names, "TP53": (hidden[:, 0] > 0).astype(int)})
    mutated.to_csv(folder / "mutations.csv", index=False)
    store = open_store(str(folder / "store"), create=True)
    for encoder, noise in zip(ENCODERS, (3.0, 0.5), strict=True):
        for number, patient in enumerate(names):
            site = "ABC"[number % 3]
            facts = facts_of(f"{patient}-S", encoder, "t0", DIM, patient_id=patient, site=site)
            vectors = np.repeat(hidden[number], 2) + noise * rng.normal(size=(3, DIM))
            ones, coords = np.ones(3, np.float32), np.arange(6, dtype=np.int32).reshape(3, 2)
            store.commit(
                facts.key, facts, [TileRows(coords, ones, ones, vectors.astype(np.float16))]
            )
    return folder


def evaluate(place: Path, task: str, labels: str, **changes: object) -> TableFolder:
    config = TASKS[task].config.model_validate(
        {"store": str(place / "store"), "labels": str(place / labels), "encoder": ENCODERS}
        | changes
    )
    host = Host(run_here)
    return run_evaluation(TASKS[task].prepare(config, host), host).folder


def read_tables(folder: TableFolder) -> dict[str, pd.DataFrame]:
    names = (name.removesuffix(".parquet") for name in folder.names() if "parquet" in name)
    return {name: folder.read(name).to_pandas() for name in names}


def test_tables_of_targets_in_blocks_are_those_of_all_at_once_to_the_bit(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "repeats": REPEATS,
        "permutations": 25,
        "resamples": 100,
        "site_check": False,
    }
    monkeypatch.setattr("histo_ray.learn.statistics.correlation_bootstrap._CELLS", 100 * STEP)
    folder = evaluate(place, "expression", "expression.csv", **settings)
    whole = read_tables(folder)
    folder.root.child(folder.folder).delete()

    held = []
    read = EncoderPieces.read

    def note(self: EncoderPieces, *given: Any, **named: Any) -> Any:
        found = read(self, *given, **named)
        held.append(found.assembled.nbytes)
        return found

    each = 4 * PATIENTS * REPEATS * len(ENCODERS)
    monkeypatch.setattr(EncoderPieces, "read", note)
    monkeypatch.setattr(prediction_blocks, "BLOCK_BYTES", STEP * each)
    monkeypatch.setattr("histo_ray.evaluate.patients.scored_plan.PERMUTED_AT_ONCE", 7)
    monkeypatch.setattr("histo_ray.evaluate.engine.PIECE_ROWS", 4)
    monkeypatch.setattr(patient_tables, "ROWS_AT_ONCE", 5 * PATIENTS)
    cut = read_tables(evaluate(place, "expression", "expression.csv", **settings))
    assert max(held) <= 4 * PATIENTS * max(GENES, REPEATS * STEP)
    assert sorted(cut) == sorted(whole)
    assert {"scores", "predictions", "targets", "subgroups", "site_means"} <= set(whole)
    for name, table in whole.items():  # products of very small matrices are summed otherwise
        exact = name not in ("site_means", "subgroups")
        pd.testing.assert_frame_equal(cut[name], table, check_exact=exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("task", "labels"), [("expression", "expression.csv"), ("mutation", "mutations.csv")]
)
def test_scores_that_the_tests_took_are_those_of_each_configuration_computed_anew(
    place: Path, task: str, labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"repeats": 2, "resamples": 100, "folds": 3, "site_check": False}
    folder = evaluate(place, task, labels, **settings)
    taken = folder.read("scores")
    folder.root.child(folder.folder).delete()
    monkeypatch.setattr(EncoderScores, "columns", None)
    anew = evaluate(place, task, labels, **settings).read("scores")
    pd.testing.assert_frame_equal(taken.to_pandas(), anew.to_pandas(), check_exact=True)


def test_predictions_are_given_up_where_scoring_fails_and_a_second_run_ends(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"repeats": 2, "resamples": 110, "folds": 3, "site_check": False}

    def fail(*given: Any) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(patient_tables, "score_plan", fail)
        with pytest.raises(StoreError, match="no room"):
            evaluate(place, "mutation", "mutations.csv", **settings)
    staged = place / "store" / ".staging"
    assert not staged.is_dir() or not list(staged.rglob("*.parquet"))
    folder = evaluate(place, "mutation", "mutations.csv", **settings)
    assert len(folder.read("predictions")) == 2 * 2 * PATIENTS


@pytest.mark.parametrize(("targets", "blocks"), [(9, 1), (20, 2), (21, 1 + 1), (22, 3)])
def test_blocks_end_where_resamples_do_and_no_target_is_left_alone(
    targets: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    folds = np.stack([rng.permutation(40) % 5 for _ in range(4)])
    truth = TargetTruth(
        "expression",
        tuple(map(str, range(targets))),
        rng.normal(size=(40, targets)),
        folds,
        kind=TargetKind.CONTINUOUS,
    )
    monkeypatch.setattr("histo_ray.learn.statistics.correlation_bootstrap._CELLS", 500)
    monkeypatch.setattr(prediction_blocks, "BLOCK_BYTES", 4 * 4 * 40 * 2 * 14)
    found = list_blocks(truth, 2, 100)
    assert len(found) == blocks
    assert all(block.start % (2 * targets_at_once(100)) == 0 for block in found)
    assert np.concatenate([np.arange(targets)[block] for block in found]).tolist() == [
        *range(targets)
    ]
    assert found[-1].stop - found[-1].start > 1
    repeats = [range(4)[some] for some in list_repeats(truth, 1)]
    assert [repeat for some in repeats for repeat in some] == [0, 1, 2, 3]
    assert all(4 * 40 * targets * len(some) <= prediction_blocks.BLOCK_BYTES for some in repeats)


def test_only_the_row_groups_of_some_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TableFolder(location_of(str(tmp_path)), "tables")
    table = pa.table({"number": np.arange(103), "text": [str(at) for at in range(103)]})
    folder.write("some", [table], table.schema, 10)
    groups: list[int] = []
    read = pq.ParquetFile.read_row_groups

    def note(self: pq.ParquetFile, row_groups: list[int], columns: list[str]) -> pa.Table:
        groups.extend(row_groups)
        return read(self, row_groups, columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", note)
    for rows in (slice(0, 103), slice(19, 31), slice(100, 500), slice(7, 8)):
        groups.clear()
        number, text = folder.read_between("some", rows, ("number", "text"))
        assert number.to_pylist() == [*range(103)[rows]]
        assert text.to_pylist() == [str(at) for at in range(103)[rows]]
        assert len(groups) <= (len(number) + 28) // 10
    with pytest.raises(StoreError, match="no such table"):
        folder.read_between("other", slice(0, 1), ("number",))
    (tmp_path / "tables" / "some.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError, match="damaged"):
        folder.read_between("some", slice(0, 1), ("number",))


def test_a_run_of_mil_heads_opens_the_bag_of_each_slide_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()
    look = Location.open

    def note(self: Location) -> Any:
        opened[self.path] += "/embeddings/" in self.path
        return look(self)

    monkeypatch.setattr(Location, "open", note)
    evaluate(
        place, "mutation", "mutations.csv", head=("mil",), mil=("epochs=2", "members=2"),
        folds=2, repeats=1, resamples=100,
    )  # fmt: skip
    bags = {path: count for path, count in opened.items() if count}
    assert len(bags) == PATIENTS * len(ENCODERS)
    assert set(bags.values()) == {1}
