"""The dashboard asks for what is exported, and for nothing else."""

import json
import re
from typing import Any

from histo_ray.extract.metric_samples import METRICS
from tests.infra.files import INFRA

DASHBOARD: dict[str, Any] = json.loads((INFRA / "grafana/histo-ray.json").read_text("utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_every_metric_of_the_dashboard_is_exported_and_every_exported_one_is_shown() -> None:
    asked = {name for text in EXPRESSIONS for name in re.findall(r"\bray_(histo_ray_\w+)", text)}
    assert asked == set(METRICS)


def test_every_tag_of_the_dashboard_is_one_of_its_metrics() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            (name,) = re.findall(r"\bray_(histo_ray_\w+)", target["expr"])
            grouped = re.findall(r"by \((\w+)\)", target["expr"])
            named = re.findall(r"{{(\w+)}}", target["legendFormat"])
            assert set(grouped) == set(named) <= set(METRICS[name].tags), target


def test_counters_are_shown_as_rates_or_sums_and_gauges_as_they_are() -> None:
    for text in EXPRESSIONS:
        (name,) = re.findall(r"\bray_(histo_ray_\w+)", text)
        assert METRICS[name].kind == "counter" or "rate(" not in text, text
        assert name.endswith("_total") == (METRICS[name].kind == "counter")


def test_panels_do_not_lie_on_each_other_and_have_one_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert [entry["name"] for entry in DASHBOARD["templating"]["list"]] == ["datasource"]
