"""Several workers on Ray share each batch, lose one and go on."""

from collections.abc import Callable

import psutil
import pytest

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
        "resources_per_worker": {"CPU": 5, "GPU": 1},
    }
    assert not plan_group(make_config(workers=3), nodes)["use_gpu"]
    with pytest.raises(ConfigError, match="more than the cluster's 3 GPUs; lower it to at most 3"):
        plan_group(make_config(workers=4, device="auto"), nodes)
