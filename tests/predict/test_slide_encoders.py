"""Slide encoders in evaluations, predictors and other stores; and what they must not have seen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.training import train_mil
from histo_ray.predict.files import publish_predictor
from histo_ray.predict.patient_hashes import hash_patient
from histo_ray.report.caveat_words import write_caveat
from histo_ray.store.slide_cards import list_slide_encoders
from tests.predict.external_store import COUNT, PEOPLE, write_external, write_labels
from tests.predict.made_predictor import DIM, SALT, make_bags, make_predictor

FITTED_ON = tuple(f"A{at:02d}" for at in range(60))
NOISY = 60
SMALL: dict[str, Any] = {"prototypes": 4, "components": 4}
CV: dict[str, Any] = {
    "folds": 2,
    "repeats": 1,
    "resamples": 100,
    "site_check": False,
    "inner_folds": 2,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores of different patients with the same biology, a fitted slide encoder in one."""
    folder = tmp_path_factory.mktemp("slide-encoders")
    home = make_bags(len(FITTED_ON), seed=3)
    write_external(folder / "A", FITTED_ON, home)
    write_labels(folder / "a.csv", FITTED_ON, home)
    write_external(folder / "B")
    write_labels(folder / "b.csv")
    noise = np.random.default_rng(0).permutation(np.repeat([0, 1], len(FITTED_ON) // 2))
    pd.DataFrame({"patient_id": FITTED_ON, "NOISE": noise}).to_csv(
        folder / "noise.csv", index=False
    )
    hr.fit_slide_encoder(folder / "A", encoder="sharp", name="mix", method="mixture", **SMALL)
    return folder


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose patients' labels say nothing, and attention that was trained on them."""
    folder = tmp_path_factory.mktemp("noise")
    people = [f"P{at}" for at in range(NOISY)]
    bags = [
        bag.astype(np.float16) for bag in np.random.default_rng(5).normal(size=(NOISY, 10, DIM))
    ]
    write_external(folder / "N", people, bags)
    labels = np.random.default_rng(5).permutation(np.repeat([0.0, 1.0], NOISY // 2))
    frame = pd.DataFrame({"patient_id": people, "NOISE": labels.astype(int)})
    frame.to_csv(folder / "noise.csv", index=False)
    made = make_predictor("heads", mil=True)
    settings = MilSettings(members=1, epochs=60, patience=60, dropout=0, hidden=32, stop_share=0.05)
    head = train_mil(measure_bags(bags), labels[:, None], settings, 0)
    part = replace(made.parts.bags[0], members=(head,))
    hashes = tuple(sorted(hash_patient(SALT, person) for person in people))
    cohort = made.card.cohort.model_copy(update={"patient_hashes": hashes})
    cards = tuple(
        one.model_copy(update={"members": 1}) if one.members else one for one in made.card.parts
    )
    publish_predictor(
        str(folder / "N"),
        made.card.model_copy(update={"cohort": cohort, "parts": cards}),
        replace(made.parts, bags=(part,)),
    )
    hr.fit_slide_encoder(folder / "N", method="attention", predictor="heads", name="learned")
    return folder


def test_a_predictor_names_its_slide_encoder_and_takes_it_to_another_store(here: Path) -> None:
    predictor = hr.fit.mutation(
        here / "A", labels=here / "a.csv", encoder="sharp", name="genes", pooling="slide:mix", **CV
    )
    (need,) = predictor.card.slide_encoders
    assert (need.name, need.dim) == ("mix", 4 * (1 + 2 * 4))
    assert "PANTHER" in need.method
    assert list_slide_encoders(hr.open_store(str(here / "B")).root) == []
    found = predictor.predict(here / "B", labels=str(here / "b.csv"))
    scores = found.validation
    assert (scores[scores.metric == "auroc"].score > 0.8).all()
    other = hr.open_store(str(here / "B"))
    assert list_slide_encoders(other.root) == ["mix"]
    made = other.sql("select count(*) from slide_vectors where slide_encoder = 'mix'").df()
    assert made.iloc[0, 0] == len(other.list_keys())
    assert not any("slide encoder" in note for note in found.record.notes)


def test_a_predictor_without_one_has_the_card_it_always_had() -> None:
    card = make_predictor().card
    assert card.slide_encoders == ()
    assert "slide_encoders" not in card.model_dump(mode="json")


def test_another_one_of_the_name_is_refused_before_anything_is_predicted(
    here: Path, tmp_path: Path
) -> None:
    predictor = hr.fit.mutation(
        here / "A", labels=here / "a.csv", encoder="sharp", name="genes", pooling="slide:mix", **CV
    )
    write_external(tmp_path / "C", PEOPLE[:12], make_bags(COUNT, seed=8)[:12])
    hr.fit_slide_encoder(
        tmp_path / "C", encoder="sharp", name="mix", method="mixture", seed=5, **SMALL
    )
    with pytest.raises(hr.ConfigError, match=r"reads slide vectors of mix by the weights .* store"):
        predictor.predict(tmp_path / "C")


def test_one_fitted_without_labels_on_these_patients_is_a_caveat(here: Path) -> None:
    result = hr.evaluate.mutation(
        here / "A", labels=here / "a.csv", encoder="sharp", pooling="slide:mix", **CV
    )
    (one,) = [c for c in result.record.caveats if c.code is CaveatCode.SLIDE_ENCODER_SAW]
    assert (one.values["supervised"], one.values["patients"], one.values["total"]) == (
        False,
        60,
        60,
    )
    assert "fitted on slides of 60 of the 60 patients" in write_caveat(one)
    (here / "few.txt").write_text("\n".join(FITTED_ON[:20]))
    hr.fit_slide_encoder(
        here / "A", encoder="sharp", name="few", method="vlad", patients=str(here / "few.txt"),
        **SMALL,
    )  # fmt: skip
    rest = pd.read_csv(here / "a.csv").iloc[20:]
    rest.to_csv(here / "rest.csv", index=False)
    other = hr.evaluate.mutation(
        here / "A", labels=here / "rest.csv", encoder="sharp", pooling="slide:few", **CV
    )
    assert not any(c.code is CaveatCode.SLIDE_ENCODER_SAW for c in other.record.caveats)


def test_one_trained_on_their_labels_is_refused(noise: Path) -> None:
    asked: dict[str, Any] = {
        "labels": noise / "noise.csv",
        "encoder": "sharp",
        "pooling": "slide:learned",
    }
    with pytest.raises(hr.ConfigError, match=r"was trained on labels .*60 patients.*--allow"):
        hr.evaluate.mutation(noise / "N", **asked)
    with pytest.raises(hr.ConfigError, match=r"was trained on labels"):
        hr.fit.mutation(noise / "N", name="never", **asked)


@pytest.mark.slow
def test_one_trained_on_their_labels_would_flatter_and_one_without_does_not(noise: Path) -> None:
    labels: dict[str, Any] = {"labels": noise / "noise.csv", "encoder": "sharp", **CV}
    asked: dict[str, Any] = {**labels, "pooling": "slide:learned"}
    allowed = hr.evaluate.mutation(noise / "N", allow_leak=True, **asked)
    (one,) = [c for c in allowed.record.caveats if c.code is CaveatCode.SLIDE_ENCODER_SAW]
    assert one.values["supervised"] is True
    assert "its scores flatter" in write_caveat(one)
    hr.fit_slide_encoder(noise / "N", encoder="sharp", name="blind", method="fisher", **SMALL)
    blind = hr.evaluate.mutation(noise / "N", pooling="slide:blind", **labels)
    flattered, unbiased = (float(r.targets["score"].iloc[0]) for r in (allowed, blind))
    assert flattered > 0.8  # labels say nothing, and it knows them all the same
    assert unbiased < 0.65  # it saw all tiles, but no label


def test_attention_weighs_tiles_as_the_heads_of_the_predictor_do(noise: Path) -> None:
    store = hr.open_store(str(noise / "N"))
    found = store.matrix("sharp", pool="slide:learned")
    (part,) = hr.load_predictor(str(noise / "N/predictors/heads")).fitted.parts.bags
    slide = found.index[7]
    bag = store.bag(slide, "sharp").embeddings.astype(np.float32)
    np.testing.assert_allclose(found.loc[slide], part.attend(bag) @ bag, rtol=1e-4, atol=1e-5)
    with pytest.raises(hr.ConfigError, match=r"--method attention: needs --predictor NAME"):
        hr.fit_slide_encoder(noise / "N", method="attention", name="other")
    publish_predictor(str(noise / "N"), make_predictor("plain").card, make_predictor().parts)
    with pytest.raises(hr.ConfigError, match=r"has no attention heads, .*fit one with --head"):
        hr.fit_slide_encoder(noise / "N", method="attention", predictor="plain", name="other")


def test_a_heat_map_says_that_a_slide_encoder_does_not_tell_of_tiles(here: Path) -> None:
    with pytest.raises(hr.ConfigError, match=r"slide:mix: a slide encoder does not say what a"):
        hr.heatmap(
            here / "A", predictor="genes", target="ALPHA", slide=f"{FITTED_ON[1]}-0",
            out=here / "maps",
        )  # fmt: skip
