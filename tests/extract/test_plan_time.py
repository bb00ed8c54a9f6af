"""How a plan estimates time, and when it loads encoders for that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from histo_ray.api.plan import plan
from histo_ray.config import ExtractConfig
from histo_ray.encoders.registry import find_dim, resolve
from histo_ray.extract import dry_run
from histo_ray.extract.earlier_speed import LEAST_TILES, EarlierSpeed, Machine, find_earlier_speed
from histo_ray.extract.plan_here import PlanHere
from histo_ray.extract.plan_processes import count_cores
from histo_ray.extract.plan_summary import BYTES_A_ROW, FROM_BATCH, Measured, Planned
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.store import open_store
from tests.made_up import facts_of, rows_of

MakeConfig = Callable[..., ExtractConfig]
HERE = Machine(4, 0)


def a_run(run_id: str, tiles: int, **changed: Any) -> RunRecord:
    facts: dict[str, Any] = {
        "state": ExtractionState.FINISHED, "began_at": "", "encoders": ("a", "b"), "outcomes": {},
        "slides": 1, "tiles_encoded": tiles, "tiles_per_s": 20.0, "nodes": 1, "cores": 4, "gpus": 0,
        "settings": {"tile_px": 96, "manifest": "other.csv", "encoder": ["a", "b"]},
    }  # fmt: skip
    return RunRecord(run_id=run_id, **facts | changed)


def asked(**settings: Any) -> ExtractConfig:
    given: dict[str, Any] = {"manifest": "-", "store": "-", "encoder": ("a", "b"), "tile_px": 96}
    return ExtractConfig(**given | settings)


def test_the_largest_run_like_this_one_gives_its_speed() -> None:
    records = [
        a_run("small", LEAST_TILES - 1, tiles_per_s=99.0),
        a_run("large", 900, tiles_per_s=30.0),
        a_run("larger", 1000),
    ]
    speed = find_earlier_speed(records, ("b", "a"), asked(), HERE)
    assert speed == EarlierSpeed("larger", 20.0)
    assert find_earlier_speed(records[:1], ("a", "b"), asked(), HERE) is None


@pytest.mark.parametrize(
    "other",
    [
        {"encoders": ("a",)},
        {"cores": 8},
        {"gpus": 1},
        {"nodes": 2},
        {"tiles_per_s": 0.0},
        {"settings": {}},
        {"settings": {"tile_px": 96, "precision": "bfloat16"}},
    ],
)
def test_a_run_that_was_otherwise_tells_nothing(other: dict[str, Any]) -> None:
    assert find_earlier_speed([a_run("r", 1000, **other)], ("a", "b"), asked(), HERE) is None


def test_lengths_of_vectors_are_known_from_tables_for_networks_built_alike() -> None:
    assert find_dim(resolve("uni2-h")) == 1536
    assert find_dim(resolve("random:resnet18?seed=3")) == 512
    assert find_dim(resolve("random:resnet10t")) is None
    assert find_dim(resolve("random:vit_small_patch14_dinov2?pool=cls+mean")) is None


def test_bytes_are_known_only_where_all_encoders_that_are_needed_are() -> None:
    planned = Planned()
    planned.vectors.update({"a": 3, "b": 2, "stored": 0})
    assert planned.count_bytes({"a": 10, "b": 5}, "float16") == 3 * (20 + BYTES_A_ROW) + 2 * (
        10 + BYTES_A_ROW
    )
    assert planned.count_bytes({"a": 10, "b": 5}, "float32") == 3 * 40 + 2 * 20 + 5 * BYTES_A_ROW
    assert planned.count_bytes({"a": 10}, "float16") is None
    assert Planned().count_bytes({}, "float16") == 0


class Loads:
    """Stands in for the process that loads encoders, and counts how often it is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: list[int] = []
        loads = self

        class Probe:
            def __init__(self, *_: Any) -> None:
                loads.at.append(1)

            def look(self) -> None:
                pass

            def close(self) -> None:
                pass

        def measure(planner: PlanHere, planned: Planned) -> Measured:
            planner._start_probe()
            return Measured([], 12.5)

        monkeypatch.setattr("histo_ray.extract.plan_here.EncoderProbe", Probe)
        monkeypatch.setattr(PlanHere, "measure", measure)

    @property
    def count(self) -> int:
        return len(self.at)


def test_encoders_are_loaded_where_the_work_is_large_or_where_that_is_asked_for(
    make_config: MakeConfig, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Loads(monkeypatch)
    config = make_config(tmp_path / "store", address="none", manifest=str(cohort.good))
    small = plan(config)
    tiles = small.tiles
    assert tiles is not None
    assert LEAST_TILES > tiles > 0
    assert (loads.count, small.seconds, small.seconds_from) == (0, None, "")
    assert plan(config, measure=True).seconds_from == FROM_BATCH
    assert loads.count == 1
    monkeypatch.setattr(dry_run, "MEASURED_FROM", tiles)
    assert plan(config).seconds == 12.5
    assert loads.count == 2
    monkeypatch.setattr(dry_run, "MEASURED_FROM", tiles + 1)
    assert plan(config).seconds is None
    monkeypatch.setattr(dry_run, "MEASURED_FROM", 1)
    assert plan(config, measure=False).seconds is None
    assert loads.count == 2


def test_a_plan_takes_speed_and_length_from_what_the_store_has(
    make_config: MakeConfig, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Loads(monkeypatch)
    config = make_config(tmp_path / "store", address="none", manifest=str(cohort.good))
    (name,) = [spec.name for spec in [resolve(config.encoder[0])]]
    store = open_store(config.store, create=True)
    facts = facts_of("other", name, config.tiling.fingerprint())
    encoder = facts.encoder.model_copy(update={"request": config.encoder[0]})
    facts = replace(facts, encoder=encoder)
    store.commit(facts.key, facts, rows_of(3))

    record = a_run(
        "20261201T000000-abc", 5000, encoders=(name,), cores=count_cores(),
        settings=config.model_dump(mode="json", exclude_defaults=True),
    )  # fmt: skip
    store.write_run(record.run_id, [], record)
    made = plan(config)
    assert made.tiles is not None
    assert made.seconds == pytest.approx(made.tiles / 20.0)
    assert made.seconds_from == record.run_id
    assert made.bytes == made.tiles * (2 * encoder.dim + BYTES_A_ROW)
    assert loads.count == 0
    assert plan(config, measure=True).seconds_from == FROM_BATCH
