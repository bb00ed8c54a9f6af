"""The recipe `docs/extend/exchange-format.md`, followed to the letter."""

import importlib
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.store.exchange import registry as formats
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.store import Store
from tests.extend_pages import code_blocks
from tests.store.exchange.exchange_contract import COUNTS, ExchangeContract, filled

__all__ = ["filled"]


class TestFormatOfThePage(ExchangeContract):
    """The contract of exchange formats, and the command line."""

    @pytest.fixture
    def format(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExchangeFormat:
        """The page's format, registered in this process."""
        module, line = code_blocks("exchange-format.md")
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
