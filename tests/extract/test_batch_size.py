"""Tiles of a batch on a GPU."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.config import ExtractConfig
from histo_ray.encoders.registry import resolve
from histo_ray.extract.batch_size import choose_batch_size, count_usable_memory, largest_input
from histo_ray.extract.resources import Node, plan_workers
from histo_ray.extract.this_machine import describe_machine

GIB = 2**30


def config(**settings: object) -> ExtractConfig:
    return ExtractConfig.model_validate(
        {"manifest": "m.csv", "store": "s", "encoder": ("imgnet2048",), **settings}
    )


@pytest.mark.parametrize(
    ("px", "memory_gib", "tiles"),
    [
        (224, 0, 128),
        (224, 10, 128),
        (224, 139, 128),
        (224, 9.9, 64),
        (224, 1, 8),
        (448, 0, 32),
        (448, 24, 64),
        (448, 139, 128),
        (299, 0, 64),
        (299, 24, 128),
        (112, 0, 512),
        (112, 139, 512),
        (112, 4, 128),
        (32, 139, 1024),
        (4096, 1, 1),
    ],
)
def test_a_batch_has_as_many_pixels_as_memory_holds(px: int, memory_gib: float, tiles: int) -> None:
    assert choose_batch_size(px, memory_gib * GIB) == tiles


@given(px=st.integers(1, 5000), memory_bytes=st.integers(1, 200 * GIB))
def test_a_batch_is_a_power_of_two_and_never_grows_with_tiles_or_falls_with_memory(
    px: int, memory_bytes: int
) -> None:
    tiles = choose_batch_size(px, memory_bytes)
    assert 1 <= tiles <= 1024
    assert tiles & (tiles - 1) == 0
    assert (
        choose_batch_size(px + 1, memory_bytes) <= tiles <= choose_batch_size(px, memory_bytes * 2)
    )


def test_the_gpu_with_the_least_memory_decides_for_a_whole_run_and_its_encoders_share_it() -> None:
    nodes = [
        Node(16, 2, 40 * GIB, gpu_memory_bytes=70 * GIB),
        Node(16, 1, 40 * GIB, gpu_memory_bytes=7 * GIB),
        Node(16, 1, 40 * GIB),
        Node(64, 0, 40 * GIB, gpu_memory_bytes=1),
    ]
    assert plan_workers(nodes, config()).batch_size == 64
    assert plan_workers(nodes, config(encoder_workers=8)).batch_size == 32
    assert plan_workers(nodes, config(), input_px=448).batch_size == 16
    assert plan_workers(nodes[2:3], config()).batch_size == 128


@pytest.mark.parametrize("settings", [{"batch_size": 100}, {"batch_size": 4096, "tile_px": 512}])
def test_a_batch_size_that_is_stated_is_obeyed(settings: dict[str, Any]) -> None:
    node = Node(16, 2, 40 * GIB, gpu_memory_bytes=GIB)
    assert plan_workers([node], config(**settings), 448).batch_size == settings["batch_size"]


def test_on_a_cpu_neither_pixels_nor_memory_count() -> None:
    node = Node(4, 0, 4 * GIB)
    for settings in ({}, {"tile_px": 1024}):
        workers = plan_workers([node], config(**settings), 448)
        assert workers.batch_size == 64


def test_of_a_machines_cards_those_with_the_most_free_memory_are_used() -> None:
    assert count_usable_memory([5, 80, 70], 2) == 70
    assert count_usable_memory([5, 80, 70], 9) == 5
    assert count_usable_memory([], 2) == count_usable_memory([5], 0) == 0


def test_tiles_are_as_large_as_the_largest_encoder_takes_them() -> None:
    specs = [resolve("random:resnet18?px=64"), resolve("random:resnet18?px=448")]
    assert largest_input(specs) == 448
    assert largest_input([resolve("random:resnet18")]) == largest_input([]) == 0


def test_this_machine_is_asked_for_memory_only_where_a_gpu_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("histo_ray.extract.this_machine.list_free_memory", lambda: [3 * GIB, GIB])
    assert describe_machine(0).gpu_memory_bytes == 0
    node = describe_machine(1)
    assert (node.gpus, node.gpu_memory_bytes) == (1, 3 * GIB)
