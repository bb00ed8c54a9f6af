"""Extractions on a cluster as a person starts them, and the processes that work in them."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED, SOLID
from testing.raylets import BIN, RayCluster, RayNode

ENCODER = "random:resnet18?seed=0&px=128"
SLIDES = 6
TRIAL_S = 300


def write_slides(folder: Path) -> Path:
    """Synthetic slides; their manifest."""
    rows = ["slide_id,path,synthetic"]
    for number in range(SLIDES):
        looks = (GLANDULAR, INFLAMED, SOLID)[number % 3]
        plan = SlideDesign((780 + 40 * number, 620), 0.5, looks, seed=number, tissue_share=0.6)
        if not (folder / f"s{number}.svs").exists():
            write_slide(folder / f"s{number}.svs", plan)
        rows.append(f"s{number},s{number}.svs,true")
    (folder / "slides.csv").write_text("\n".join(rows) + "\n")
    return folder / "slides.csv"


def run(
    cluster: RayCluster, manifest: Path, store: Path, **changes: str | int
) -> "subprocess.Popen[str]":
    """The command as a person types it; `changes` are flags."""
    flags = {
        "manifest": manifest,
        "store": store,
        "encoder": ENCODER,
        "tile-px": 64,
        "batch-size": 16,
        "device": "cpu",
        "encoder-threads": 1,
        "address": cluster.address,
        **changes,
    }
    command = [str(BIN / "histo-ray"), "extract"]
    for name, value in flags.items():
        command += [f"--{name}", str(value)]
    return subprocess.Popen(
        command,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def watch(driver: "subprocess.Popen[str]") -> tuple[int, str, float]:
    """Wait for a command: exit code, last line, seconds."""
    began = time.monotonic()
    try:
        told, _ = driver.communicate(timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        driver.kill()
        told, _ = driver.communicate()
        told += f"\nhung for {TRIAL_S} s"
    lines = [line for line in told.splitlines() if line.strip()]
    if driver.returncode in (0, 1, -9):
        return driver.returncode, (lines or [""])[-1], time.monotonic() - began
    return driver.returncode, " / ".join(lines[-6:]), time.monotonic() - began


def await_work(driver: "subprocess.Popen[str]") -> None:
    """Return once an encoder has begun, or the command has ended."""
    while not processes("ray::EncoderWorker.encode") and driver.poll() is None:
        time.sleep(0.02)


def title_of(process: psutil.Process) -> str:
    """What Ray calls a process; empty if it has gone."""
    try:
        return str((process.cmdline() or [""])[0]).strip().removeprefix("ray::")
    except psutil.Error:
        return ""


def processes(title: str) -> list[psutil.Process]:
    """Ray's workers whose title begins so."""
    short = title.removeprefix("ray::")
    found = [p for p in psutil.process_iter() if title_of(p).startswith(short)]
    return sorted(found, key=lambda process: process.pid)


def tree(node: RayNode) -> Sequence[psutil.Process]:
    """All processes of a node."""
    try:
        return list(psutil.Process(node.process.pid).children(recursive=True))
    except psutil.Error:
        return []
