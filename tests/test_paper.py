"""The run files of the paper's own job are settings that their verbs take."""

import tomllib
from pathlib import Path

import pytest

from histo_ray.config import ExtractConfig, Settings, parse_settings
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.finetune.finetune_config import FinetuneConfig

FOLDER = Path(__file__).resolve().parents[1] / "infra" / "paper"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("finetune", FinetuneConfig), ("evaluate", TissueConfig), ("extract", ExtractConfig)],
)
def test_a_run_file_is_complete_and_has_no_unknown_key(name: str, kind: type[Settings]) -> None:
    path = FOLDER / f"{name}.toml"
    settings = parse_settings(kind, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    if isinstance(settings, FinetuneConfig):
        assert settings.read_recipe().network.epochs > 0
