"""Options by which Ray places the actors of a run, on a Ray that only notes them."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from histo_ray.cluster import pool, session
from histo_ray.config import ExtractConfig
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.extract.resources import Node, plan_workers

GIB = 2**30


class NotedActor:
    """An actor class that notes with which options, given once, and arguments it is started."""

    def __init__(self, started: list[dict[str, Any]]) -> None:
        self._started = started

    def options(self, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *args: self._started.append(options | {"args": args}))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr("ray.remote", lambda kind: NotedActor(noted))
    return noted


def config(**settings: object) -> ExtractConfig:
    values = {"manifest": "m.csv", "store": "s", "encoder": ("imgnet2048",), **settings}
    return ExtractConfig.model_validate(values)


def test_on_gpus_readers_have_their_node_and_encoders_their_kind_of_card(
    started: list[dict[str, Any]],
) -> None:
    nodes = [
        Node(4, 1, GIB, node_id="a" * 56, accelerator="A100"),
        Node(2, 0, GIB, node_id="b" * 56, labels={"disk": "fast"}),
    ]
    asked = config(accelerator_type="A100", reader_label=("disk=fast",))
    workers = plan_workers(nodes, asked)
    pool.start_readers(asked, workers)
    assert len(started) == 2
    for actor in started:
        where = actor["scheduling_strategy"]
        assert isinstance(where, NodeAffinitySchedulingStrategy)
        assert (where.node_id, where.soft) == ("b" * 56, True)
        assert actor["label_selector"] == {"disk": "fast"}
        assert actor["args"][1] == 0  # nobody encodes there
    started.clear()
    pool.start_encoders(asked, [], workers)
    (encoder,) = started
    assert (encoder["num_gpus"], encoder["num_cpus"]) == (1, 1)
    assert (encoder["accelerator_type"], encoder["scheduling_strategy"]) == ("A100", "SPREAD")
    assert "label_selector" not in encoder


def test_readers_beside_an_encoder_run_at_lower_priority(started: list[dict[str, Any]]) -> None:
    asked = config()
    nodes = [Node(3, 1, GIB, node_id="a" * 56), Node(1, 0, GIB, node_id="b" * 56)]
    pool.start_readers(asked, plan_workers(nodes, asked))
    niceness = [(actor["scheduling_strategy"].node_id[0], actor["args"][1]) for actor in started]
    assert niceness == [("a", 10), ("a", 10), ("b", 0)]


def test_on_cores_ray_spreads_them_as_before(started: list[dict[str, Any]]) -> None:
    asked = config()
    workers = plan_workers([Node(2, 0, GIB, node_id="a" * 56)], asked)
    pool.start_readers(asked, workers)
    pool.start_encoders(asked, [], workers)
    assert [actor["scheduling_strategy"] for actor in started] == ["SPREAD"] * 3
    assert not any("label_selector" in actor for actor in started)


def test_an_encoder_has_an_environment_of_its_own_only_where_workers_lack_it(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(device="cpu")
    workers = plan_workers([Node(2, 0, GIB, node_id="a" * 56)], asked)
    pool.start_encoders(asked, [], workers)
    monkeypatch.setattr(session, "_given_to_workers", {**ENVIRONMENT, "OTHER": "1"})
    pool.start_encoders(asked, [], workers)
    monkeypatch.setattr(session, "_given_to_workers", {"OTHER": "1"})
    pool.start_encoders(asked, [], workers)
    own, none, again = [actor.get("runtime_env") for actor in started]
    assert own == again == {"env_vars": ENVIRONMENT}
    assert none is None


def test_workers_of_a_machine_with_a_gpu_are_given_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "count_gpus", lambda: 1)
    assert pool.encoder_variables(config()) == {}
    assert pool.encoder_variables(config(device="cpu")) == ENVIRONMENT
    monkeypatch.setattr(pool, "count_gpus", lambda: 0)
    assert pool.encoder_variables(config()) == ENVIRONMENT
