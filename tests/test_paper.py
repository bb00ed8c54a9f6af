"""The run files of the paper's own job are settings that their verbs take."""

import re
import tomllib
from pathlib import Path

import pytest

from histo_ray.config import ExtractConfig, Settings, parse_settings
from histo_ray.evaluate.tasks.expression import ExpressionConfig
from histo_ray.evaluate.tasks.mutation import MutationConfig
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.labels.label_settings import GENE_LISTS
from histo_ray.tilesets.known_sets import find_known, list_known

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "infra" / "paper"
RUN_FILES: dict[str, type[Settings]] = {
    "finetune": FinetuneConfig,
    "evaluate": TissueConfig,
    "extract": ExtractConfig,
    "evaluate_expression": ExpressionConfig,
    "evaluate_mutation": MutationConfig,
}


@pytest.mark.parametrize(("name", "kind"), RUN_FILES.items())
def test_a_run_file_is_complete_and_has_no_unknown_key(name: str, kind: type[Settings]) -> None:
    path = FOLDER / f"{name}.toml"
    settings = parse_settings(kind, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    if isinstance(settings, FinetuneConfig):
        assert settings.read_recipe().network.epochs > 0


def test_every_run_file_is_checked_and_named_in_the_readme() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(RUN_FILES)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in RUN_FILES:
        assert f"--config infra/paper/{name}.toml" in readme
    for job in re.findall(r"python (jobs/\w+\.py)", readme):
        assert (ROOT / job).is_file()


def test_the_genes_and_lists_that_run_files_name_are_there() -> None:
    genes = (FOLDER / "mutated_genes.txt").read_text(encoding="utf-8").split()
    assert len(genes) == len(set(genes)) == 10
    table = (FOLDER / "expected.md").read_text(encoding="utf-8")
    assert all(f"| {gene} |" in table for gene in genes)
    assert parse("evaluate_mutation")["genes"] == "infra/paper/mutated_genes.txt"
    assert parse("evaluate_expression")["genes"] in GENE_LISTS


def test_the_page_states_the_counts_that_the_check_uses() -> None:
    table = (FOLDER / "expected.md").read_text(encoding="utf-8")
    for name in list_known():
        known = find_known(name)
        assert known.archive_md5 in table
        counts = " | ".join(f"{count:,}" for count in known.classes.values())
        assert f"| {known.title} | {known.tiles:,} | {counts} |" in table


def parse(name: str) -> dict[str, object]:
    """The keys of a run file."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
