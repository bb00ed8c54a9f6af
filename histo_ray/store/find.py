"""Find partitions by name; errors say what is there instead."""

from collections.abc import Iterable

from histo_ray.errors import StoreError
from histo_ray.store.catalog import (
    Partitions,
    find_form,
    list_folders,
    list_partitions,
    name_some,
)
from histo_ray.store.layout import Form, is_given, partition_path, split_folder
from histo_ray.store.location import Location
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.tilings import describe_tilings, one_of_each_tiling
from histo_ray.types import PartitionKey

FEW_SLIDES = 16
"""Number of slides up to which a look at each is quicker than a listing of all."""
_OF_REQUESTS = ":?@"
"""In requests for an encoder, never in the name of a stored one."""


def find_partition(root: Location, key: PartitionKey) -> tuple[Form, Location]:
    """Find the form and location of a partition.

    Raises:
        StoreError: It is not there; says what is.
    """
    form = find_form(root, key)
    if form is None:
        raise not_there(root, key.slide_id, key.encoder, key.tiling)
    return form, root.child(partition_path(key, form))


def find_slide(
    root: Location, slide_id: str, encoder: str, tiling: str | None
) -> tuple[PartitionKey, Form]:
    """The one partition of a slide, and its form.

    Raises:
        StoreError: It is not there, or in several tilings and none is named; says what is.
    """
    found: Partitions = {}
    for folder in list_folders(root, encoder, tiling):
        key = PartitionKey(*split_folder(folder), slide_id)
        form = find_form(root, key)
        if form is not None:
            found[key] = form
    if not found:
        raise not_there(root, slide_id, encoder, tiling)
    if len(found) > 1:
        what = f"the embeddings of slide {slide_id!r} by encoder {encoder}"
        raise several_tilings(root, what, found)
    ((key, form),) = found.items()
    return key, form


def find_tile_set(root: Location, name: str, encoder: str) -> PartitionKey:
    """The one partition of a labelled tile set.

    Raises:
        StoreError: It is not there, or in several sizes; says what is.
    """
    keys = [
        key
        for key in list_partitions(root, encoder)
        if key.slide_id == name and is_given(key.tiling)
    ]
    if not keys:
        there = name_some(key.slide_id for key in list_partitions(root) if is_given(key.tiling))
        raise StoreError(
            f"tile set {name!r} of encoder {encoder}: it is not in the store, which "
            f"holds tile sets {there}; extract it first"
        )
    if len(keys) > 1:
        raise StoreError(
            f"tile set {name!r} of encoder {encoder}: it is stored with tiles of several "
            "sizes; remove the partitions of the others, or extract it under another name"
        )
    return keys[0]


def choose_slides(
    root: Location, encoder: str, tiling: str | None, slide_ids: Iterable[str] | None = None
) -> Partitions:
    """All slides, or some, of an encoder in one tiling; labelled tile sets are no slides.

    Raises:
        StoreError: One is not there, or they are in several tilings and none is named.
    """
    asked = None if slide_ids is None else set(slide_ids)
    if asked and len(asked) <= FEW_SLIDES and tiling is not None and not is_given(tiling):
        keys = [PartitionKey(encoder, tiling, slide_id) for slide_id in sorted(asked)]
        return {key: find_partition(root, key)[0] for key in keys}
    partitions = {
        key: form
        for key, form in list_partitions(root, encoder, tiling).items()
        if not is_given(key.tiling)
    }
    if asked is not None:
        partitions = {key: f for key, f in partitions.items() if key.slide_id in asked}
        missing = asked - {key.slide_id for key in partitions}
        if missing:
            raise not_there(root, min(missing), encoder, tiling)
    if not partitions:
        raise not_there(root, None, encoder, tiling)
    if len({key.tiling for key in partitions}) > 1:
        raise several_tilings(root, f"the slides of encoder {encoder}", partitions)
    return partitions


def several_tilings(root: Location, what: str, partitions: Partitions) -> StoreError:
    """The error of something that is there in several tilings, where none is named."""
    firsts = {key: partitions[key] for key in one_of_each_tiling(partitions)}
    there = describe_tilings(read_receipts(root, firsts))
    return StoreError(
        f"{what} are stored in several tilings; name one with --tiling (tiling= in Python): {there}"
    )


def choose_keys(root: Location, keys: Iterable[PartitionKey]) -> Partitions:
    """Some partitions and the form of each, with one listing for each encoder and tiling.

    Raises:
        StoreError: One is not there; says what is.
    """
    asked, there = set(keys), Partitions()
    for encoder, tiling in {(key.encoder, key.tiling) for key in asked}:
        there |= list_partitions(root, encoder, tiling)
    missing = asked - there.keys()
    if missing:
        lost = min(missing)
        raise not_there(root, lost.slide_id, lost.encoder, lost.tiling)
    return {key: there[key] for key in asked}


def not_there(root: Location, slide_id: str | None, encoder: str, tiling: str | None) -> StoreError:
    """The error of something that is not there; says what is."""
    keys = list_partitions(root)
    of_encoder = [key for key in keys if key.encoder == encoder]
    asked = f"encoder {encoder}" + (f", tiling {tiling}" if tiling else "")
    if slide_id is not None:
        asked = f"slide {slide_id!r} of {asked}"
    if not of_encoder:
        there = f"encoders {name_some(key.encoder for key in keys)}"
        if any(mark in encoder for mark in _OF_REQUESTS):
            return StoreError(
                f"encoder {encoder} is how vectors are asked for; name those that are stored as "
                f"histo-ray store ls does: {there}"
            )
    elif tiling and tiling not in {key.tiling for key in of_encoder}:
        there = f"tilings {name_some(key.tiling for key in of_encoder)}"
    else:
        there = f"slides {name_some(key.slide_id for key in of_encoder)}"
    return StoreError(f"{asked} is not in the store, which holds {there}; extract it first")
