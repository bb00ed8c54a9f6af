"""Verb `histo-ray doctor`: can this machine or cluster run, what to do if not, and what next."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

from histo_ray.cli.doctor_check import Check
from histo_ray.cli.doctor_data import add_data_arguments, list_data_checks
from histo_ray.cli.json_results import print_json
from histo_ray.cli.progress import say
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError, HistoRayError

openslide_versions = deferred("histo_ray.slides.openslide_reader:openslide_versions")
check_devices = deferred("histo_ray.encoders.probe:check_devices")
check_manifest = deferred("histo_ray.cli.doctor_manifest:check_manifest")
check_room = deferred("histo_ray.cli.doctor_manifest:check_room")
measure_rate = deferred("histo_ray.encoders.probe:measure_rate")
try_batch = deferred("histo_ray.encoders.probe:try_batch")
describe_hub = deferred("histo_ray.encoders.probe:describe_hub")
resolve = deferred("histo_ray.encoders.registry:resolve")
load_encoder = deferred("histo_ray.encoders.load:load_encoder")
ray_session = deferred("histo_ray.cluster.session:ray_session")
locate = deferred("histo_ray.storage:locate")
check_place = deferred("histo_ray.storage.check:check_place")
LEAST_FREE_GB = 10
LEAST_SHM_GB = 2
MEASURE_S, MOST_MEASURE_S = 10.0, 600.0
"""Seconds of the measurement of tiles/s."""
PLAIN_ENCODER = "random:resnet10t?seed=0"
"""Measured, and named in the next command, where no encoder is asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("--store", help="store that will be written; its disk is checked")
    parser.add_argument("--encoder", action="append", default=[], help="encoder to load as a test")
    parser.add_argument("--encoder-table", action="append", default=[], help="your own encoders")
    parser.add_argument(
        "--manifest", help="slides that are to be extracted: some are opened, and room is compared"
    )
    parser.add_argument("--tile-px", type=int, default=224, help="side of tiles (default: 224)")
    parser.add_argument(
        "--mpp", type=float, default=0.5, help="microns per pixel of tiles (default: 0.5)"
    )
    parser.add_argument(
        "--measure-s",
        type=float,
        default=MEASURE_S,
        metavar="X",
        help=f"seconds to measure tiles/s of each encoder; 0: do not (default: {MEASURE_S:g})",
    )
    parser.add_argument("--address", default="local", help="Ray to look at: local, auto, ray://...")
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything, or the data that is asked for; return 0 if nothing is bad, else 2."""
    if args.tile_px < 1 or not args.mpp > 0 or not 0 <= args.measure_s <= MOST_MEASURE_S:
        raise ConfigError(
            f"doctor: --tile-px {args.tile_px}, --mpp {args.mpp:g}, --measure-s "
            f"{args.measure_s:g}: must be at least 1, above 0, and 0 to {MOST_MEASURE_S:g}"
        )
    say("doctor", "looking at this machine")
    checks: list[Check] = []
    finds = list_data_checks(args) if args.data else _list_checks(args)
    if not args.data:
        finds += [lambda: _room(args, checks), lambda: [_next(args, checks)]]
    for find in finds:
        for check in find():
            checks.append(check)
            if not args.json:
                _print(check)
    if args.json:
        print_json([asdict(check) for check in checks])
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
        lambda: _token(args.address),
        _hub,
    ]
    checks: list[Callable[[], list[Check]]] = [partial(_alone, find) for find in single]
    checks += [partial(_encoder, request, args, loaded) for request in args.encoder]
    if not args.encoder and args.measure_s:
        checks.append(partial(_encoder, PLAIN_ENCODER, args, loaded))
    if args.manifest:
        checks.append(lambda: check_manifest(args.manifest, args.tile_px, args.mpp))
    return checks


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
    measures = {"free_bytes": free * 1e9}
    return Check("disk", state, f"{free:.0f} GB free at {place}", remedy, measures)


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


def _token(address: str) -> Check:
    if address == "local" and not os.environ.get("RAY_ADDRESS"):
        return Check("token", "ok", "a local Ray has a token of its own for each run, on loopback")
    given = [name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if os.environ.get(name)]
    if given:
        return Check("token", "ok", f"{given[0]} is set, which the cluster is shown")
    remedy = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, as docs/guide/cluster.md says"
    return Check("token", "note", "neither RAY_AUTH_TOKEN nor RAY_AUTH_TOKEN_PATH is set", remedy)


def _encoder(request: str, args: argparse.Namespace, loaded: list[object]) -> list[Check]:
    """Load an encoder and measure it; those on a GPU stay, as in a run, which has all in memory."""
    checks: list[Check] = []
    try:
        encoder = load_encoder(resolve(request, args.encoder_table))
        left = ""
        if encoder.device.startswith("cuda"):
            loaded.append(encoder)
            left = f"; {try_batch(encoder)}"
        found = (
            f"{request}: {encoder.dim} features, input {encoder.spec.input_px} px, weights "
            f"{encoder.weights_sha256[:12]}, on {encoder.device} in {encoder.precision}{left}"
        )
        checks.append(Check("encoder", "ok", found, measures={"dim": float(encoder.dim)}))
        if args.measure_s:
            say("doctor", f"measuring {request} for {args.measure_s:g} s")
            rate = measure_rate(encoder, args.measure_s)
            found = f"{request}: {rate:.1f} tiles/s in one process, without reading slides"
            checks.append(Check("speed", "ok", found, measures={"tiles_per_s": rate}))
    except (HistoRayError, OSError) as error:
        checks.append(Check("encoder", "bad", str(error)))
    return checks


def _room(args: argparse.Namespace, checks: list[Check]) -> list[Check]:
    """Compare free disk with the manifest, where it and an encoder could be read."""
    measured = [check.measures for check in checks]
    tiles = [found["tiles_most"] for found in measured if "tiles_most" in found]
    free = [found["free_bytes"] for found in measured if "free_bytes" in found]
    dims = [int(found["dim"]) for found in measured if "dim" in found]
    if not (args.encoder and tiles and free and dims):
        return []
    return [check_room(free[0], tiles[0], dims)]


def _next(args: argparse.Namespace, checks: list[Check]) -> Check:
    """Name a command that would work here."""
    if any(check.state == "bad" for check in checks):
        return Check("next", "note", "mend what is bad above, then run histo-ray doctor again")
    if not args.manifest:
        return Check("next", "ok", "histo-ray demo --small")
    words = ["histo-ray", "plan", "--manifest", args.manifest, "--store", args.store or "STORE"]
    for request in args.encoder or [PLAIN_ENCODER]:
        words += ["--encoder", request]
    for table in args.encoder_table:
        words += ["--encoder-table", table]
    words += ["--tile-px", str(args.tile_px), "--mpp", f"{args.mpp:g}"]
    if args.address != "local":
        words += ["--address", args.address]
    remedy = (
        ""
        if args.encoder
        else "its weights are random: a trial; histo-ray encoders lists real ones"
    )
    return Check("next", "ok", shlex.join(words), remedy)


def _try(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, "ok", look())
    except (HistoRayError, OSError) as error:
        return Check(what, "bad", str(error))
