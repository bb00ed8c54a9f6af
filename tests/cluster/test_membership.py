"""Which processes of a run get work; no Ray is started."""

import os
from typing import Any

import pytest

from histo_ray.cluster import gather, membership, start
from histo_ray.cluster.call_values import EncodedBlock, name_devices
from histo_ray.cluster.gather import Gathered
from histo_ray.cluster.membership import Membership
from histo_ray.cluster.pool import PooledActor
from histo_ray.errors import ConfigError, DeviceError, DeviceMemoryError, HistoRayError
from histo_ray.extract.run_counts import Counts
from histo_ray.types import EncoderFacts
from testing.partitions import facts_of

FACTS = facts_of(encoder="net").encoder.model_copy(update={"device": "cuda (NVIDIA A100) (x86_64)"})


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Processes that were ended for good, and those that are started again."""
    seen: list[Any] = []
    monkeypatch.setattr("ray.kill", lambda handle, no_restart: seen.append("again"))
    for module in (membership, gather):
        monkeypatch.setattr(module, "kill_actors", lambda members: seen.append("good"))
    return seen


def make(count: int) -> tuple[Membership, list[PooledActor], Counts]:
    """A run of one reader and some encoders."""
    encoders, counts = [PooledActor(None) for _ in range(count)], Counts(0)
    members = Membership([PooledActor(None)], list(encoders), {"net": FACTS}, counts)
    for member in encoders:
        members.admit(member, "node", {"net": FACTS})
    return members, encoders, counts


def other(**change: object) -> dict[str, EncoderFacts]:
    return {"net": FACTS.model_copy(update=change)}


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "b" * 64},
        {"precision": "other"},
        {"batch_norm_folded": not FACTS.batch_norm_folded},
        {"device": "cpu (x86_64)"},
    ],
)
def test_a_process_that_would_compute_otherwise_gets_no_work(
    change: dict[str, Any], ended: list[Any]
) -> None:
    members, (first, second), counts = make(2)
    members.admit(second, "node", other(**change))
    assert members.encoders == [first]
    assert ended == ["good"]
    assert "processes of one run differ in" in counts.left_out[0]


def test_unlike_cards_work_together_and_are_named(
    caplog: pytest.LogCaptureFixture, ended: list[Any]
) -> None:
    members, (first, second), counts = make(2)
    assert not caplog.records
    members.admit(second, "node", other(device="cuda (NVIDIA H100) (x86_64)"))
    assert members.encoders == [first, second]
    assert counts.devices == {"cuda (NVIDIA A100) (x86_64)", "cuda (NVIDIA H100) (x86_64)"}
    assert "unlike devices (cuda (NVIDIA A100) (x86_64); cuda (NVIDIA H100)" in caplog.text


def test_a_gpu_is_left_out_after_two_processes_however_many_calls_tell_of_each(
    ended: list[Any],
) -> None:
    members, (first, second), counts = make(2)
    for _ in range(3):
        assert members.note_device_failure(second, DeviceError("cuda", "sick", 11))
    assert ended == ["again"]
    assert not members.note_device_failure(second, DeviceError("cuda", "sick", 12))
    assert ended == ["again", "good"]
    assert members.encoders == [first]
    assert counts.left_out == ["encoder on cuda: sick (in 2 processes)"]
    assert not members.note_device_failure(second, DeviceError("cuda", "sick", 12))
    assert ended == ["again", "good"]


def test_the_last_gpu_ends_the_run_in_one_sentence(ended: list[Any]) -> None:
    members, (only,), _ = make(1)
    members.note_device_failure(only, DeviceError("cuda", "sick", os.getpid()))
    with pytest.raises(HistoRayError, match=r"^run: no encoder is left; encoder on cuda: sick .in"):
        members.note_device_failure(only, DeviceError("cuda", "sick", os.getpid() + 1))


def test_memory_that_does_not_suffice_is_not_tried_again(ended: list[Any]) -> None:
    members, (first, second), _ = make(2)
    assert not members.note_device_failure(first, DeviceMemoryError("not even one tile"))
    assert ended == ["good"]
    with pytest.raises(DeviceMemoryError, match="not even one tile"):
        members.note_device_failure(second, DeviceMemoryError("not even one tile"))


def test_unlike_precision_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [[FACTS], [FACTS.model_copy(update={"precision": "other"})]]
    found = Gathered({PooledActor(None): facts for facts in answers})
    monkeypatch.setattr(start, "gather", lambda *_: found)
    with pytest.raises(ConfigError, match="differ in precision"):
        start.load_encoders(list(found.answers))


def test_a_partition_names_the_devices_of_its_own_vectors() -> None:
    def piece(device: str) -> EncodedBlock:
        nothing: Any = None
        return EncodedBlock(0, nothing, slice(0, 1), nothing, device)

    assert name_devices(FACTS, [piece("b"), piece("a"), piece("b")]).device == "a + b"
    assert name_devices(FACTS, []) == FACTS
    assert name_devices(FACTS, [piece("")]) == FACTS
