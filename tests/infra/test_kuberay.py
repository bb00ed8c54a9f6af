"""The manifests for Kubernetes, against KubeRay's own schema (its trimmed copy says where from)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.infra.files import INFRA, ROOT, locked_version

MANIFESTS = sorted((INFRA / "kuberay").glob("*.yaml"))
SCHEMA = json.loads((Path(__file__).parent / "kuberay-v1.7.0.json").read_text(encoding="utf-8"))
Manifest = dict[str, Any]


def documents() -> Iterator[Manifest]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def of_ray() -> list[Manifest]:
    return [document for document in documents() if document["apiVersion"] == "ray.io/v1"]


def clusters() -> list[Manifest]:
    return [d["spec"].get("rayClusterSpec", d["spec"]) for d in of_ray()]


def pods() -> list[tuple[str, Manifest]]:
    """Name and pod specification of each group of each cluster."""
    return [
        (group.get("groupName", "head"), group["template"]["spec"])
        for cluster in clusters()
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    ]


def check(document: Manifest) -> None:
    schema = {"$ref": f"#/$defs/{document['kind']}", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(document["spec"])


def test_there_is_a_cluster_and_a_job() -> None:
    assert sorted(document["kind"] for document in of_ray()) == ["RayCluster", "RayJob"]


def test_manifests_fit_the_schema_of_kuberay() -> None:
    for document in of_ray():
        check(document)


def test_a_key_that_kuberay_does_not_know_is_refused() -> None:
    cluster = next(document for document in of_ray() if document["kind"] == "RayCluster")
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["runAsNonRoot"] = True
    with pytest.raises(jsonschema.ValidationError, match="runAsNonRoot"):
        check(cluster)


def test_ray_has_the_version_of_the_lock_file() -> None:
    assert {cluster["rayVersion"] for cluster in clusters()} == {locked_version("ray")}


def test_every_pod_has_the_token_from_the_secret() -> None:
    for cluster in clusters():
        assert cluster["authOptions"] == {"mode": "token", "secretName": "histo-ray-token"}
    for _, pod in pods():
        environment = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        secret = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "histo-ray-token", "key": "auth_token"}


def test_no_manifest_holds_a_secret() -> None:
    assert all(document["kind"] != "Secret" for document in documents())


def test_no_pod_runs_as_root_or_can_become_root() -> None:
    for _, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 1000
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_every_container_states_what_it_needs_and_may_take() -> None:
    for _, pod in pods():
        for container in pod["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert resources["limits"] == resources["requests"]


def test_the_head_takes_no_work_and_stays_off_spot_nodes() -> None:
    for cluster in clusters():
        head = cluster["headGroupSpec"]
        assert head["serviceType"] == "ClusterIP"
        assert not head.get("enableIngress", False)
        assert head["rayStartParams"]["num-cpus"] == "0"
        pod = head["template"]["spec"]
        assert pod["nodeSelector"] == {"histo-ray/capacity": "on-demand"}
        assert "tolerations" not in pod


def test_workers_run_on_spot_nodes_and_only_encoders_have_gpus() -> None:
    for cluster in clusters():
        groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
        assert set(groups) == {"readers", "encoders"}
        for name, group in groups.items():
            pod = group["template"]["spec"]
            assert "histo-ray/capacity" in {t["key"] for t in pod["tolerations"]}
            limits = pod["containers"][0]["resources"]["limits"]
            assert ("nvidia.com/gpu" in limits) == (name == "encoders")
            assert (group["rayStartParams"].get("num-gpus") == "0") == (name == "readers")


def test_the_cluster_grows_from_nothing_to_a_limit_and_shrinks_when_idle() -> None:
    for cluster in clusters():
        assert cluster["enableInTreeAutoscaling"] is True
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] == 0 < group["maxReplicas"]
            assert group["idleTimeoutSeconds"] > 0


def test_the_job_asks_for_no_more_than_the_cluster_can_grow_to() -> None:
    job = next(document for document in of_ray() if document["kind"] == "RayJob")
    words = job["spec"]["entrypoint"].split()
    asked = {kind: int(words[words.index(f"--{kind}") + 1]) for kind in ("cpus", "gpus")}
    most = {"cpus": 0, "gpus": 0}
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        most["cpus"] += group["maxReplicas"] * int(limits["cpu"])
        most["gpus"] += group["maxReplicas"] * int(limits.get("nvidia.com/gpu", 0))
    assert asked["cpus"] + asked["gpus"] <= most["cpus"]  # a core with each GPU
    assert asked["gpus"] <= most["gpus"]


def test_the_job_runs_files_that_the_image_has() -> None:
    job = next(document for document in of_ray() if document["kind"] == "RayJob")
    recipe = (ROOT / "infra/container/Dockerfile").read_text(encoding="utf-8")
    assert "/opt/histo-ray/infra/with_nodes.py" in job["spec"]["entrypoint"]
    assert "/opt/histo-ray/jobs/extract.py" in job["spec"]["entrypoint"]
    assert "COPY infra/with_nodes.py infra/container/healthcheck.py /opt/histo-ray/infra/" in recipe
    assert "COPY jobs /opt/histo-ray/jobs" in recipe


def test_the_jobs_run_file_is_one_that_extract_takes() -> None:
    from histo_ray.config import ExtractConfig, parse_settings, parse_toml

    run = next(document for document in documents() if document["kind"] == "ConfigMap")
    values = parse_toml(run["data"]["run.toml"], "run.toml")
    assert parse_settings(ExtractConfig, values, "run.toml").store == "/data/store"
