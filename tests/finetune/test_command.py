"""The verb as a person runs it: real processes, real files, killed half-way."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from histo_ray.cli import main
from histo_ray.cli.finetune import describe
from histo_ray.encoders.published import read_card
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.finetune.job import TrainingProgress

MakeConfig = Callable[..., FinetuneConfig]
BASE = ["--encoder", "random:resnet10t?px=48&seed=1"]
SHORT = ["--set", "network.epochs=2", "--set", "batch_size=16", "--device", "cpu"]


def arguments(config: FinetuneConfig) -> list[str]:
    """The settings as flags."""
    flags = ["finetune"]
    for key in ("tiles", "encoder", "name", "store", "device", "threads", "save_every_s"):
        flags += ["--" + key.replace("_", "-"), str(getattr(config, key))]
    return flags + [text for change in config.set for text in ("--set", change)]


def test_killed_in_the_middle_of_an_epoch_it_goes_on_and_ends_with_the_same_weights(
    make_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ("network.epochs=4", "batch_size=16", "network.ema=0.9", "augment.crop=0.5")
    calm = finetune(make_config(set=changes, store=str(tmp_path / "calm"))).card
    config = make_config(set=changes, save_every_s=0.2)
    command = [sys.executable, "-m", "histo_ray", *arguments(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step 2, epoch 2/4" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert read_card(config.store, config.name) is None
    checkpoint = Path(config.store) / "cache" / "finetune" / "tuned.safetensors"
    assert checkpoint.stat().st_size > 1_000_000
    assert main(arguments(config)) == 0
    told = capsys.readouterr().err
    assert "step 2, epoch 3/4" in told
    assert "step 2, epoch 1/4" not in told
    assert "step 1" not in told
    card = read_card(config.store, config.name)
    assert card is not None
    assert card.weights_sha256 == calm.weights_sha256
    assert card.file_sha256 == calm.file_sha256
    assert card.metrics == calm.metrics
    assert not checkpoint.exists()


def test_it_runs_from_a_file_of_settings_and_says_what_came_of_it(
    tile_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        f"tiles = '{tile_folder}'\nencoder = '{BASE[1]}'\nname = 'tuned'\ndevice = 'cpu'\n"
        f"store = '{tmp_path / 'store'}'\nset = ['network.epochs=1', 'batch_size=16']\n"
    )
    assert main(["finetune", "--config", str(path)]) == 0
    shown = capsys.readouterr()
    assert re.search(r"tuned: random-resnet10t.*fine-tuned on 81 tiles", shown.out)
    assert re.search(r"accuracy \d\.\d+.* on 9 tiles .*leakage cannot be excluded", shown.out)
    assert re.search(r"step 2, epoch 1/1.*loss .*accuracy .*images/s", shown.err)
    assert main(["finetune", "--config", str(path), "--json"]) == 0
    assert "nothing to do" not in capsys.readouterr().out
    assert main(["encoders", "--store", str(tmp_path / "store")]) == 0
    assert "\ntuned " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tiles", "one"], "one class"),
        (["--tiles", "corrupt"], r"corrupt.*bad\.jpg: the image is damaged"),
        (["--tiles", "grey"], "grey.*1 channel"),
        (["--tiles", "none"], "no such folder"),
        (["--recipe", "exception"], "--recipe exception: must be default, xception"),
        (["--set", "network.epoch=3"], "network.epoch: unknown key; did you mean network.epochs"),
        (["--encoder", "resnett18"], "did you mean resnet18"),
        (["--encoder", "no.safetensors?arch=resnet18"], "there is no weights file no.safetensors"),
        (["--name", "Bad Name"], "--name Bad Name: must be a name of a-z"),
        (["--name", "resnet18"], "known already"),
        (["--store", "file"], "is a file; name a folder"),
        (["--device", "cuda"], "no GPU is visible"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    flags: list[str],
    told: str,
    write_tiles: Callable[[Path, int, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("good", "one", "corrupt", "grey"):
        write_tiles(Path(name), 24, 1)
    Path("one/dots").rename("dots")
    Path("one/plain").rename("plain")
    Path("corrupt/dots/bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Image.new("L", (48, 48)).save("grey/dots/grey.png")
    Path("file").write_text("")
    base = ["finetune", "--tiles", "good", *BASE, "--name", "tuned", "--store", "store", *SHORT]
    assert main([*base, *flags]) == 2
    errors = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("finetune: ")
    ]
    assert len(errors) == 1
    assert re.search(told, errors[0])


def test_progress_says_loss_accuracy_speed_and_time_left() -> None:
    nan = float("nan")
    text = describe(TrainingProgress("network", 2, 9, 3, 40, 0.5, 0.875, nan, 41.7, 240.0))
    assert text == (
        "step 2, epoch 2/9, batch 3/40, loss 0.500, accuracy 0.875, 41.7 images/s, about 4 min left"
    )
    text = describe(TrainingProgress("head", 1, 1, 2, 4, nan, nan, nan, 90.0, 30.0))
    assert text == "step 1, view 2/4, 90.0 images/s, about 30 s left"


def test_the_nine_classes_run_end_to_end(real_data: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    config = FinetuneConfig(
        tiles=str(real_data / "tiles" / "nct9"), encoder="random:resnet10t?px=64", name="nine",
        store=str(tmp_path / "store"), set=("network.epochs=2", "held_out=0.3"), device="cpu",
    )  # fmt: skip
    card = finetune(config).card
    assert card.classes == ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
    assert sum(card.data.train.values()) + sum(card.data.held_out.values()) == 58
    assert time.monotonic() - began < 120
