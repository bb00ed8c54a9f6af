from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.config import ExtractConfig
from histo_ray.errors import ConfigError
from histo_ray.extract.resources import (
    Node,
    Workers,
    plan_workers,
    share_of_newcomer,
    shorten_calls,
)

GIB = 2**30


def config(**settings: object) -> ExtractConfig:
    return ExtractConfig.model_validate(
        {"manifest": "m.csv", "store": "s", "encoder": ("imgnet2048",), **settings}
    )


def demand(workers: Workers) -> tuple[float, float]:
    cpus = workers.readers * workers.reader_cpus + workers.encoders * workers.encoder_cpus
    return cpus, workers.encoders * workers.encoder_gpus


def test_a_laptop_gets_one_encoder_with_all_cores_and_readers_that_yield_to_it() -> None:
    workers = plan_workers([Node(2, 0, 4 * GIB)], config())
    assert (workers.encoders, workers.threads, workers.readers) == (1, 2, 2)
    assert workers.niceness > 0
    assert demand(workers)[0] <= 2


def test_a_gpu_node_gets_an_encoder_a_gpu_with_a_core_and_readers_on_the_other_cores() -> None:
    nodes = [Node(16, 2, 40 * GIB, node_id="gpus"), Node(32, 0, 60 * GIB, node_id="cores")]
    workers = plan_workers(nodes, config())
    assert (workers.encoders, workers.readers, workers.niceness) == (2, 46, 0)
    assert (workers.encoder_cpus, workers.reader_cpus) == (1, 1)
    assert workers.batch_size == 128
    assert [(place.node_id, place.count) for place in workers.reader_places] == [
        ("gpus", 14),
        ("cores", 32),
    ]
    assert [place.niceness > 0 for place in workers.reader_places] == [True, False]
    cpus, gpus = demand(workers)
    assert cpus <= 48
    assert gpus == 2


def test_a_gpu_is_left_alone_on_request() -> None:
    workers = plan_workers([Node(8, 1, 20 * GIB)], config(device="cpu"))
    assert workers.encoder_gpus == 0


@pytest.mark.parametrize("cpus", [1, 2, 4, 7, 64])
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"readers": 9}, {"encoder_workers": 5}])
def test_what_is_asked_for_always_fits(cpus: int, nodes: int, settings: dict[str, int]) -> None:
    workers = plan_workers([Node(cpus, 0, GIB)] * nodes, config(**settings))
    assert demand(workers)[0] <= cpus * nodes
    assert workers.reader_cpus > 0


@given(
    cpus=st.lists(st.sampled_from([1.0, 2.0, 3.0, 7.5, 16.0]), min_size=1, max_size=5),
    settings=st.sampled_from([{}, {"readers": 5}, {"encoder_workers": 3}]),
    seed=st.integers(0, 99),
)
def test_every_process_finds_a_node_wherever_the_others_are_put(
    cpus: list[float], settings: dict[str, int], seed: int
) -> None:
    nodes = [Node(count, 0, GIB) for count in cpus]
    workers = plan_workers(nodes, config(**settings))
    assert workers.reader_cpus > 0
    shares = [workers.reader_cpus] * workers.readers + [workers.encoder_cpus] * workers.encoders
    rng = np.random.default_rng(seed)
    free = np.array(cpus)
    for share in rng.permutation(shares):
        fitting = np.flatnonzero(free >= share - 1e-9)
        assert len(fitting)
        free[rng.choice(fitting)] -= share


def test_pixels_in_flight_fit_a_small_object_store() -> None:
    workers = plan_workers([Node(64, 0, 100 * 2**20)], config(batch_size=64))
    assert workers.blocks_in_flight * 64 * 224 * 224 * 3 <= 100 * 2**20


@pytest.mark.parametrize(
    ("store_gib", "settings", "batches"),
    [
        (40, {}, 8),
        (6, {}, 3),
        (0.1, {}, 1),
        (40, {"batch_size": 1024}, 1),
        (40, {"device": "cpu"}, 1),
    ],
)
def test_calls_are_long_on_gpus_as_far_as_all_their_pixels_fit_the_object_stores(
    store_gib: float, settings: dict[str, Any], batches: int
) -> None:
    node = Node(16, 2, int(store_gib * GIB))
    workers = plan_workers([node], config(**settings))
    assert workers.batches_a_call == batches
    assert workers.call_tiles == batches * workers.batch_size
    held = workers.blocks_in_flight * workers.batch_size * 224 * 224 * 3
    assert held <= max(0.4 * store_gib * GIB, 2 * workers.batch_size * 224 * 224 * 3)


def test_slow_encoders_have_calls_of_one_batch_and_few_pixels_wait_for_them() -> None:
    quick = plan_workers([Node(2, 0, 4 * GIB)], config())
    assert (quick.batch_size, quick.batches_a_call, quick.blocks_in_flight) == (32, 8, 64)
    slow = shorten_calls(quick, 1)
    assert (slow.batches_a_call, slow.blocks_in_flight) == (1, 8)
    tight = shorten_calls(plan_workers([Node(2, 0, 2**26)], config()), 1)
    assert tight.blocks_in_flight * 32 * 224 * 224 * 3 <= 0.4 * 2**26


def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="no GPU in the cluster or machine; use --device auto"):
        plan_workers([Node(4, 0, GIB)], config(device="cuda"))


def test_a_cluster_without_cpus_is_told() -> None:
    with pytest.raises(ConfigError, match="offers no CPU"):
        plan_workers([Node(0, 0, GIB)], config())


def test_a_large_node_beside_a_small_one_is_used_whole() -> None:
    workers = plan_workers([Node(16, 0, 40 * GIB), Node(4, 0, 10 * GIB)], config())
    assert (workers.encoders, workers.threads, workers.readers) == (5, 4, 20)


@pytest.mark.parametrize(
    ("node", "gpus", "settings", "readers", "encoders"),
    [
        pytest.param(Node(8, 0, GIB), False, {}, 8, 2, id="cores"),
        pytest.param(Node(2, 0, GIB), False, {}, 2, 1, id="fewer cores than an encoder's threads"),
        pytest.param(Node(0, 0, GIB), False, {}, 0, 0, id="no core"),
        pytest.param(Node(8, 2, GIB), False, {}, 8, 2, id="a GPU where the run is on cores"),
        pytest.param(Node(8, 2, GIB), True, {}, 6, 2, id="GPUs, each with a core"),
        pytest.param(Node(8, 0, GIB), True, {}, 8, 0, id="cores where the run is on GPUs"),
        pytest.param(Node(8, 0, GIB), False, {"readers": 3}, 0, 2, id="readers counted"),
        pytest.param(Node(8, 0, GIB), False, {"encoder_workers": 1}, 8, 0, id="encoders counted"),
    ],
)
def test_a_node_that_joins_gets_processes_like_those_that_are_there(
    node: Node, gpus: bool, settings: dict[str, int], readers: int, encoders: int
) -> None:
    asked = config(**settings)
    workers = plan_workers([Node(4, float(gpus), GIB)], asked)
    share = share_of_newcomer(node, workers, asked)
    assert (share.readers, share.encoders) == (readers, encoders)
    assert (share.reader_cpus, share.threads) == (workers.reader_cpus, workers.threads)
