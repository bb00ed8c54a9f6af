"""The recipe `docs/extend/exchange-format.md`, followed to the letter."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli import main
from histo_ray.store.exchange import import_plan
from histo_ray.store.exchange import registry as formats
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.exchange.source import ImportLayout
from histo_ray.store.store import Store
from testing.foreign_files import SIDE, TILE_PX, WRITERS, Foreign
from tests.extend_pages import code_blocks
from tests.store.exchange.exchange_contract import COUNTS, ExchangeContract, filled
from tests.store.exchange.import_contract import ImportContract

__all__ = ["filled"]


class TestFormatOfThePage(ExchangeContract):
    """The contract of exchange formats, and the command line."""

    @pytest.fixture
    def format(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExchangeFormat:
        """The page's format, registered in this process."""
        module, line, _, _ = code_blocks("exchange-format.md")
        assert module.splitlines()[0] == "# histo_ray/store/exchange/tile_csv.py"
        modules = tmp_path / "modules"
        modules.mkdir()
        (modules / "tile_csv.py").write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(str(modules))
        (made,) = eval(line, dict(vars(importlib.import_module("tile_csv"))))
        monkeypatch.setattr(formats, "EXCHANGE_FORMATS", [*formats.EXCHANGE_FORMATS, made])
        found: ExchangeFormat = made
        return found

    def test_the_command_line_exports_by_it(
        self,
        filled: Store,
        format: ExchangeFormat,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = tmp_path / "out"
        flags = [filled.root.path, "--to", format.name, "--out", str(out)]
        assert main(["store", "export", *flags]) == 0
        for slide_id, count in COUNTS.items():
            lines = (out / "e" / f"{slide_id}.csv").read_text().splitlines()
            assert lines[0] == "tile_id,x,y,tissue"
            assert len(lines) == count + 1
            assert count == 0 or lines[-1].startswith(f"{count - 1},1199,699,")
        assert main(["store", "export", filled.root.path, "--to", "tile-cvs", "--out", "x"]) == 2
        assert format.name in capsys.readouterr().err


class TestLayoutOfThePage(ImportContract):
    """The contract of layouts."""

    @pytest.fixture
    def layout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImportLayout:
        """The page's layout, registered in this process."""
        _, _, module, line = code_blocks("exchange-format.md")
        modules = tmp_path / "modules"
        modules.mkdir()
        (modules / "tile_npz.py").write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(str(modules))
        (made,) = eval(line, dict(vars(importlib.import_module("tile_npz"))))
        monkeypatch.setattr(import_plan, "IMPORT_LAYOUTS", [*formats.IMPORT_LAYOUTS, made])
        monkeypatch.setitem(WRITERS, made.name, write_npz)
        found: ImportLayout = made
        return found


def write_npz(folder: Path, slide: Foreign) -> Path:
    path = folder / "e.npz-features" / f"{slide.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, tile_px=TILE_PX, side=SIDE, xy=slide.coords, vectors=slide.vectors)
    return path
