"""AnnData: one `.h5ad` a slide, `X` (N, D), `obsm/spatial` (N, 2), `obs`, and the tiles' size.

Sources: AnnData's on-disk format (anndata.readthedocs.io, "On-disk format", encoding versions
0.1.0 and 0.2.0), which h5py writes here; rendeirolab/wsidata, `wsidata/accessors/fetch.py:
features_anndata` for `uns/tile_spec`, `uns/slide_properties` and `obsm/spatial` in level-0 px.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from histo_ray.errors import SlideError
from histo_ray.store.exchange.feature_file import (
    check_shapes,
    find_folders,
    list_by_name,
    require,
)
from histo_ray.store.exchange.hdf5_file import open_hdf5, probe_files, to_scalar
from histo_ray.store.exchange.slide2vec import flatten
from histo_ray.store.exchange.source import (
    FeatureSet,
    SourceSlide,
    SourceTiles,
    name_slides,
)
from histo_ray.store.exchange.tile_spec import PROPERTIES, SPEC, read_tile_spec, write_tile_spec
from histo_ray.types import JsonObject, Receipt, TileRows

_COLUMNS = {"tile_id": "int32", "tissue": "float32", "focus": "float32"}


class AnnDataFiles:
    """Tables of tiles for scanpy, squidpy and LazySlide's analyses."""

    name = "anndata"
    about = "an AnnData file (.h5ad) a slide: X, obsm/spatial in level-0 px"
    reads = "a folder of .h5ad files with obsm/spatial in level-0 px"

    def find(
        self, folder: Path, coords: Path | None = None, asked: bool = False
    ) -> list[FeatureSet]:
        """Each folder of `.h5ad` files."""
        found = []
        for place in find_folders(folder, "*.h5ad"):
            files = list_by_name(place, ".h5ad")
            opened = probe_files([paths[0] for paths in files.values()])
            if any("X" in file and "obsm/spatial" in file for file in opened):
                encoder = "" if place == folder else place.name
                found.append(FeatureSet(encoder, tuple(name_slides(files))))
        return found

    @contextmanager
    def open(self, slide: SourceSlide) -> Iterator[SourceTiles]:
        """Size and scale are read of `uns/tile_spec` and `uns/slide_properties`."""
        with open_hdf5(slide.files[0]) as file:
            if hasattr(file.get("X"), "keys"):
                raise SlideError(slide.name, "X is sparse; features are dense")
            corners = np.asarray(require(slide, file, "obsm/spatial")[()])
            vectors = check_shapes(slide, require(slide, file, "X"), corners)
            spec, about = (_read_dict(file.get(f"uns/{name}")) for name in (SPEC, PROPERTIES))
            tissue = file.get("obs/tissue")
            yield SourceTiles(
                vectors,
                corners[:, :2],
                read_tile_spec(spec, about),
                tissue=None if tissue is None else np.asarray(tissue[()], np.float32),
                stated={**flatten(spec, f"{SPEC}."), **flatten(about, f"{PROPERTIES}.")},
            )

    def relative_path(self, receipt: Receipt) -> str:
        """`<encoder>/<slide_id>.h5ad`."""
        return f"{receipt.encoder.name}/{receipt.slide.slide_id}.h5ad"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write `X` as stored; the receipt is text in `uns/histo_ray`."""
        count, dim = receipt.tile_count, receipt.encoder.dim
        with open_hdf5(path, "x") as file:
            _mark(file, "anndata", "0.1.0")
            vectors = _array(file, "X", (count, dim), receipt.encoder.dtype)
            _frame(file, "obs", list(_COLUMNS), [str(at) for at in range(count)])
            _frame(file, "var", [], [str(at) for at in range(dim)])
            for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
                _mark(file.create_group(name), "dict", "0.1.0")
            corners = _array(file, "obsm/spatial", (count, 2), "int32")
            columns = [_array(file, f"obs/{name}", (count,), _COLUMNS[name]) for name in _COLUMNS]
            columns[0][...] = np.arange(count)
            start = 0
            for block in rows:
                stop = start + len(block)
                vectors[start:stop], corners[start:stop] = block.embeddings, block.coords
                columns[1][start:stop], columns[2][start:stop] = block.tissue, block.focus
                start = stop
            spec, about = write_tile_spec(receipt)
            _write_dict(file["uns"], SPEC, spec)
            _write_dict(file["uns"], PROPERTIES, about)
            _scalar(file["uns"], "histo_ray", receipt.model_dump_json())


def _mark(node: Any, kind: str, version: str = "0.2.0") -> Any:
    """State what a node is, as AnnData's readers want it."""
    node.attrs["encoding-type"], node.attrs["encoding-version"] = kind, version
    return node


def _array(file: Any, name: str, shape: tuple[int, ...], kind: str) -> Any:
    return _mark(file.create_dataset(name, shape, kind), "array")


def _frame(file: Any, name: str, columns: list[str], index: list[str]) -> None:
    group = _mark(file.create_group(name), "dataframe")
    group.attrs["_index"] = "_index"
    group.attrs["column-order"] = np.array(columns, object) if columns else np.zeros(0)
    names = np.array(index, object)
    _mark(group.create_dataset("_index", data=names, dtype=_text_type()), "string-array")


def _text_type() -> np.dtype[Any]:
    """Texts of any length, as h5py marks them (`h5py.string_dtype()`)."""
    return np.dtype("O", metadata={"vlen": str})


def _write_dict(parent: Any, name: str, values: JsonObject) -> None:
    group = _mark(parent.create_group(name), "dict", "0.1.0")
    for key, value in values.items():
        _scalar(group, key, value)


def _scalar(group: Any, name: str, value: object) -> None:
    if isinstance(value, str):
        _mark(group.create_dataset(name, data=value, dtype=_text_type()), "string")
    elif isinstance(value, list):
        _mark(group.create_dataset(name, data=np.array(value)), "array")
    else:
        _mark(group.create_dataset(name, data=value), "numeric-scalar")


def _read_dict(group: Any) -> Mapping[str, object]:
    """Scalars and short arrays of a group; empty where it is none."""
    if not hasattr(group, "keys"):
        return {}
    nodes = {str(name): node for name, node in group.items() if hasattr(node, "shape")}
    return {name: to_scalar(node[()]) for name, node in nodes.items()}
