"""CLAM: `h5_files/<slide>.h5` (`features`, `coords`), `pt_files/<slide>.pt`, `patches/<slide>.h5`.

Sources, in mahmoodlab/CLAM at 53e2409: `extract_features_fp.py: compute_w_loader` (float32
`features`, int32 `coords`, no attributes; the same vectors as a tensor), `utils/file_utils.py:
save_hdf5`, `wsi_core/WholeSlideImage.py: process_contour` (attributes `patch_size`, `patch_level`,
`downsample`, `level_dim` of the coordinates' own file), `dataset_modules/dataset_generic.py:
Generic_MIL_Dataset` (what is read in training).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from histo_ray.errors import SlideError
from histo_ray.store.exchange.feature_file import (
    FileParts,
    check_shapes,
    find_folders,
    list_by_name,
    read_features,
    require,
    write_features,
)
from histo_ray.store.exchange.hdf5_file import (
    number,
    open_hdf5,
    probe_files,
    read_attributes,
    whole,
)
from histo_ray.store.exchange.source import (
    FeatureSet,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    name_slides,
)
from histo_ray.store.exchange.tensor_file import read_tensor, write_tensor
from histo_ray.types import Receipt, TileRows

H5, PT, PATCHES = "h5_files", "pt_files", "patches"


class Clam:
    """Features of CLAM; `patches/` beside them, or `--coords`, says how large a tile is."""

    name = "clam"
    about = "h5_files/ and pt_files/ as CLAM trains on them, float32"
    reads = "a folder of CLAM with h5_files/ or pt_files/"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each folder that holds `h5_files` or `pt_files`; if asked for, the folder itself."""
        inner = (f for p in ("*.h5", "*.pt") for f in find_folders(folder, p))
        places = sorted({place.parent for place in inner if place.name in (H5, PT)})
        found = []
        for place in places or ([folder] if asked else []):
            tensors, own = (place / PT, place / H5) if places else (place, place)
            files = list_by_name(tensors, ".pt") | list_by_name(own, ".h5")
            if files and not _is_another(files):
                patches = _find_patches(coords or place)
                slides = tuple(_add_patches(slide, patches) for slide in name_slides(files))
                found.append(FeatureSet("", slides))
        return found

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Coords are level-0 px; of a slide with a tensor only they come from its patches."""
        patches = slide.files[1] if len(slide.files) > 1 else None
        stated = {} if patches is None else _read_attributes(slide, patches)
        if slide.files[0].suffix == ".h5":
            with read_features(slide, "features") as raw:
                yield raw.as_tiles(read_geometry({**raw.stated, **stated}))
            return
        if patches is None:
            raise SlideError(
                slide.name,
                f"{slide.files[0].name} holds vectors without coords; name the folder of CLAM's "
                "coordinates (with patches/ in it) with --coords",
            )
        with open_hdf5(patches) as file:
            corners = np.asarray(require(slide, file, "coords")[()])
        vectors = check_shapes(slide, read_tensor(slide.files[0]), corners)
        yield SourceTiles(vectors, corners[:, :2], read_geometry(stated), stated=stated)

    def relative_path(self, receipt: Receipt) -> str:
        """`h5_files/<slide_id>.h5`."""
        return f"{H5}/{receipt.slide.slide_id}.h5"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write float32 `features` and int32 `coords`, to which CLAM's `save_hdf5` can append.

        CLAM's networks take float32 only.
        """
        parts = FileParts("features", "int32", vectors_dtype="float32", resizable=True)
        write_features(path, rows, receipt, parts)


class ClamTensors:
    """The second half of an export for CLAM: the same vectors as tensors."""

    name = "clam"
    about = "the same vectors as tensors"

    def relative_path(self, receipt: Receipt) -> str:
        """`pt_files/<slide_id>.pt`."""
        return f"{PT}/{receipt.slide.slide_id}.pt"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write a (N, D) float32 tensor; it is in memory as a whole, as it is for CLAM."""
        vectors = np.empty((receipt.tile_count, receipt.encoder.dim), np.float32)
        start = 0
        for block in rows:
            vectors[start : start + len(block)] = block.embeddings
            start += len(block)
        write_tensor(path, vectors)


def read_geometry(stated: Stated) -> TileGeometry:
    """Geometry by the attributes of CLAM's coordinates. Pure.

    A tile is `patch_size` px of level `patch_level`, whose `downsample` is (x, y).
    """
    size, level = number(stated, "patch_size"), stated.get("patch_level", -1)
    factors = stated.get("downsample")
    scale = list(factors) if isinstance(factors, list) and len(factors) == 2 else None
    if scale is None and (single := number(stated, "downsample")):
        scale = [single, single]
    if scale is None and level == 0:
        scale = [1.0, 1.0]
    return TileGeometry(
        tile_px=whole(stated, "patch_size"),
        side_px=(size * scale[0], size * scale[1]) if size and scale and min(scale) > 0 else None,
        level=int(level) if isinstance(level, int | float) else -1,
    )


def _is_another(files: dict[str, list[Path]]) -> bool:
    """Whether the first HDF5 file that opens is no file of features and coords."""
    opened = probe_files([paths[0] for paths in files.values() if paths[0].suffix == ".h5"])
    return any("features" not in file or hasattr(file["features"], "keys") for file in opened)


def _find_patches(folder: Path) -> dict[str, list[Path]]:
    for place in (folder / PATCHES, folder, folder.parent / PATCHES):
        files = list_by_name(place, ".h5") if place.is_dir() and place.name != H5 else {}
        if files:
            return files
    return {}


def _add_patches(slide: SourceSlide, patches: dict[str, list[Path]]) -> SourceSlide:
    path = patches.get(slide.name, [])[:1]
    return SourceSlide(slide.name, (*slide.files, *path), problem=slide.problem)


def _read_attributes(slide: SourceSlide, path: Path) -> Stated:
    with open_hdf5(path) as file:
        return read_attributes(require(slide, file, "coords"))
