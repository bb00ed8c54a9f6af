"""Garbage of a store: leftovers of crashed runs, and caches that can be made again."""

import re

from histo_ray.store.catalog import list_folders
from histo_ray.store.layout import CACHE, FITS, POOLED, STAGING
from histo_ray.store.location import ROOT_FILE, Location

_CACHED = {
    POOLED: re.compile(r"[0-9a-f]{64}\.parquet"),
    f"{CACHE}/catalogue": re.compile(r"encoder=[a-z0-9._-]+/tiling=[a-z0-9._-]+\.parquet"),
    f"{CACHE}/tiles": re.compile(
        r"encoder=[a-z0-9._-]+/tiling=[a-z0-9._-]+/[0-9]{20}-[0-9a-f]{8}\.(parquet|index)"
    ),
    f"{CACHE}/finetune": re.compile(r"[a-z0-9][a-z0-9._-]*\.safetensors"),
    FITS: re.compile(r"[0-9a-f]{16}/mil[0-9.]+\.parquet"),
    f"{CACHE}/claims": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
}
"""What is made by us and can be made again, by folder; nothing else there is removed."""
DAY_S = 24 * 3600.0
"""Younger leftovers may be at work still."""


def list_leftovers(root: Location, before_s: float) -> list[str]:
    """Paths below the store that a crashed run left and nobody has touched since `before_s`.

    Args:
        root: The store.
        before_s: Seconds since the epoch.
    """
    staged = (f"{STAGING}/{name}" for name in root.child(STAGING).names())
    found = [path for path in staged if _last_touched(root.child(path)) <= before_s]
    for folder in list_folders(root, None, None):
        for name in root.child(folder).names():
            location = root.child(f"{folder}/{name}")
            half_sent = name.endswith(".zarr") and not location.child(ROOT_FILE).kind()
            if half_sent and _last_touched(location) <= before_s:
                found.append(f"{folder}/{name}")
    return found


def collect_garbage(root: Location, before_s: float, dry_run: bool) -> list[str]:
    """Remove leftovers and cached tables older than `before_s`; what was, or would be, removed."""
    found = list_leftovers(root, before_s)
    for room, ours in _CACHED.items():
        top = root.child(room)
        for name in sorted(info.path.removeprefix(f"{top.path}/") for info in top.walk()):
            if ours.fullmatch(name) and _last_touched(top.child(name)) <= before_s:
                found.append(f"{room}/{name}")
    if not dry_run:
        for path in found:
            root.child(path).delete()
    return found


def _last_touched(location: Location) -> float:
    """Newest time of change of a file or of anything in a folder, in seconds since the epoch."""
    own = location.system.get_file_info([location.path])[0]
    return max([_mtime(own), *(_mtime(info) for info in location.walk())] if own.type else [0.0])


def _mtime(info: object) -> float:
    stamp = getattr(info, "mtime_ns", None)
    return stamp / 1e9 if stamp else 0.0
