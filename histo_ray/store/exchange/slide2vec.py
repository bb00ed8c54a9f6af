"""slide2vec: `tile_embeddings/<slide>.pt` or `.npz`, with JSON beside it, and hs2p's coordinates.

Sources: clemsgrs/slide2vec at 7cfa6bf, `slide2vec/artifacts.py: write_tile_embeddings`,
`slide2vec/runtime/embedding.py: build_tile_embedding_metadata` (`coordinates_npz_path`,
`tile_size_lv0`, `requested_tile_size_px`, `requested_spacing_um`); clemsgrs/hs2p,
`hs2p/tiling/io.py: _save_tiling_result` (`x`, `y` in level-0 px, `tissue_fractions`; JSON with
`slide.base_spacing_um` and `slide.dimensions`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.errors import SlideError
from histo_ray.store.exchange.feature_file import check_shapes, find_folders, list_by_name
from histo_ray.store.exchange.hdf5_file import number, to_scalar, whole
from histo_ray.store.exchange.source import (
    FeatureSet,
    Scalar,
    SourceSlide,
    SourceTiles,
    Stated,
    TileGeometry,
    name_slides,
)
from histo_ray.store.exchange.tensor_file import read_tensor

TILES, META, PLACES = "tile_embeddings", ".meta.json", ".coordinates.npz"
_NEEDED = "slide2vec writes it beside the vectors; copy the whole output folder"


class Slide2Vec:
    """Tile embeddings of slide2vec; those of slides, patients and regions are left out."""

    name = "slide2vec"
    reads = "an output folder of slide2vec, with tile_embeddings/ and tiles/"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each folder `tile_embeddings`, and each annotation class below it."""
        sets: dict[str, list[SourceSlide]] = {}
        for place in find_folders(folder, f"*{META}"):
            top = place if place.name == TILES else place.parent
            if top.name != TILES:
                continue
            files = {
                name: [path for ending in (".pt", ".npz") for path in _there(place, name + ending)]
                or [place / f"{name}.pt"]
                for name in list_by_name(place, META)
            }
            tiles = coords or top.parent / "tiles" / ("" if place == top else place.name)
            for slide in name_slides(files):
                encoder = _read_encoder(place / f"{slide.name}{META}")
                named = encoder if place == top else f"{encoder}/{place.name}"
                sets.setdefault(named, []).append(_add_files(slide, place, tiles))
        return [FeatureSet(name, tuple(slides)) for name, slides in sorted(sets.items())]

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Coords are level-0 px, and the spacing of level 0 is stated in microns."""
        about = _read_json(slide, META)
        told = _read_json(slide, ".coordinates.meta.json", needed=False)
        stated = {**flatten(about), **flatten(told)}
        if about.get("num_tiles") == 0:
            dim = about.get("feature_dim")
            empty = np.zeros((0, dim if isinstance(dim, int) else 0), np.float32)
            vectors: npt.NDArray[np.generic] = empty
            corners, tissue = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
        else:
            vectors = _read_vectors(slide)
            corners, tissue = _read_places(slide)
        found = check_shapes(slide, vectors, corners)
        yield SourceTiles(found, corners, read_geometry(stated), tissue=tissue, stated=stated)


def read_geometry(stated: Stated) -> TileGeometry:
    """Geometry by the JSON of vectors and of coordinates, both `flatten`ed. Pure."""
    side = number(stated, "tile_size_lv0") or number(stated, "tiling.tile_size_lv0")
    size = whole(stated, "requested_tile_size_px")
    step, dimensions = number(stated, "tiling.step_px_lv0"), stated.get("slide.dimensions")
    path, level = stated.get("image_path", ""), stated.get("tiling.read_level", -1)
    known = isinstance(dimensions, list) and len(dimensions) == 2
    return TileGeometry(
        tile_px=size,
        side_px=(side, side) if side else None,
        tile_mpp=number(stated, "requested_spacing_um"),
        slide_mpp=number(stated, "slide.base_spacing_um"),
        size_px=(int(dimensions[0]), int(dimensions[1])) if known else None,  # type: ignore[index]
        stride_px=step * size / side if step and size and side else None,
        level=level if isinstance(level, int) else -1,
        slide_path=path if isinstance(path, str) else "",
    )


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, Scalar]:
    """Nested JSON as one level of scalars: `{"slide": {"a": 1}}` is `{"slide.a": 1}`. Pure."""
    found: dict[str, Scalar] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flatten(value, f"{prefix}{key}.")
        elif (plain := to_scalar(value)) is not None:
            found[f"{prefix}{key}"] = plain
    return found


def _there(folder: Path, name: str) -> list[Path]:
    return [folder / name] if (folder / name).is_file() else []


def _add_files(slide: SourceSlide, place: Path, tiles: Path) -> SourceSlide:
    beside = _there(place, slide.name + META)
    beside += _there(tiles, slide.name + PLACES)
    beside += _there(tiles, f"{slide.name}.coordinates.meta.json")
    own = [path for path in slide.files if path.is_file()]
    return SourceSlide(slide.name, (*own, *beside), problem=slide.problem)


def _read_encoder(path: Path) -> str:
    """Name of the encoder by a slide's JSON; empty where that is damaged."""
    try:
        name = json.loads(path.read_text(encoding="utf-8")).get("encoder_name", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return name if isinstance(name, str) else ""


def _find(slide: SourceSlide, ending: str) -> Path | None:
    own = (path for path in slide.files if path.name == slide.name + ending)
    return next(own, None)


def _read_json(slide: SourceSlide, ending: str, needed: bool = True) -> dict[str, object]:
    path = _find(slide, ending)
    if path is None:
        if needed:
            raise SlideError(slide.name, f"no file {slide.name}{ending}: {_NEEDED}")
        return {}
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise SlideError(slide.name, f"{path.name} is no table of values; {_NEEDED}")
    return values


def _read_vectors(slide: SourceSlide) -> npt.NDArray[np.generic]:
    path = _find(slide, ".pt")
    if path is not None:
        return read_tensor(path)
    path = _find(slide, ".npz")
    if path is None:
        raise SlideError(slide.name, f"no {slide.name}.pt and no .npz: {_NEEDED}")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        values: npt.NDArray[np.generic] = arrays["features"]
    return values


def _read_places(slide: SourceSlide) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    path = _find(slide, PLACES)
    if path is None:
        raise SlideError(
            slide.name,
            f"no {slide.name}{PLACES} in tiles/: name the folder that has it with --coords",
        )
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        corners = np.stack([arrays["x"], arrays["y"]], axis=1)
        tissue = arrays["tissue_fractions"].astype(np.float32)
    return corners, tissue
