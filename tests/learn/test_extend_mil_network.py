"""The recipe `docs/extend/mil-network.md`, followed to the letter."""

import importlib
from pathlib import Path

import pytest

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks import registry
from histo_ray.learn.mil.networks.registry import NetworkEntry
from histo_ray.types import TargetKind
from tests.extend_pages import code_blocks
from tests.learn.mil_network_contract import MilNetworkContract


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkEntry:
    """The page's network, registered in this process."""
    module, line = code_blocks("mil-network.md")
    assert module.splitlines()[0] == "# histo_ray/learn/mil/networks/mean_hidden.py"
    (tmp_path / "mean_hidden.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("mean_hidden")
    (found,) = eval(line, {"NetworkEntry": NetworkEntry, "TargetKind": TargetKind})
    assert found.module == "histo_ray.learn.mil.networks.mean_hidden"
    here: NetworkEntry = found._replace(module="mean_hidden")
    monkeypatch.setattr(registry, "NETWORKS", (*registry.NETWORKS, here))
    return here


class TestMilNetworkOfThePage(MilNetworkContract):
    """The contract of MIL networks."""


def test_settings_take_it_and_name_it(entry: NetworkEntry) -> None:
    assert MilSettings(network=entry.name).to_record()["network"] == "mean-hidden"
    with pytest.raises(ConfigError, match=r"did you mean mean-hidden"):
        parse_settings(MilSettings, {"network": "mean-hiden"}, "--mil")
