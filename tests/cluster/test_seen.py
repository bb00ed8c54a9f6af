"""An encoder that is judged on the tiles it learned from is told."""

from pathlib import Path

from histo_ray.cluster.tissue_run import find_seen
from histo_ray.finetune.config import FinetuneConfig
from histo_ray.finetune.run import finetune
from histo_ray.learn.config import TissueConfig
from histo_ray.synth.tiles import write_demo_tiles
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
