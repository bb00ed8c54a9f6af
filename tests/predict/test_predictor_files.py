"""Predictors on disk: whole, never over another, and refused where they were changed."""

import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

import histo_ray.store.atomic_write as atomic_write
from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.files import (
    ARRAYS,
    CARD,
    encode_parts,
    find_predictor,
    list_predictors,
    load_predictor,
    publish_predictor,
    read_predictor_card,
)
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.storage.seal import seal_json
from histo_ray.store.store import open_store
from tests.predict.made_predictor import make_bags, make_predictor, pool_mean


@pytest.fixture(scope="module")
def made() -> FittedPredictor:
    return make_predictor(mil=True)


@pytest.fixture
def store(tmp_path: Path) -> str:
    open_store(str(tmp_path / "store"), create=True)
    return str(tmp_path / "store")


def test_what_is_loaded_is_what_was_published(made: FittedPredictor, store: str) -> None:
    card = publish_predictor(store, made.card, made.parts)
    assert len(card.file_sha256) == 64
    found = load_predictor("made", store)
    assert found.card == card
    assert read_predictor_card("made", store) == card
    bags = make_bags(7, seed=9)
    pooled = {"mean": pool_mean(bags)}
    predicted = made.predict(pooled, bags)
    assert predicted.shape == (7, 2)
    np.testing.assert_array_equal(found.predict(pooled, bags), predicted)
    np.testing.assert_array_equal(
        found.parts.bags[0].attend(bags[0]), made.parts.bags[0].attend(bags[0])
    )
    scores = found.parts.tile_range.distances(bags[2]) if found.parts.tile_range else None
    assert scores is not None
    assert scores.shape == (7,)
    assert list_predictors(store) == ["made"]
    assert open_store(store).verify()[1] == []


def test_a_predictor_leaves_its_store_as_a_folder(
    made: FittedPredictor, store: str, tmp_path: Path
) -> None:
    publish_predictor(store, made.card, made.parts)
    away = tmp_path / "elsewhere"
    shutil.copytree(f"{store}/predictors/made", away)
    for named in (str(away), f"{away}/", f"{away}/{CARD}", f"{away}/{ARRAYS}"):
        assert load_predictor(named).card.name == "made"


def test_the_same_parts_are_the_same_bytes() -> None:
    one, two = (encode_parts(make_predictor().parts) for _ in range(2))
    assert one == two


def test_a_name_that_is_there_is_not_written_over(made: FittedPredictor, store: str) -> None:
    publish_predictor(store, made.card, made.parts)
    before = Path(store, "predictors/made", ARRAYS).read_bytes()
    other = made.card.model_copy(update={"fingerprint": "e" * 64})
    with pytest.raises(ConfigError, match=r"name 'made' is in use .* choose another --name"):
        publish_predictor(store, other, make_predictor().parts)
    assert Path(store, "predictors/made", ARRAYS).read_bytes() == before
    again = publish_predictor(store, made.card, made.parts)
    assert again == read_predictor_card("made", store)


def test_a_changed_file_is_refused(made: FittedPredictor, store: str) -> None:
    publish_predictor(store, made.card, made.parts)
    path = Path(store, "predictors/made", ARRAYS)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"is not the file that predictor\.json names"):
        load_predictor("made", store)
    path.unlink()
    with pytest.raises(StoreError, match="is missing, though its card is there"):
        load_predictor("made", store)


def test_a_changed_card_is_refused(made: FittedPredictor, store: str) -> None:
    publish_predictor(store, made.card, made.parts)
    path = Path(store, "predictors/made", CARD)
    whole = path.read_text()
    for text, found in (
        (whole.replace('"positives": ', '"positives": 1'), "not those that were written"),
        (whole[:200], "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "states no format version"),
    ):
        path.write_text(text)
        with pytest.raises(StoreError, match=found):
            load_predictor("made", store)


def test_a_newer_card_is_refused_with_a_remedy(made: FittedPredictor, store: str) -> None:
    publish_predictor(store, made.card, made.parts)
    path = Path(store, "predictors/made", CARD)
    newer = json.loads(path.read_text()) | {"format_version": 2, "what_is_new": 1}
    path.write_bytes(seal_json({k: v for k, v in newer.items() if "histo_ray" not in k}))
    with pytest.raises(StoreError, match=r"format version 2, .* up to 1; upgrade histo-ray"):
        load_predictor("made", store)


def test_arrays_of_another_predictor_do_not_fit_the_card(made: FittedPredictor, store: str) -> None:
    other = make_predictor()
    publish_predictor(store, other.card, made.parts)  # its own digest, but not its parts
    with pytest.raises(StoreError, match="does not fit its card"):
        load_predictor("made", store)


def test_a_name_that_is_not_there_is_told_with_those_that_are(
    made: FittedPredictor, store: str, tmp_path: Path
) -> None:
    publish_predictor(store, made.card, made.parts)
    with pytest.raises(ConfigError, match=r"predictors there: made; did you mean made\?"):
        load_predictor("maid", store)
    with pytest.raises(ConfigError, match="not in store"):
        load_predictor("../made", store)
    with pytest.raises(ConfigError, match="name the folder of a predictor"):
        load_predictor(str(tmp_path))
    assert find_predictor(store, "other", "0") is None


def _publish_and_die(store: str, made: FittedPredictor) -> None:
    def die(*args: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    atomic_write._flush = die  # type: ignore[assignment]
    publish_predictor(store, made.card, made.parts)


def test_a_process_that_is_killed_while_it_publishes_leaves_nothing(
    made: FittedPredictor, store: str
) -> None:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_publish_and_die, args=(store, make_predictor()))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert list_predictors(store) == []
    assert not Path(store, "predictors/made").exists()
    publish_predictor(store, made.card, made.parts)
    assert load_predictor("made", store).card.name == "made"


def test_what_a_killed_deletion_left_is_no_predictor(made: FittedPredictor, store: str) -> None:
    publish_predictor(store, made.card, made.parts)
    Path(store, "predictors/made", CARD).unlink()
    assert list_predictors(store) == []
    publish_predictor(store, made.card, made.parts)
    assert load_predictor("made", store).card.name == "made"


def test_the_page_on_files_reads_a_predictor_without_this_package(store: str) -> None:
    made = make_predictor()
    publish_predictor(store, made.card, made.parts)
    page = Path(__file__).parents[2] / "docs/predictors.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Callable[..., npt.NDArray[np.float64]]] = {}
    exec(code, names)
    pooled = pool_mean(make_bags(9, seed=4))
    for number, part in enumerate(made.parts.linear):
        found = names["predict"](f"{store}/predictors/made", number, pooled)
        np.testing.assert_allclose(found, part.predict(pooled), atol=1e-12)
    stored = load_file(Path(store, "predictors/made", ARRAYS))
    for name in stored:
        shown = re.sub(r"\d+", lambda at: "i" if at.start() == len("part.") else "j", name)
        *_, last = shown.split(".")
        assert f"`{shown}`" in page.read_text() or f"`.{last}`" in page.read_text()


@pytest.mark.usefixtures("s3")
def test_a_store_of_an_object_store_has_predictors_too(made: FittedPredictor) -> None:
    store = "s3://bucket/predictors/store"
    open_store(store, create=True)
    card = publish_predictor(store, made.card, made.parts)
    bags = make_bags(3, seed=9)
    pooled = {"mean": pool_mean(bags)}
    for found in (load_predictor("made", store), load_predictor(f"{store}/predictors/made")):
        assert found.card == card
        np.testing.assert_array_equal(found.predict(pooled, bags), made.predict(pooled, bags))
    assert list_predictors(store) == ["made"]
    other = made.card.model_copy(update={"fingerprint": "e" * 64})
    with pytest.raises(ConfigError, match="is in use"):
        publish_predictor(store, other, make_predictor().parts)
    assert load_predictor("made", store).card == card
