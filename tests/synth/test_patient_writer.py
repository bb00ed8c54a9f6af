import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo_ray.errors import SlideError
from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.synth.molecules import GENES, MUTATIONS
from histo_ray.synth.patient_writer import PatientFiles, plan_slides, write_demo_patients
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.states import SITES, draw_states
from histo_ray.tiles.pixels import read_tiles

COUNT = 10


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PatientFiles:
    folder = tmp_path_factory.mktemp("patients")
    return write_demo_patients(folder, seed=1, count=COUNT, size="small", flawed=True)


def count_tiles(path: str, slide_id: str) -> int:
    with open_slide(path, slide_id=slide_id) as opened:
        assert opened.mpp == (0.5, 0.5)
        batches = read_tiles(opened, mpp=0.5, tile_px=224, tissue="otsu")
        return sum(len(batch.pixels) for batch in batches)


def test_the_manifest_can_be_read_and_calls_every_slide_synthetic(files: PatientFiles) -> None:
    slides = read_manifest(str(files.manifest))
    assert {slide.extra["synthetic"] for slide in slides} == {"true"}
    assert {slide.site for slide in slides} == set(SITES)
    sections = [slide.slide_id for slide in slides if slide.slide_id.endswith("-B")]
    assert sections == ["SYN-1001-B", "SYN-1007-B", "SYN-1002-B"]
    assert all(slide.slide_id[:-2] == slide.patient_id for slide in slides)


def test_slides_open_and_hold_several_tiles_of_tissue(files: PatientFiles) -> None:
    good = [s for s in read_manifest(str(files.manifest)) if not s.extra["remark"]]
    assert len(good) == COUNT + 2
    counts = [count_tiles(slide.path, slide.slide_id) for slide in good]
    assert min(counts) >= 5
    assert max(counts) <= 12


def test_the_flawed_slides_are_one_that_cannot_be_opened_and_one_without_tissue(
    files: PatientFiles,
) -> None:
    slides = {s.extra["remark"]: s for s in read_manifest(str(files.manifest)) if s.extra["remark"]}
    truncated, empty = slides["truncated on purpose"], slides["empty on purpose"]
    with pytest.raises(SlideError):
        count_tiles(truncated.path, truncated.slide_id)
    assert count_tiles(empty.path, empty.slide_id) == 0
    assert empty.patient_id == f"SYN-{1001 + COUNT}"


def test_the_tables_have_the_slides_patients_and_no_others(files: PatientFiles) -> None:
    patients = sorted({slide.patient_id for slide in read_manifest(str(files.manifest))})
    expression = pd.read_csv(files.expression, index_col="patient_id")
    mutations = pd.read_csv(files.mutations, index_col="patient_id")
    truth = json.loads(files.truth.read_text(encoding="utf-8"))
    assert list(expression.index) == list(mutations.index) == list(truth["patients"]) == patients
    assert list(expression) == list(truth["genes"]) == [gene.name for gene in GENES]
    assert list(mutations) == list(truth["mutations"]) == [m.name for m in MUTATIONS]
    assert np.isfinite(expression.to_numpy()).all()
    assert set(mutations.to_numpy().ravel()) == {0, 1}


def test_the_truth_tells_states_that_driven_genes_follow(files: PatientFiles) -> None:
    truth = json.loads(files.truth.read_text(encoding="utf-8"))
    expression = pd.read_csv(files.expression, index_col="patient_id")
    states = pd.DataFrame(truth["patients"]).T
    for name, gene in truth["genes"].items():
        if gene["driver"]:
            found = np.corrcoef(expression[name], states[gene["driver"]].astype(float))[0, 1]
            assert found * np.sign(gene["correlation"]) > 0.2
    assert [m["driver"] for m in truth["mutations"].values()].count("") == 4


def test_the_same_seed_gives_the_same_bytes(files: PatientFiles, tmp_path: Path) -> None:
    states = draw_states(COUNT + 1, 1)
    planned = plan_slides(states, 1, "small")
    assert planned == plan_slides(states, 1, "small")
    for slide in (planned[1], planned[-2]):  # drawn alone here, beside others there
        again = write_slide(tmp_path / "again.svs", slide.plan)
        there = files.manifest.parent / f"{slide.slide_id}.svs"
        assert again.read_bytes() == there.read_bytes()
    assert len({slide.plan.seed for slide in planned}) == len(planned)
