"""Which helpers of Ray are left out, and that everything is as it was afterwards."""

import os
from typing import Any

import pytest
from ray._private import node as _ray_node

from histo_ray.cluster import lean_head
from histo_ray.cluster.lean_head import inherited, without_helpers
from histo_ray.encoders.heap import ENVIRONMENT


class Node:
    """Ray's node of some version, which has no log monitor."""

    _webui_url: str | None = None

    def start_api_server(self, *, include_dashboard: bool) -> None:
        raise AssertionError("it takes a second")

    def start_monitor(self) -> None:
        raise AssertionError("nobody needs it")

    def start_raylet(self) -> str:
        return "raylet"


def test_helpers_that_this_version_has_are_left_out_and_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lean_head, "_ray_node", type("node", (), {"Node": Node}))
    before = dict(vars(Node))
    with without_helpers():
        node = Node()
        node.start_api_server(include_dashboard=False)
        node.start_monitor()
        assert (node._webui_url, node.start_raylet()) == ("", "raylet")
    assert dict(vars(Node)) == before


def test_the_names_are_those_of_the_installed_ray() -> None:
    node: Any = _ray_node.Node
    assert [name for name in lean_head._HELPERS if not callable(getattr(node, name, None))] == []


def test_variables_are_inherited_meanwhile_unless_the_user_set_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    with inherited(ENVIRONMENT) as given:
        assert os.environ["MALLOC_ARENA_MAX"] == "7"
        assert given == {k: v for k, v in ENVIRONMENT.items() if k != "MALLOC_ARENA_MAX"}
        assert given.items() <= os.environ.items()
    assert not given.keys() & os.environ.keys()
