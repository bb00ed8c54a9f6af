"""Every verb, action and task with `--json --quiet`: JSON alone on stdout, nothing on stderr."""

import json
from pathlib import Path

import pytest

from histo_ray.cli.main import main, make_parser
from histo_ray.cli.quiet_flag import list_leaves
from histo_ray.cli.verbs import VERBS
from histo_ray.store.store import open_store
from histo_ray.synth.tile_writer import write_demo_tiles
from tests.cli.test_quiet_json import ON_A_STORE
from tests.cluster.patients import (
    DIM,
    TILES,
    write_clinical,
    write_labels,
    write_store,
    write_survival,
)
from tests.conftest import Cohort
from tests.made_up import facts_of, rows_of

SMALL = "--encoder sharp --folds 2 --repeats 1 --resamples 100 --address none"
ON_PATIENTS = f"--store STORE --labels DIR/LABELS.csv {SMALL}"
NETWORK = "random:resnet10t?px=48&seed=1"
EVALUATED = {
    "expression": ("expression", "--genes DIR/genes.txt --permutations 0"),
    "mutation": ("mutations", ""),
    "label": ("clinical", "--column response"),
    "survival": ("survival", "--endpoint OS=os_months,os_status"),
}
"""Label file and more flags, by task."""
LINES = (
    f"extract --manifest MANIFEST --store DIR/own --encoder {NETWORK} --tile-px 64 --mpp 0.5 "
    "--address none",
    *(
        f"{verb} {task} {ON_PATIENTS.replace('LABELS', labels)} {more}"
        + (" --name p-" + task if verb == "fit" else "")
        for task, (labels, more) in EVALUATED.items()
        for verb in ("evaluate", "fit")
    ),
    "store measure DIR/own",
    "store where DIR/own tissue>0.5 --encoder random-resnet10t-px48-seed1",
    f"finetune --tiles DIR/tiles --encoder {NETWORK} --name tuned --store DIR/own --device cpu "
    "--set network.epochs=1",
    f"evaluate tissue --tiles DIR/tiles --store DIR/own --encoder {NETWORK} --folds 2 --repeats 1 "
    "--groups none --address none",
    f"fit tissue --tiles DIR/tiles --store DIR/own --encoder {NETWORK} --folds 2 --repeats 1 "
    "--groups none --address none --name p-tissue",
    "predict --predictor STORE/predictors/p-mutation --store OTHER",
    "heatmap OTHER --predictor STORE/predictors/p-mutation --target TP53 --slide B00-0 --out DIR/m",
    "report STORE --out DIR/report.html",
    "encode-slides --store STORE --encoder sharp --slide-encoder quantiles",
    "encode-slides --store STORE --list",
    "fit-slide-encoder --store STORE --encoder sharp --name v --prototypes 2 --components 4",
    "store index build STORE --encoder sharp",
    "store export STORE --to trident --out DIR/job --encoder sharp",
    "store import DIR/job --from trident --store DIR/imported --encoder x --slide-mpp 0.25",
    "doctor --measure-s 0 --store STORE",
    "demo --small --out DIR/demo",
)
LOST = {"extract": 1, "heatmap": 1}
"""Exit code of verbs that lose a slide here; a heat map says so on stderr under --quiet, too."""


def name_leaf(words: list[str]) -> str:
    """Verb and action of a call."""
    named = VERBS[words[0]] and words[0] in ("store", "evaluate", "fit")
    return " ".join(words[: 2 if named else 1])


def test_every_verb_action_and_task_is_walked() -> None:
    leaves = {
        leaf.prog.removeprefix("histo-ray ")
        for verb in VERBS
        for leaf in list_leaves(make_parser(verb))
        if leaf.prog != "histo-ray" and verb in leaf.prog
    }
    walked = {name_leaf(line.split()) for line in (*LINES, *ON_A_STORE)}
    assert leaves - walked == {"view"}  # tests/view/test_server.py


@pytest.mark.slow
def test_json_is_all_of_stdout_of_every_verb(
    cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path)
    write_labels(tmp_path)
    write_clinical(tmp_path)
    write_survival(tmp_path)
    (tmp_path / "genes.txt").write_text("G0\nG1\n")
    write_demo_tiles(tmp_path / "tiles", 8, seed=0)
    other = open_store(str(tmp_path / "other"), create=True)
    for number in range(4):  # patients that no predictor knows
        facts = facts_of(f"B{number:02d}-0", "sharp", "t0", DIM)
        other.commit(facts.key, facts, rows_of(TILES, DIM, seed=number))
    places = {"STORE": store, "DIR": str(tmp_path), "MANIFEST": str(cohort.manifest)}
    for line in LINES:
        words = line.replace("OTHER", other.root.path).split()
        for name, place in places.items():
            words = [word.replace(name, place) for word in words]
        code = main([*words, "--json", "--quiet"])
        out, err = capfd.readouterr()
        assert (code, line) == (LOST.get(words[0], 0), line), err
        assert (err == "") == (words[0] != "heatmap"), (line, err)
        assert isinstance(json.loads(out), list | dict), line
        assert "\x1b" not in out + err
        assert "\r" not in out + err
