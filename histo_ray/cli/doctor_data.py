"""Checks of downloaded data for `histo-ray doctor --data NAME PATH`."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from histo_ray.cli.doctor_check import Check
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.text import did_you_mean, join_or

find_known = deferred("histo_ray.tilesets.known_sets:find_known")
check_known_set = deferred("histo_ray.tilesets.known_sets:check_known_set")
read_gdc_manifest = deferred("histo_ray.slides.gdc_manifest:read_gdc_manifest")
check_download = deferred("histo_ray.slides.gdc_manifest:check_download")
GDC = "gdc"
SETS = ("nct-crc-he-100k", "crc-val-he-7k")
LUAD_SLIDES, LUAD_PATIENTS = 515, 453
"""Diagnostic slides and patients of TCGA-LUAD in the list of mahmoodlab/PORPOISE."""


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of data checks."""
    parser.add_argument(
        "--data",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "PATH"),
        help=f"check only this download: {', '.join(SETS)} with a folder or the zip, or {GDC} with "
        "the folder of a download from the GDC portal; may be repeated",
    )
    parser.add_argument(
        "--gdc-manifest", type=Path, help="manifest of that download, as the portal gave it"
    )
    parser.add_argument(
        "--digests", action="store_true", help="compute the MD5 of each slide, too: reads them all"
    )


def list_data_checks(args: argparse.Namespace) -> list[Callable[[], list[Check]]]:
    """List the checks of all downloads that are asked for."""
    return [
        partial(_check_gdc, Path(path), args.gdc_manifest, args.digests)
        if name == GDC
        else partial(_check_set, name, Path(path))
        for name, path in args.data
    ]


def _check_set(name: str, place: Path) -> list[Check]:
    if name not in SETS:
        names = [*SETS, GDC]
        told = f"--data {name}: must be {join_or(names)}{did_you_mean(name, names)}"
        return [Check("data", "bad", told)]
    try:
        known = find_known(name)
        problems = check_known_set(known, place)
    except (ConfigError, OSError) as error:
        return [Check("data", "bad", str(error))]
    if problems:
        return [Check("data", "bad", problem) for problem in problems]
    if place.is_file():
        return [Check("data", "ok", f"{place}: size and MD5 of {known.archive}")]
    return [
        Check(
            "data",
            "ok",
            f"{place}: {known.tiles:,} tiles of {len(known.classes)} classes, as {known.title} has",
        )
    ]


def _check_gdc(folder: Path, manifest: Path | None, digests: bool) -> list[Check]:
    if manifest is None:
        return [Check("data", "bad", f"--data {GDC} {folder}: give its manifest, too: "
                      "--gdc-manifest FILE")]  # fmt: skip
    try:
        files = read_gdc_manifest(manifest)
        problems = list(check_download(files, folder, digests))
    except (ConfigError, OSError) as error:
        return [Check("data", "bad", str(error))]
    patients = len({file.patient for file in files})
    found = f"{manifest}: {len(files):,} files of {patients:,} patients"
    checks = [Check("data", "bad", problem) for problem in problems]
    if not problems:
        how = "sizes and MD5" if digests else "sizes"
        checks.append(Check("data", "ok", f"{found}, all in {folder} with the right {how}"))
    if (len(files), patients) != (LUAD_SLIDES, LUAD_PATIENTS):
        checks.append(
            Check(
                "data",
                "note",
                f"{found}; the list of mahmoodlab/PORPOISE has {LUAD_SLIDES} diagnostic slides of "
                f"{LUAD_PATIENTS} patients of TCGA-LUAD",
                "where the cohort is another one, expected numbers are, too",
            )
        )
    return checks
