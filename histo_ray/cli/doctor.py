"""Verb `histo-ray doctor`: can this machine or cluster run, and if not, what to do."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

from histo_ray.cli.doctor_check import Check
from histo_ray.cli.doctor_data import add_data_arguments, list_data_checks
from histo_ray.deferred import deferred
from histo_ray.errors import HistoRayError

openslide_versions = deferred("histo_ray.slides.openslide_reader:openslide_versions")
check_devices = deferred("histo_ray.encoders.probe:check_devices")
try_batch = deferred("histo_ray.encoders.probe:try_batch")
describe_hub = deferred("histo_ray.encoders.probe:describe_hub")
resolve = deferred("histo_ray.encoders.registry:resolve")
load_encoder = deferred("histo_ray.encoders.load:load_encoder")
ray_session = deferred("histo_ray.cluster.session:ray_session")
locate = deferred("histo_ray.storage:locate")
check_place = deferred("histo_ray.storage.check:check_place")
LEAST_FREE_GB = 10
LEAST_SHM_GB = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("--store", help="store that will be written; its disk is checked")
    parser.add_argument("--encoder", action="append", default=[], help="encoder to load as a test")
    parser.add_argument("--encoder-table", action="append", default=[], help="your own encoders")
    parser.add_argument("--address", default="local", help="Ray to look at: local, auto, ray://...")
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything, or the data that is asked for; return 0 if nothing is bad, else 2."""
    checks = []
    for find in list_data_checks(args) if args.data else _list_checks(args):
        for check in find():
            checks.append(check)
            if not args.json:
                _print(check)
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    return 2 if any(check.state == "bad" for check in checks) else 0


def _list_checks(args: argparse.Namespace) -> list[Callable[[], list[Check]]]:
    """List the checks, the quick ones first."""
    loaded: list[object] = []
    single: list[Callable[[], Check]] = [
        _python,
        _openslide,
        _memory,
        lambda: _disk(args.store),
        _gpu,
        lambda: _ray(args.address),
        _hub,
        *(partial(_encoder, request, args.encoder_table, loaded) for request in args.encoder),
    ]
    return [partial(_alone, find) for find in single]


def _alone(find: Callable[[], Check]) -> list[Check]:
    return [find()]


def _print(check: Check) -> None:
    print(f"{check.state:<5} {check.what:<10} {check.found}")
    if check.remedy:
        print(f"{'':<16} -> {check.remedy}")
    sys.stdout.flush()  # the next one may take seconds


def _python() -> Check:
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _openslide() -> Check:
    return Check("openslide", "ok", openslide_versions())


def _gpu() -> Check:
    found, state, remedy = check_devices()
    return Check("gpu", state, found, remedy)


def _memory() -> Check:
    shm = Path("/dev/shm")  # noqa: S108 - Ray's object store lies there
    if not shm.is_dir():
        return Check("memory", "note", "no /dev/shm on this system")
    free = shutil.disk_usage(shm).free / 1e9
    if free < LEAST_SHM_GB:
        return Check(
            "memory",
            "bad",
            f"only {free:.1f} GB free in /dev/shm; Ray's object store needs {LEAST_SHM_GB} GB",
            "start the container with --shm-size=8g",
        )
    return Check("memory", "ok", f"{free:.1f} GB free in /dev/shm")


def _disk(store: str | None) -> Check:
    if store and "://" in store:
        return _try("store", lambda: _remote_store(store))
    place = Path(store or ".").absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    state: Literal["ok", "note"] = "ok" if free >= LEAST_FREE_GB else "note"
    remedy = "" if state == "ok" else "a slide takes about 15 MB an encoder (2,048 float16)"
    return Check("disk", state, f"{free:.0f} GB free at {place}", remedy)


def _remote_store(uri: str) -> str:
    check_place(uri, "store")
    filesystem, path = locate(uri)
    kind = filesystem.get_file_info(path).type.name
    return f"{uri} can be reached ({'not there yet' if kind == 'NotFound' else kind.lower()})"


def _ray(address: str) -> Check:
    def look() -> str:
        with ray_session(address) as nodes:
            cpus, gpus = sum(n.cpus for n in nodes), sum(n.gpus for n in nodes)
            store = sum(n.object_store_bytes for n in nodes) / 1e9
        return (
            f"{len(nodes)} node(s), {cpus:g} CPUs, {gpus:g} GPUs, {store:.1f} GB object store "
            f"({address})"
        )

    return _try("ray", look)


def _hub() -> Check:
    found, reachable = describe_hub()
    if reachable:
        return Check("weights", "ok", found)
    remedy = "encoders from a local file (?file=...) and random: ones work"
    return Check("weights", "note", found, remedy)


def _encoder(request: str, tables: list[str], loaded: list[object]) -> Check:
    """Load an encoder; those on a GPU stay, as in a run, which has all of them in its memory."""

    def look() -> str:
        encoder = load_encoder(resolve(request, tables))
        left = ""
        if encoder.device.startswith("cuda"):
            loaded.append(encoder)
            left = f"; {try_batch(encoder)}"
        return (
            f"{request}: {encoder.dim} features, input {encoder.spec.input_px} px, "
            f"weights {encoder.weights_sha256[:12]}, on {encoder.device}{left}"
        )

    return _try("encoder", look)


def _try(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, "ok", look())
    except (HistoRayError, OSError) as error:
        return Check(what, "bad", str(error))
