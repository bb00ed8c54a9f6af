"""The command that a refusal names runs, and brings the slides that were missing."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from histo_ray.config import TilingConfig
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import StoreError
from histo_ray.predict.external.apply import apply_all, make_config
from histo_ray.predict.files import load_predictor, publish_predictor
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.predict.target_slides import find_target_slides
from histo_ray.store.store import open_store
from tests.conftest import Cohort
from tests.made_up import card_of
from tests.predict.external_store import write_external
from tests.predict.made_predictor import make_bags, make_predictor

TILING = TilingConfig(tile_px=64, min_tissue=0.3)


def publish_encoder(store: Path, name: str, seed: int = 0) -> str:
    """Publish a small network as fine-tuning does; the digest of its weights."""
    spec = resolve(f"random:resnet10t?seed={seed}&px=64")
    weights = build_network(spec)[0].state_dict()
    data = safetensors.torch.save({key: value.contiguous() for key, value in weights.items()})
    nothing = dict.fromkeys(("hub", "file", "seed"))
    said = spec.model_copy(update={"name": name, "request": name, "source": "store"} | nothing)
    digest = digest_weights(weights)
    card = card_of(
        name, ("A", "B"), weights_sha256=digest, file_sha256=hashlib.sha256(data).hexdigest(),
        encoder=said.model_dump(mode="json"),
    )  # fmt: skip
    folder = store / "models" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "model.json").write_text(json.dumps(card))
    return digest


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> FittedPredictor:
    """A predictor by a fine-tuned encoder, in the store of both."""
    home = tmp_path_factory.mktemp("home of both") / "A"
    open_store(str(home), create=True)
    weights = publish_encoder(home, "demo-ftx")
    made = make_predictor()
    encoder = made.card.encoder.model_copy(
        update={"name": "demo-ftx", "request": "demo-ftx", "weights_sha256": weights}
    )
    tiling = made.card.tiling.model_copy(
        update={"fingerprint": TILING.fingerprint(), "settings": TILING.model_dump(mode="json")}
    )
    card = made.card.model_copy(update={"encoder": encoder, "tiling": tiling})
    publish_predictor(str(home), card, made.parts)
    return load_predictor(str(home / "predictors/made"))


def refuse(predictor: FittedPredictor, store: str) -> str:
    with pytest.raises(StoreError) as refusal:
        apply_all([predictor], make_config("made", store, {}))
    return str(refusal.value)


def run_command(text: str, cohort: Cohort) -> None:
    """Run the command at the end of a refusal in a shell, on a manifest of one's own."""
    found = re.search(r": ((mkdir|histo-ray).*)$", text)
    assert found is not None, text
    command = found[1].replace("SLIDES.csv", str(cohort.good))
    command = command.replace("histo-ray", f"{sys.executable} -m histo_ray")
    done = subprocess.run(
        ["bash", "-ec", f"{command} --address none --device cpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_fine_tuned_encoder_is_copied_by_the_command(
    predictor: FittedPredictor, cohort: Cohort, tmp_path: Path
) -> None:
    weights = predictor.card.encoder.weights_sha256
    store = write_external(
        tmp_path / "B", ["X"], make_bags(1), encoder="imported", tiling="tother000000",
        weights=weights,
    )  # fmt: skip
    text = refuse(predictor, store)
    assert "copy models/demo-ftx, the fine-tuned encoder, into this store" in text
    assert "--min-tissue 0.3" in text
    run_command(text, cohort)
    found = find_target_slides(open_store(store), predictor.card)
    assert (found.encoder, found.tiling) == ("demo-ftx", TILING.fingerprint())
    assert {key.slide_id for key in found.partitions} == {"good-a", "good-b", "good-c"}


def test_the_name_of_the_same_weights_in_that_store_is_the_one_to_ask_for(
    predictor: FittedPredictor, tmp_path: Path
) -> None:
    store = write_external(tmp_path / "B", ["X"], make_bags(1))
    publish_encoder(tmp_path / "B", "ours")
    text = refuse(predictor, store)
    assert "--encoder ours " in text
    assert "copy" not in text


def test_a_name_that_slides_of_other_weights_have_is_not_asked_for(
    predictor: FittedPredictor, cohort: Cohort, tmp_path: Path
) -> None:
    store = write_external(tmp_path / "B", ["X"], make_bags(1), encoder="demo-ftx")
    run_command(refuse(predictor, store), cohort)
    name = f"demo-ftx-{predictor.card.encoder.weights_sha256[:6]}"
    assert find_target_slides(open_store(store), predictor.card).encoder == name


def test_other_weights_of_the_same_name_are_told(
    predictor: FittedPredictor, tmp_path: Path
) -> None:
    store = write_external(tmp_path / "B", ["X"], make_bags(1))
    publish_encoder(tmp_path / "B", "demo-ftx", seed=3)
    text = refuse(predictor, store)
    assert "another encoder is called demo-ftx in this store" in text
    assert "histo-ray extract" not in text
