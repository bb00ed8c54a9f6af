"""Ray puts processes where the plan and the settings want them; GPUs are claimed, not there."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.raylets import RayCluster, ray_cluster

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

START = """
import json, sys, ray
from histo_ray.cluster.pool import start_encoders, start_readers
from histo_ray.cluster.session import ray_session
from histo_ray.config import ExtractConfig
from histo_ray.extract.resources import plan_workers
settings = {"manifest": "m.csv", "store": "s", "encoder": ("e",), **json.loads(sys.argv[2])}
config = ExtractConfig.model_validate(settings)
with ray_session(sys.argv[1]) as nodes:
    names = {node["NodeID"]: node["NodeName"] for node in ray.nodes()}
    workers = plan_workers(nodes, config)
    found, started = [], (start_encoders(config, [], workers), start_readers(config, workers))
    for actors in started:
        calls = [actor.handle.node.remote() for actor in actors]
        found.append(sorted(names[node] for node in ray.get(calls, timeout=200)))
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """Node n1 with an old card, n2 with a new one, n3 with cores."""
    with ray_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_head()
        for cpus, gpus, pool, kind in ((2, 1, "a", "V100"), (2, 1, "b", "A100"), (1, 0, "c", "")):
            resources = json.dumps({f"accelerator_type:{kind}": 1} if kind else {})
            cluster.add(cpus, gpus, options=(f"--labels=pool={pool}", f"--resources={resources}"))
        yield cluster


@pytest.mark.parametrize(
    ("settings", "encoders", "readers"),
    [
        ({}, ["n1", "n2"], ["n1", "n2", "n3"]),
        ({"accelerator_type": "A100", "reader_label": ["pool=c"]}, ["n2"], ["n3"]),
        ({"encoder_label": ["pool=!b"], "readers": 2}, ["n1"], ["n1", "n2"]),
        ({"encoder_workers": 4}, ["n1", "n1", "n2", "n2"], ["n3"]),
        ({"device": "cpu", "encoder_label": ["pool=c"], "reader_label": ["pool=a"]},
         ["n3"], ["n1", "n1"]),
    ],
)  # fmt: skip
def test_every_process_starts_on_a_node_that_it_may_have(
    cluster: RayCluster,
    settings: dict[str, object],
    encoders: list[str],
    readers: list[str],
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, cluster.address, json.dumps(settings)],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [encoders, readers]
