"""An encoder that is judged on the tiles it learned from is told."""

from pathlib import Path

from histo_ray.evaluate.tissue_run import find_marked, find_seen
from histo_ray.evaluate.tissue_settings import TissueConfig
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.synth.tile_writer import write_demo_tiles
from histo_ray.tilesets.read import read_tileset

BASE = "random:resnet10t?seed=0&px=64"


def test_an_encoder_that_learned_from_the_judged_tiles_is_named(tmp_path: Path) -> None:
    learned, other = (write_demo_tiles(tmp_path / f"{n}", 10, seed=n) for n in (1, 2))
    store = str(tmp_path / "store")
    finetune(
        FinetuneConfig(
            tiles=str(learned), encoder=BASE, name="tuned", store=store,
            set=("network.epochs=0",), device="cpu",
        )
    )  # fmt: skip
    config = TissueConfig(tiles=str(learned), store=store, encoder=(BASE, "tuned"))
    sets = [read_tileset(str(table)) for table in (learned, other)]
    (warning,) = find_seen(config, sets)
    assert warning.startswith("tuned was fine-tuned on the tiles of tiles")
    assert find_seen(config, sets[1:]) == []


def test_tiles_that_their_table_marks_are_called_synthetic(tmp_path: Path) -> None:
    table = write_demo_tiles(tmp_path / "drawn", 6, tile_px=48)
    drawn = read_tileset(str(table))
    plain = tmp_path / "drawn" / "plain.csv"
    lines = table.read_text().splitlines()
    plain.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    unmarked = read_tileset(str(plain))
    assert drawn.digest == unmarked.digest  # a mark makes no other set of it
    (warning,) = find_marked([drawn, unmarked])
    assert warning.startswith("SYNTHETIC data: the table of tiles marks its tiles so")
