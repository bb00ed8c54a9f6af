"""AtlasPatch: one HDF5 file a slide with `features/<encoder>` (N, D) and `coords` (N, 5).

Sources, in AtlasAnalyticsLab/AtlasPatch at 31146af: `atlas_patch/services/storage.py:
H5PatchWriter` (attributes of the file; `coords` are x, y in level-0 px, read_w, read_h, level),
`atlas_patch/core/wsi/iwsi.py: metadata_attrs` (`mpp` of level 0, where the slide states it).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histo_ray.store.exchange.feature_file import find_folders, list_by_name, read_features
from histo_ray.store.exchange.hdf5_file import number, open_hdf5, probe_files, whole
from histo_ray.store.exchange.source import (
    FeatureSet,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    name_slides,
)


class AtlasPatch:
    """Features of AtlasPatch; a file holds those of several encoders."""

    name = "atlaspatch"
    reads = "an output folder of AtlasPatch, with patches/<slide>.h5"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each encoder of each folder, by the groups of its files."""
        found = []
        for place in find_folders(folder, "*.h5"):
            files = list_by_name(place, ".h5")
            if any(_is_ours(file) for file in probe_files([one[0] for one in files.values()])):
                slides = list(name_slides(files))
                found += [
                    FeatureSet(
                        name,
                        tuple(SourceSlide(s.name, s.files, name, s.problem) for s in slides),
                    )
                    for name in _list_encoders(slides)
                ]
        return found

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Coords are level-0 px; `mpp` is there where the slide stated it."""
        with read_features(slide, f"features/{slide.part}") as raw:
            level = int(raw.coords[0, 4]) if len(raw.coords) and raw.coords.shape[1] > 4 else -1
            yield raw.as_tiles(read_geometry(raw.stated, level))


def read_geometry(stated: Stated, level: int) -> TileGeometry:
    """Geometry by the file's attributes. Pure."""
    side, size = number(stated, "patch_size_level0"), whole(stated, "patch_size")
    overlap = stated.get("overlap", 0)
    width, height = whole(stated, "level0_width"), whole(stated, "level0_height")
    path = stated.get("wsi_path", "")
    return TileGeometry(
        tile_px=size,
        side_px=(side, side) if side else None,
        slide_mpp=number(stated, "mpp"),
        size_px=(width, height) if width and height else None,
        magnification=number(stated, "target_magnification"),
        stride_px=size - float(overlap) if size and isinstance(overlap, int | float) else None,
        level=level,
        slide_path=path if isinstance(path, str) else "",
    )


def _is_ours(file: Any) -> bool:
    return "coords" in file and (
        hasattr(file.get("features"), "keys") or "passport_version" in file.attrs
    )


def _list_encoders(slides: list[SourceSlide]) -> list[str]:
    """Encoders of all files that open: each may have been added to some slides only."""
    names: set[str] = set()
    for slide in slides:
        try:
            with open_hdf5(slide.files[0]) as file:
                names |= {
                    name for name in file.get("features", {}) if not name.startswith("__tmp_")
                }
        except OSError:  # one slide's fate, told when it is read
            continue
    return sorted(names)
