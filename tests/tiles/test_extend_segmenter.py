"""The recipe `docs/extend/segmenter.md`, followed to the letter, with random weights."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.tiles.segmenters import load_segmenter
from tests.extend_pages import code_blocks
from tests.tiles.segmenter_contract import SegmenterContract

MODULE = "my_segmenter"


class TestSegmenterOfThePage(SegmenterContract):
    @pytest.fixture
    def tissue(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        (source,) = code_blocks("segmenter.md")
        (tmp_path / f"{MODULE}.py").write_text(source, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
        namespace: dict[str, Any] = {"__file__": str(tmp_path / f"{MODULE}.py"), "__name__": MODULE}
        exec(compile(source, MODULE, "exec"), namespace)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = namespace["UNet"](4).state_dict()
        safetensors.torch.save_file(weights, str(tmp_path / "my_unet.safetensors"))
        threads = torch.get_num_threads()
        yield f"{MODULE}:make_segmenter"
        torch.set_num_threads(threads)
        load_segmenter.cache_clear()
        sys.modules.pop(MODULE, None)

    @pytest.fixture
    def slide(self, cohort: Any) -> Iterator[OpenedSlide]:
        with open_slide(str(cohort.folder / "good-b.svs")) as opened:
            yield opened
