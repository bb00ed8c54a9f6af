"""Several workers on Ray share each batch, lose one and go on."""

import os
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histo_ray.cluster import gloo_interface
from histo_ray.cluster.run_finetune import plan_group, run_finetune
from histo_ray.errors import ConfigError
from histo_ray.extract.resources import Node
from histo_ray.finetune.curves import CurveRow, read_curves
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.finetune.job import TrainingProgress
from histo_ray.store.location import location_of

pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.")
"""Ray Train 2.60 warns of settings of its own."""

MakeConfig = Callable[..., FinetuneConfig]


def curves_of(config: FinetuneConfig) -> list[CurveRow]:
    place = location_of(config.store).child(f"models/{config.name}/curves.parquet")
    return read_curves(place.read_bytes())


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("shared_ray")
def test_two_workers_learn_what_one_learns(make_config: MakeConfig) -> None:
    alone, both = make_config(name="alone"), make_config(name="both", workers=2, threads=1)
    seen: list[TrainingProgress] = []
    card = run_finetune(both, seen.append).card
    finetune(alone)
    assert card.workers == 2
    assert seen[-1].step == "network"
    for one, two in zip(curves_of(alone), curves_of(both), strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-3, nan_ok=True)
        assert one.held_out_accuracy == pytest.approx(two.held_out_accuracy, abs=0.12)
    assert run_finetune(both).was_there


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("shared_ray")
def test_a_group_that_loses_a_worker_goes_on_from_its_checkpoint(make_config: MakeConfig) -> None:
    changes = ("network.epochs=4", "batch_size=16", "network.batch_norm='train'")
    calm = make_config(name="calm", workers=2, threads=1, set=changes)
    wild = make_config(name="wild", workers=2, threads=1, set=changes, save_every_s=0.0)
    expected = run_finetune(calm).card
    killed: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if progress.step == "network" and progress.epoch == 2 and not killed:
            for process in psutil.process_iter(["cmdline"]):
                if "RayTrainWorker" in (process.info["cmdline"] or [""])[0]:
                    killed.append(process.pid)
                    process.kill()
                    return

    card = run_finetune(wild, kill).card
    assert killed
    assert card.weights_sha256 == expected.weights_sha256


def test_a_group_is_planned_by_what_the_cluster_has(make_config: MakeConfig) -> None:
    nodes = [Node(cpus=8, gpus=2, object_store_bytes=1), Node(cpus=8, gpus=1, object_store_bytes=1)]
    config = make_config(workers=3, device="auto", threads=None)
    assert plan_group(config, nodes) == {
        "num_workers": 3,
        "use_gpu": True,
        "resources_per_worker": {"CPU": 4, "GPU": 1},
    }
    assert not plan_group(make_config(workers=3), nodes)["use_gpu"]
    with pytest.raises(ConfigError, match="more than the cluster's 3 GPUs; lower it to at most 3"):
        plan_group(make_config(workers=4, device="auto"), nodes)


NODES = st.lists(
    st.builds(
        lambda cpus, gpus: Node(cpus, gpus, 1),
        st.sampled_from([0.0, 1.0, 2.0, 7.5, 16.0]),
        st.sampled_from([0.0, 1.0, 2.0, 8.0]),
    ),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=NODES, workers=st.integers(1, 12), on_cpu=st.booleans())
def test_every_worker_of_a_group_has_a_place_on_one_node(
    make_config: MakeConfig, nodes: list[Node], workers: int, on_cpu: bool
) -> None:
    config = make_config(workers=workers, device="cpu" if on_cpu else "auto", threads=None)
    try:
        shape = plan_group(config, nodes)
    except ConfigError:  # fewer GPUs or cores than workers
        return
    asked = shape["resources_per_worker"]
    free = [[node.cpus, node.gpus] for node in nodes]
    for _ in range(workers):  # by first fit, as Ray reserves them
        place = next(f for f in free if f[0] >= asked["CPU"] and f[1] >= asked.get("GPU", 0))
        place[0] -= asked["CPU"]
        place[1] -= asked.get("GPU", 0)


def test_a_worker_never_asks_for_more_cores_than_its_node_has(make_config: MakeConfig) -> None:
    nodes = [Node(16, 0, 1)] * 4 + [Node(8, 1, 1)] * 2
    config = make_config(workers=2, device="auto", threads=None)
    assert plan_group(config, nodes)["resources_per_worker"] == {"CPU": 8, "GPU": 1}
    with pytest.raises(ConfigError, match=r"--threads 40: the nodes have no room .* at most 8"):
        plan_group(make_config(workers=2, device="auto", threads=40), nodes)


def test_a_group_stays_on_the_nodes_asked_for(make_config: MakeConfig) -> None:
    nodes = [
        Node(8, 2, 1, accelerator="V100"),
        Node(16, 2, 1, accelerator="A100", labels={"pool": "spot"}),
    ]
    config = make_config(
        workers=2, device="auto", threads=None, accelerator_type="A100", node_label=("pool=spot",)
    )
    assert plan_group(config, nodes) == {
        "num_workers": 2,
        "use_gpu": True,
        "resources_per_worker": {"CPU": 8, "GPU": 1},
        "accelerator_type": "A100",
        "label_selector": {"pool": "spot"},
    }
    with pytest.raises(ConfigError, match="H100: no node of the cluster has it; use A100 or V100"):
        plan_group(make_config(workers=2, device="cuda", accelerator_type="H100"), nodes)


def test_gloo_and_nccl_take_the_interface_of_the_nodes_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = {
        "docker0": [SimpleNamespace(address="172.17.0.1")],
        "ib0": [SimpleNamespace(address="10.0.0.7")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "10.0.0.7")
    monkeypatch.delenv(gloo_interface.GLOO, raising=False)
    monkeypatch.setenv(gloo_interface.NCCL, "eth1")
    gloo_interface.choose_interface()
    assert os.environ.pop(gloo_interface.GLOO) == "ib0"
    assert os.environ.pop(gloo_interface.NCCL) == "eth1"  # the user's choice
    gloo_interface.choose_interface()
    assert os.environ.pop(gloo_interface.NCCL) == "=ib0"
    os.environ.pop(gloo_interface.GLOO)
