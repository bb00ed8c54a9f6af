"""STAMP: one HDF5 file a slide with `feats` (N, D) and `coords` (N, 2) in microns.

Sources, in KatherLab/STAMP at c54ce06: `src/stamp/preprocessing/__init__.py: extract_` (datasets
and the file's attributes `unit`, `tile_size_um`, `tile_size_px`, `extractor`, `feat_type`),
`src/stamp/modeling/data.py: get_coords` (older files: attribute `tile_size`, or none: then coords
are in 256/224 microns), `BagDataset`, `detect_feature_type`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.store.exchange.feature_file import (
    FileParts,
    find_folders,
    list_by_name,
    read_features,
    write_features,
)
from histo_ray.store.exchange.hdf5_file import number, probe_files, whole
from histo_ray.store.exchange.source import (
    Coords,
    FeatureSet,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    name_slides,
)
from histo_ray.types import Receipt, TileRows


class Stamp:
    """Tile features of STAMP; features of slides or patients are no tiles and are left out."""

    name = "stamp"
    about = "HDF5 as STAMP trains on it (feats, coords in microns), one file a slide"
    reads = "a folder of STAMP's tile features"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each folder of files with `feats`; STAMP mirrors the folders of its slides below it."""
        sets: dict[str, dict[str, list[Path]]] = {}
        for place in find_folders(folder, "*.h5"):
            files = list_by_name(place, ".h5")
            for file in probe_files([paths[0] for paths in files.values()]):
                if "feats" in file and file.attrs.get("feat_type", "tile") == "tile":
                    extractor = file.attrs.get("extractor", "")
                    name = extractor if isinstance(extractor, str) else ""
                    known = sets.setdefault(name, {})
                    for slide, paths in files.items():
                        known.setdefault(slide, []).extend(paths)
        return [FeatureSet(name, tuple(name_slides(files))) for name, files in sets.items()]

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Coords are microns, so level-0 px need the slide's mpp."""
        with read_features(slide, "feats") as raw:
            geometry = read_geometry(raw.stated)
            if geometry is None:
                raise SlideError(
                    slide.name,
                    f"{slide.files[0].name} states neither tile_size_um nor the unit of its "
                    "coords, which STAMP 1 left to be guessed; run stamp preprocess again",
                )
            yield raw.as_tiles(geometry, in_microns=True)

    def relative_path(self, receipt: Receipt) -> str:
        """`<encoder>/<slide_id>.h5`."""
        return f"{receipt.encoder.name}/{receipt.slide.slide_id}.h5"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write `feats` as stored, and `coords` in microns as float32.

        Raises:
            SlideError: The slide's mpp is unknown.
        """
        mpp, side = np.array(receipt.slide.mpp), receipt.tiling.side
        if not mpp.all():
            raise SlideError(
                receipt.slide.slide_id,
                "its mpp is unknown, and STAMP's coords are in microns; import it again with "
                "--slide-mpp, or a manifest with mpp, and --replace-changed",
            )
        about: dict[str, object] = {
            "unit": "um",
            "tile_size_um": float(side[0] * mpp[0]),
            "extractor": receipt.encoder.name,
            "feat_type": "tile",
        }
        if mpp[0] == mpp[1]:
            about["slide_mpp"] = float(mpp[0])  # ours: STAMP itself does not keep it
        if tile_px := receipt.tiling.settings.get("tile_px"):
            about["tile_size_px"] = tile_px

        def place(coords: npt.NDArray[np.int32]) -> Coords:
            microns: npt.NDArray[np.float64] = coords * mpp
            return microns

        write_features(path, rows, receipt, FileParts("feats", "float32", {"": about}, place=place))


def read_geometry(stated: Stated) -> TileGeometry | None:
    """Geometry by the file's attributes; None where they do not say what coords mean. Pure."""
    size = number(stated, "tile_size_um")
    if size is None and stated.get("unit") == "um":
        size = number(stated, "tile_size")  # STAMP 2.0
    if size is None:
        return None
    tile_px = whole(stated, "tile_size_px")
    return TileGeometry(
        tile_px=tile_px,
        side_um=size,
        tile_mpp=size / tile_px if tile_px else None,
        slide_mpp=number(stated, "slide_mpp"),
    )
