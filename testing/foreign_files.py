"""Features of one slide as other tools write them, made by hand with their own few lines."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import zarr

SIZE = (1200, 700)
MPP = 0.25
TILE_PX, SIDE = 224, 448
ENCODER = "uni_v1"


@dataclass(frozen=True)
class Foreign:
    """What one file holds."""

    name: str
    coords: npt.NDArray[Any]
    """(N, 2) level-0 px."""
    vectors: npt.NDArray[Any]
    """(N, D)."""


def draw_slide(name: str, count: int, dim: int = 16, dtype: str = "float32") -> Foreign:
    """Tiles whose coords reach both far edges of a slide of `SIZE`."""
    random = np.random.default_rng(sum(name.encode()) + count)
    coords = np.stack([random.permutation(SIZE[0])[:count], random.permutation(SIZE[1])[:count]], 1)
    coords[-1:] = [SIZE[0] - 1, SIZE[1] - 1]
    return Foreign(name, coords.astype(np.int64), random.normal(size=(count, dim)).astype(dtype))


def save_h5(path: Path, assets: dict[str, Any], attributes: dict[str, Any] | None = None) -> None:
    """As `save_h5` of TRIDENT (trident/IO.py): chunks of one row, attributes by dataset."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in assets.items():
            shape = value.shape
            file.create_dataset(
                key, data=value, maxshape=(None, *shape[1:]), chunks=(1, *shape[1:])
            )
            for name, about in (attributes or {}).get(key, {}).items():
                file[key].attrs[name] = "None" if about is None else about


def write_trident(folder: Path, slide: Foreign, **changes: Any) -> Path:
    """`WSI.extract_patch_features` after `coords_to_h5`, in a job folder."""
    about = {
        "patch_size": TILE_PX,
        "patch_size_level0": SIDE,
        "level0_magnification": 40,
        "target_magnification": 20,
        "overlap": 0,
        "name": slide.name,
        "savetodir": "out",
        "level0_width": SIZE[0],
        "level0_height": SIZE[1],
    } | changes
    about = {key: value for key, value in about.items() if value is not None}
    path = folder / f"20x_{TILE_PX}px_0px_overlap/features_{ENCODER}/{slide.name}.h5"
    of_vectors = {"name": slide.name, "savetodir": "features", "encoder": ENCODER}
    save_h5(
        path,
        {"features": slide.vectors, "coords": slide.coords},
        {"coords": about, "features": of_vectors},
    )
    return path


def write_clam(folder: Path, slide: Foreign, h5: bool = True) -> Path:
    """`extract_features_fp.py` after `create_patches_fp.py`."""
    pt = folder / "pt_files" / f"{slide.name}.pt"
    pt.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torch.from_numpy(slide.vectors), pt)
    about = {
        "patch_size": TILE_PX,
        "patch_level": 1,
        "downsample": (2.0, 2.0),
        "downsampled_level_dim": (600, 350),
        "level_dim": (600, 350),
        "name": slide.name,
        "save_path": "out",
    }
    patches = folder / "patches" / f"{slide.name}.h5"
    save_h5(patches, {"coords": slide.coords}, {"coords": about})
    if not h5:
        return pt
    path = folder / "h5_files" / f"{slide.name}.h5"
    save_h5(path, {"features": slide.vectors, "coords": slide.coords.astype(np.int32)})
    return path


def write_stamp(folder: Path, slide: Foreign) -> Path:
    """`extract_` of STAMP: half precision, coords in microns."""
    path = folder / "uni-1a2b3c4d" / f"{slide.name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["coords"] = (slide.coords * MPP).astype(np.float32)
        file["feats"] = slide.vectors
        file.attrs["stamp_version"] = "2.4.0"
        file.attrs["extractor"] = ENCODER
        file.attrs["unit"] = "um"
        file.attrs["tile_size_um"] = SIDE * MPP
        file.attrs["tile_size_px"] = TILE_PX
        file.attrs["code_hash"] = "1a2b3c4d"
        file.attrs["feat_type"] = "tile"
    return path


def write_atlaspatch(folder: Path, slide: Foreign, encoders: tuple[str, ...] = (ENCODER,)) -> Path:
    """`H5PatchWriter` of AtlasPatch."""
    path = folder / "patches" / f"{slide.name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(slide.coords)
    with h5py.File(path, "w") as file:
        reads = np.full((count, 3), [TILE_PX, TILE_PX, 1], np.int32)
        file["coords"] = np.concatenate([slide.coords.astype(np.int32), reads], axis=1)
        file["passports"] = np.zeros(count, "S160")
        file.attrs["patch_size"], file.attrs["patch_size_level0"] = TILE_PX, SIDE
        file.attrs["level0_magnification"], file.attrs["target_magnification"] = 40, 20
        file.attrs["overlap"], file.attrs["passport_version"] = 0, 2
        file.attrs["level0_width"], file.attrs["level0_height"] = SIZE
        file.attrs["wsi_path"], file.attrs["num_patches"] = f"/slides/{slide.name}.svs", count
        file.attrs["mpp"] = MPP
        for number, name in enumerate(encoders):
            file[f"features/{name}"] = slide.vectors[:, number:]
    return path


def write_slide2vec(folder: Path, slide: Foreign, ending: str = "pt") -> Path:
    """`write_tile_embeddings` of slide2vec and `_save_tiling_result` of hs2p."""
    place, tiles = folder / "tile_embeddings", folder / "tiles"
    for one in (place, tiles):
        one.mkdir(parents=True, exist_ok=True)
    count = len(slide.coords)
    about = {
        "sample_id": slide.name,
        "artifact_type": "tile_embeddings",
        "encoder_name": ENCODER,
        "feature_dim": slide.vectors.shape[1],
        "num_tiles": count,
        "image_path": f"/slides/{slide.name}.svs",
        "tile_size_lv0": SIDE,
        "requested_tile_size_px": TILE_PX,
        "requested_spacing_um": 0.5,
        "annotation": None,
    }
    (place / f"{slide.name}.meta.json").write_text(json.dumps(about))
    told = {
        "slide": {"base_spacing_um": MPP, "dimensions": SIZE, "level_downsamples": [1.0, 2.0]},
        "tiling": {"read_level": 1, "step_px_lv0": SIDE, "tile_size_lv0": SIDE, "n_tiles": count},
    }
    (tiles / f"{slide.name}.coordinates.meta.json").write_text(json.dumps(told))
    path = place / f"{slide.name}.{ending}"
    if not count:
        return place / f"{slide.name}.meta.json"
    np.savez_compressed(
        tiles / f"{slide.name}.coordinates.npz",
        tile_index=np.arange(count, dtype=np.int32),
        x=slide.coords[:, 0],
        y=slide.coords[:, 1],
        tissue_fractions=np.linspace(0.1, 1, count, dtype=np.float32),
    )
    if ending == "pt":
        torch.save(torch.from_numpy(slide.vectors), path)
    else:
        np.savez_compressed(path, features=slide.vectors)
    return path


def write_lazyslide(folder: Path, slide: Foreign) -> Path:
    """`add_tiles`, `add_features` and `write` of wsidata 0.12.0, as far as they are read."""
    path = folder / f"{slide.name}.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    root.attrs["slide_properties"] = {"shape": [SIZE[1], SIZE[0]], "mpp": MPP, "raw": "{}"}
    spec = {"height": TILE_PX, "width": TILE_PX, "mpp": 0.5, "stride_width": TILE_PX}
    root.attrs["tile_spec"] = {"tiles": spec | {"ops_level": 1, "base_downsample": 2.0}}
    table = root.create_group(f"tables/{ENCODER}_tiles")
    table.attrs.update({"encoding-type": "anndata", "region": "tiles", "instance_key": "tile_id"})
    table.create_array("X", data=slide.vectors, chunks=(max(1, len(slide.vectors) // 3), 5))
    count = len(slide.coords)
    table.create_array("obs/tile_id", data=np.arange(count))
    order = np.arange(count)[::-1]  # shapes need not be in the order of the table
    shapes = {"tile_id": order, "x": slide.coords[order, 0], "y": slide.coords[order, 1]}
    (path / "shapes/tiles").mkdir(parents=True)
    pq.write_table(pa.table(shapes), path / "shapes/tiles/shapes.parquet")
    return path


def write_anndata(folder: Path, slide: Foreign) -> Path:
    """`AnnData.write_h5ad` of what `features_anndata` of wsidata gives, as far as it is read."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{slide.name}.h5ad"
    with h5py.File(path, "w") as file:
        file["X"], file["obsm/spatial"] = slide.vectors, slide.coords.astype(np.float64)
        for key, value in {
            "tile_spec/width": TILE_PX,
            "tile_spec/height": TILE_PX,
            "tile_spec/mpp": 0.5,
            "tile_spec/base_downsample": 2.0,
            "slide_properties/mpp": MPP,
            "slide_properties/shape": np.array([SIZE[1], SIZE[0]]),
        }.items():
            file[f"uns/{key}"] = value
    return path


WRITERS: dict[str, Callable[[Path, Foreign], Path]] = {
    "trident": write_trident,
    "clam": write_clam,
    "stamp": write_stamp,
    "atlaspatch": write_atlaspatch,
    "slide2vec": write_slide2vec,
    "lazyslide": write_lazyslide,
    "anndata": write_anndata,
}
"""One for each layout that is imported; each returns the file with the vectors."""
