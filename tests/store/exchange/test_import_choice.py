"""Which slides an import takes: their ids, and those that are named."""

from pathlib import Path

import pytest

from histo_ray.cli.main import main
from histo_ray.pooling.feature_store import FeatureStore, open_store
from testing.foreign_files import draw_slide, write_trident
from tests.store.exchange.test_import_awkward import bring, told


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return open_store(str(tmp_path / "store"), create=True)


@pytest.mark.parametrize("name", ["slide with spaces", "Schnitt-ä", "it's", "a" * 201])
def test_ids_are_those_that_a_manifest_may_have(
    name: str, store: FeatureStore, tmp_path: Path
) -> None:
    slide = draw_slide(name, 9)
    write_trident(tmp_path / "job", slide)
    (row,) = bring(tmp_path / "job", store).summary.rows
    assert row.outcome.value == "failed"
    assert "use at most 200 ASCII letters" in row.reason
    (tmp_path / "slides.csv").write_text(f"slide_id,path\nS1,{name}.svs\n")
    assert told(bring(tmp_path / "job", store, manifest=tmp_path / "slides.csv"), "S1")[0] == "done"
    assert store.bag("S1", "e").embeddings.tobytes() == slide.vectors.tobytes()


def test_named_slides_alone_are_imported_so_that_broken_ones_can_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("A", "B", "C"):
        path = write_trident(tmp_path / "job", draw_slide(name, 9))
    path.write_bytes(path.read_bytes()[:-500])
    command = ["store", "import", str(tmp_path / "job"), "--store", str(tmp_path / "store")]
    command += ["--encoder", "e"]
    for _ in range(2):
        assert main(command) == 1
        said = capsys.readouterr().out
        assert "failed C: C.h5 cannot be read" in said
        assert "name the slides to import with --manifest or --slide to leave failed" in said
    (tmp_path / "slides.csv").write_text("slide_id\nA\nB\n")
    for named in (["--manifest", str(tmp_path / "slides.csv")], ["--slide", "A", "--slide", "B"]):
        assert main([*command, *named]) == 0
        said = capsys.readouterr().out
        assert "2 slides: 2 skipped" in said
        assert "--slide" not in said
    assert main([*command, "--slide", "Q"]) == 2
    assert "--slide Q: not among the slides that are there (A, B, C)" in capsys.readouterr().err
