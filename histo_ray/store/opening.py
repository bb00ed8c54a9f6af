"""Find the root of a feature store and check that it is one."""

from histo_ray.storage.check import check_place
from histo_ray.store.catalog import open_marker
from histo_ray.store.layout import MARKER
from histo_ray.store.location import Location, location_of


def open_root(uri: str, create: bool = False) -> Location:
    """Find the root of a feature store and check its marker.

    Args:
        uri: Local folder, `s3://bucket/...` or `gs://bucket/...`.
        create: Make an empty one if nothing is there.

    Raises:
        StoreError: Nothing there, something else there, or a newer store.
        ConfigError: Not a path or URI, or a store that cannot be reached.
    """
    check_place(uri, "store")
    root = location_of(uri)
    open_marker(root, create)
    return root


def find_root(uri: str) -> Location | None:
    """Find the root of a feature store; None where nothing is yet. Makes nothing.

    Raises:
        StoreError: Something else is there, or a newer store.
        ConfigError: Not a path or URI, or a store that cannot be reached.
    """
    check_place(uri, "store")
    root = location_of(uri)
    if not root.child(MARKER).kind() and not root.names():
        return None
    open_marker(root, create=False)
    return root
