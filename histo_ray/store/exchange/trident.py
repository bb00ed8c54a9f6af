"""TRIDENT: one HDF5 file a slide with `features` (N, D) and `coords` (N, 2) in level-0 px.

Sources, in mahmoodlab/TRIDENT at a91fa84: `trident/IO.py: coords_to_h5, save_h5` (attributes of
`coords`), `trident/wsi_objects/WSI.py: extract_patch_features` (attributes of `features`; empty
slides), `run_batch_of_slides.py` (folders `<mag>x_<px>px_<overlap>px_overlap/features_<encoder>`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histo_ray.store.exchange.feature_file import (
    FileParts,
    find_folders,
    list_by_name,
    read_features,
    write_features,
)
from histo_ray.store.exchange.hdf5_file import number, probe_files, whole
from histo_ray.store.exchange.source import (
    FeatureSet,
    Scalar,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    name_slides,
)
from histo_ray.types import Receipt, TileRows

_FOLDERS = ("features_", "patch_features_")
_OF_VECTORS = ("name", "savetodir", "encoder")
"""Attributes of `features`; all others are of `coords`."""
_ATTRIBUTES = ("patch_size", "patch_size_level0", "level0_magnification", "target_magnification")


class Trident:
    """Files of TRIDENT's patch encoders; slide-level features are no tiles and are left out."""

    name = "trident"
    about = "HDF5 as TRIDENT writes it (features, coords in level-0 px), one file a slide"
    reads = "a job folder of TRIDENT, or a folder features_<encoder> of it"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each folder `features_<encoder>`, or of files with attributes of TRIDENT."""
        found = []
        for place in find_folders(folder, "*.h5"):
            named = next((p for p in _FOLDERS if place.name.startswith(p)), "")
            files = list_by_name(place, ".h5")
            if place.name.startswith("slide_features_"):
                continue
            if not (named or asked or _is_trident(files)):
                continue
            if any("features" not in file or "coords" not in file for file in _first(files)):
                continue
            encoder = place.name.removeprefix(named) if named else ""
            found.append(FeatureSet(encoder, tuple(name_slides(files))))
        return found

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Coords are level-0 px; the scale is a magnification only, so mpp comes from elsewhere."""
        with read_features(slide, "features") as raw:
            yield raw.as_tiles(read_geometry(raw.stated))

    def relative_path(self, receipt: Receipt) -> str:
        """`features_<encoder>/<slide_id>.h5`."""
        return f"features_{receipt.encoder.name}/{receipt.slide.slide_id}.h5"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write `features` as stored and `coords` as int64, with the attributes of the source.

        A magnification is written only where the slide was imported with one: a store knows mpp.
        """
        stated = dict(receipt.imported.stated) if receipt.imported is not None else {}
        own = {name: _of_vectors(stated, name) for name in _OF_VECTORS}
        stated = {name: value for name, value in stated.items() if not name.startswith("features.")}
        stated.pop("encoder", None)
        side, (width, height) = receipt.tiling.side[0], receipt.slide.size_px
        about: dict[str, object] = {"name": receipt.slide.slide_id, **stated}
        about["patch_size"] = receipt.tiling.settings.get("tile_px") or round(side)
        about["patch_size_level0"] = round(side)
        if width:
            about |= {"level0_width": width, "level0_height": height}
        if receipt.slide.mpp[0]:
            about["level0_mpp"] = receipt.slide.mpp[0]
        encoder: dict[str, object] = {
            "name": receipt.slide.slide_id,
            "encoder": receipt.encoder.name,
            **{name: value for name, value in own.items() if value is not None},
        }
        attributes = {"coords": about, "features": encoder}
        parts = FileParts("features", "int64", attributes, resizable=True)
        write_features(path, rows, receipt, parts)


def _of_vectors(stated: Stated, name: str) -> Scalar | None:
    """What the source's vectors said, where coords may say otherwise."""
    return stated.get(f"features.{name}", stated.get(name))


def read_geometry(stated: Stated) -> TileGeometry:
    """Geometry by TRIDENT's attributes of `coords`. Pure."""
    side, size = number(stated, "patch_size_level0"), whole(stated, "patch_size")
    overlap = stated.get("overlap", 0)
    width, height = whole(stated, "level0_width"), whole(stated, "level0_height")
    return TileGeometry(
        tile_px=size,
        side_px=(side, side) if side else None,
        slide_mpp=number(stated, "level0_mpp"),
        size_px=(width, height) if width and height else None,
        magnification=number(stated, "target_magnification"),
        stride_px=size - float(overlap) if size and isinstance(overlap, int | float) else None,
    )


def _first(files: dict[str, list[Path]]) -> Iterator[Any]:
    return probe_files([paths[0] for paths in files.values()])


def _is_trident(files: dict[str, list[Path]]) -> bool:
    """Whether the first file that opens has attributes that no other tool writes there."""
    for file in probe_files([paths[0] for paths in files.values()]):
        there = file.get("coords")
        return there is not None and any(name in there.attrs for name in _ATTRIBUTES[1:])
    return False
