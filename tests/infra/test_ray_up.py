"""The files for `ray up`, against the schema that the installed Ray checks them with."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from tests.infra.files import INFRA

NAMES = ("aws", "gcp")


def load(name: str) -> dict[str, Any]:
    content = yaml.safe_load((INFRA / "ray-up" / f"{name}.yaml").read_text(encoding="utf-8"))
    return dict(content)


def is_spot(name: str, node: dict[str, Any]) -> bool:
    if name == "aws":
        return bool(node.get("InstanceMarketOptions") == {"MarketType": "spot"})
    return {"provisioningModel": "SPOT"} in node.get("scheduling", [])


@pytest.mark.parametrize("name", NAMES)
def test_rays_own_schema_takes_it(name: str) -> None:
    schema = json.loads((files("ray.autoscaler") / "ray-schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(load(name))


@pytest.mark.parametrize("name", NAMES)
def test_only_workers_are_on_spot_and_none_runs_unasked(name: str) -> None:
    config = load(name)
    assert config["provider"]["type"] == name
    for kind, node in config["available_node_types"].items():
        if kind == config["head_node_type"]:
            assert not is_spot(name, node["node_config"])
            assert node["resources"] == {"CPU": 0}
        else:
            assert is_spot(name, node["node_config"])
            assert node["min_workers"] == 0 < node["max_workers"]
    assert config["max_workers"] == sum(
        node.get("max_workers", 0) for node in config["available_node_types"].values()
    )


@pytest.mark.parametrize("name", NAMES)
def test_only_encoders_have_a_gpu_and_the_image_for_it(name: str) -> None:
    config = load(name)
    assert config["docker"]["image"].endswith("-cpu")
    for kind, node in config["available_node_types"].items():
        image = node.get("docker", {}).get("worker_image", config["docker"]["image"])
        assert ("GPU" in node["resources"]) == (kind == "encoders") == image.endswith("-cuda")


@pytest.mark.parametrize("name", NAMES)
def test_ray_starts_with_a_token_and_the_dashboard_on_loopback(name: str) -> None:
    config = load(name)
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert "RAY_AUTH_MODE=token ray start --head" in head
    assert "--dashboard-host=127.0.0.1" in head
    assert "RAY_AUTH_MODE=token ray start --address=$RAY_HEAD_IP:6379" in worker
