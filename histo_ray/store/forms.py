"""Decides which form of a partition stays where two runs have stored it in both."""

from histo_ray.store.atomic_write import discard
from histo_ray.store.catalog import FORMATS, has_form
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.types import PartitionKey

WINNER: Form = "parquet"
"""The form that every reader takes where both are there, so it is the one that stays."""


def settle_forms(root: Location, key: PartitionKey, mine: Form, replace: bool) -> Form:
    """Leave one form of a partition that was just published; the form that is left.

    A run looks for the other form after its own is there. Whichever of two runs looks last sees
    both, and both would decide alike: Zarr goes, Parquet stays. So one form is left, and never
    none. What replaces an older partition always stays, and the other form goes.

    Args:
        root: The store.
        key: The partition.
        mine: The form that was just published.
        replace: Whether it was published over what was there.
    """
    (other,) = (form for form in FORMS if form != mine)
    if replace:
        if root.child(partition_path(key, other)).kind():
            discard(root, root.child(partition_path(key, other)))
        return mine
    if not has_form(root, key, other):
        return mine
    FORMATS[WINNER].read_receipt(root.child(partition_path(key, WINNER)))  # raises if damaged
    (loser,) = (form for form in FORMS if form != WINNER)
    discard(root, root.child(partition_path(key, loser)))
    return WINNER
