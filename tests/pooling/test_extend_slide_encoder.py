"""The recipe `docs/extend/slide-encoder.md`, followed to the letter."""

import sys
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli import main
from histo_ray.pooling.feature_store import open_store
from tests.extend_pages import code_blocks
from tests.pooling.slide_stores import write_slide_store


def test_a_plugin_of_the_page_encodes_and_is_pooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module,) = code_blocks("slide-encoder.md")
    (tmp_path / "my_slides.py").write_text(module, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
    write_slide_store(tmp_path / "store")
    request = "my_slides:make_slide_encoder?name=reach"
    asked = ["encode-slides", "--store", "store", "--encoder", "e", "--slide-encoder", request]
    assert main(asked) == 0
    store = open_store("store")
    found = store.matrix("e", pool="slide:reach")
    bag = store.bag("S1", "e")
    assert found.loc["S1", 1] == pytest.approx(float(bag.embeddings.max()) * (0.5 + 1 / 3))
    assert np.isfinite(found.to_numpy()).all()
    sys.modules.pop("my_slides", None)
