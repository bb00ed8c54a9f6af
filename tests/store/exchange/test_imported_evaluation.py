"""Imported features are evaluated like own ones, and an import from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

import histo_ray as hr
from histo_ray.api import evaluate
from histo_ray.api.import_features import import_features
from histo_ray.cli.main import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.feature_store import open_store
from testing.foreign_files import Foreign, draw_slide, write_clam, write_trident


def test_encoders_of_two_tools_are_compared_on_one_cohort(tmp_path: Path) -> None:
    """Without slides; vectors of one encoder follow the label, those of the other do not."""
    lines = ["patient_id,TP53"]
    for at in range(40):
        label, name = at % 2, f"TCGA-05-{4000 + at}-01Z-00-DX1"
        slide = draw_slide(name, 6, dim=8)
        write_clam(tmp_path / "clam", slide)
        told = slide.vectors + 3 * label * (np.arange(8) == 2)
        write_trident(tmp_path / "job", Foreign(name, slide.coords, told.astype(np.float32)))
        lines.append(f"TCGA-05-{4000 + at},{label}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    store = str(tmp_path / "store")
    for folder, encoder in (("job", "sharp"), ("clam", "dull")):
        import_features(tmp_path / folder, store, encoder=encoder, slide_mpp=0.25)
    result = evaluate.mutation(
        store, labels=tmp_path / "labels.csv", encoder=["sharp", "dull"], repeats=1, folds=3
    )
    scores = result.targets.set_index("encoder")["score"]
    assert scores["sharp"] > 0.9 > 0.8 > scores["dull"]
    assert {c.code.value for c in result.record.caveats} & {"same weights"} == set()


def test_a_predictor_of_imported_features_is_validated_on_those_of_another_hospital(
    tmp_path: Path,
) -> None:
    """`fit`, `predict`, `heatmap` and SQL, on features of two tools with the same weights."""
    random = np.random.default_rng(0)
    for site, write in (("05", write_trident), ("44", write_clam)):
        lines = ["patient_id,TP53"]
        for at in range(30):
            patient = f"TCGA-{site}-{4000 + at}"
            slide = draw_slide(f"{patient}-01Z-00-DX1", 6, dim=8)
            told = random.normal(size=(6, 8)) + (at % 2) * (np.arange(8) == 2)
            write(tmp_path / site, Foreign(slide.name, slide.coords, told.astype(np.float32)))
            lines.append(f"{patient},{at % 2}")
        (tmp_path / f"{site}.csv").write_text("\n".join(lines))
        uri = str(tmp_path / f"store-{site}")
        import_features(tmp_path / site, uri, encoder="uni", slide_mpp=0.25)
        with pytest.raises(ConfigError, match="imported without the SHA-256 of its weights"):
            hr.fit.mutation(uri, labels=tmp_path / f"{site}.csv", encoder="uni", name="x")
        import_features(
            tmp_path / site, uri, encoder="uni-known", slide_mpp=0.25, weights_sha256="ab" * 32
        )
    first, second = str(tmp_path / "store-05"), str(tmp_path / "store-44")
    predictor = hr.fit.mutation(
        first, labels=tmp_path / "05.csv", encoder="uni-known", name="tp53", repeats=1, folds=3
    )
    applied = predictor.predict(second, labels=tmp_path / "44.csv")
    validated = applied.validation
    assert "cut by another tool or rule" in " ".join(applied.record.notes)
    (area,) = validated.loc[validated["metric"] == "auroc", "score"]
    assert area > 0.85
    counted = hr.open_store(second).sql("select count(*) from predicted_patients").fetchall()
    assert counted == [(30,)]
    shown = hr.heatmap(
        second, predictor=f"{first}/predictors/tp53", target="TP53", slide="TCGA-44-4003-01Z-00-DX1"
    )
    assert len(shown.tiles) == 6
    hr.open_store(str(tmp_path / "none"), create=True)
    with pytest.raises(StoreError, match="so import such features of these slides"):
        predictor.predict(str(tmp_path / "none"))


def test_pooling_by_tissue_that_nobody_measured_is_refused(tmp_path: Path) -> None:
    write_trident(tmp_path / "job", draw_slide("A", 9))
    import_features(tmp_path / "job", str(tmp_path / "store"), encoder="e", slide_mpp=0.25)
    with pytest.raises(StoreError, match="that of imported tiles was not measured; take another"):
        open_store(str(tmp_path / "store")).matrix("e", pool="tissue")


def test_the_command_line_says_what_became_of_each_slide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trident(tmp_path / "job", draw_slide("A", 60))
    write_trident(tmp_path / "job", draw_slide("B", 60)).write_bytes(b"cut")
    uri = str(tmp_path / "store")
    asked = ["store", "import", str(tmp_path / "job"), "--from", "trident", "--store", uri]
    asked += ["--encoder", "uni-trident", "--slide-mpp", "0.25"]
    assert main(asked) == 1
    out, err = capsys.readouterr()
    assert "2 slides: 1 done, 1 failed; 60 tiles" in out
    assert "failed B: B.h5 cannot be read (" in out
    assert "2 slides in the layout of trident of encoder uni_v1" in err
    write_trident(tmp_path / "job", draw_slide("B", 60))
    assert main([*asked, "--json", "--weights-sha256", "ab" * 32]) == 2
    assert "weights_sha256 unknown, now abab" in capsys.readouterr().err
    assert main([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["outcomes"] == {"skipped": 1, "done": 1}
    assert main([*asked, "--weights-sha256", "xyz"]) == 2
    assert "--weights-sha256" in capsys.readouterr().err
    assert main(["store", "import", str(tmp_path / "job"), "--store", uri]) == 2
    assert "--encoder" in capsys.readouterr().err
    (tmp_path / "run.toml").write_text(f'store = "{uri}"\nencoder = "uni-trident"\n')
    config = ["--config", str(tmp_path / "run.toml")]
    assert main(["store", "import", str(tmp_path / "job"), *config]) == 0
    assert "2 slides: 2 skipped; 0 tiles" in capsys.readouterr().out


def test_a_store_in_an_object_store_takes_imports_and_gives_exports(
    tmp_path: Path, s3: str
) -> None:
    slide = draw_slide("A", 60)
    write_trident(tmp_path / "job", slide)
    uri = "s3://bucket/imported"
    result = import_features(tmp_path / "job", uri, encoder="e", slide_mpp=0.25)
    assert result.outcomes["outcome"].tolist() == ["done"]
    store = open_store(uri)
    assert store.bag("A", "e").embeddings.tobytes() == slide.vectors.tobytes()
    assert store.verify() == (1, [])
    assert store.export("trident", tmp_path / "out").written == ["features_e/A.h5"]
    again = import_features(tmp_path / "out", str(tmp_path / "store"), encoder="e")
    assert again.outcomes["outcome"].tolist() == ["done"]
    assert store.export("stamp", "s3://bucket/out").written == ["e/A.h5"]
