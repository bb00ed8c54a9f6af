"""All tiles of one slide or tile set as a bag, or those of a slide that a condition keeps."""

from histo_ray.store.catalog import FORMATS
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import find_partition, find_slide, find_tile_set
from histo_ray.store.layout import partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import count_tiles
from histo_ray.store.replaced import look_at, unreplaced
from histo_ray.store.verify import check_partitions
from histo_ray.types import Bag, LabelledBag


def read_slide_bag(
    root: Location,
    slide_id: str,
    encoder: str,
    tiling: str | None,
    check: bool = False,
    where: str | None = None,
) -> Bag:
    """Read coords and embeddings of one slide; arguments and errors are those of `Store.bag`."""
    key, form = find_slide(root, slide_id, encoder, tiling)
    if check:
        check_partitions(root, {key: form})
    location = root.child(partition_path(key, form))
    coords, vectors = FORMATS[form].read_bag(location)
    if where is not None:
        whole = {key: FORMATS[form].read_receipt(location)}
        receipt = choose_tiles(root, {key: form}, whole, where)[key]
        kept = count_tiles(key, form, receipt).tile_ids
        coords, vectors = coords[kept], vectors[kept]
    return Bag(slide_id, coords, vectors)


def read_labelled_bag(root: Location, name: str, encoder: str, check: bool) -> LabelledBag:
    """Read a labelled tile set; arguments and errors are those of `Store.labelled`."""
    key = find_tile_set(root, name, encoder)
    form, location = find_partition(root, key)
    if check:
        check_partitions(root, {key: form})
    with unreplaced(location.path, lambda: look_at(location, form)):
        coords, vectors = FORMATS[form].read_bag(location)
        texts = FORMATS[form].read_texts(location)
    groups = tuple(texts["group"].tolist()) if "group" in texts else None
    return LabelledBag(name, coords, vectors, tuple(texts["label"].tolist()), groups)
