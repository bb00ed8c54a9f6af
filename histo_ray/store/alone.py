"""Work on a store that only one process may do at a time, without locks that storage may lack.

A claim is a small file under `.staging/` that is written before the others are looked for. Of two
that start at the same moment each may see the other and both be refused, but never both go on.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from histo_ray.errors import StoreError
from histo_ray.store.layout import STAGING
from histo_ray.store.place import Place
from histo_ray.store.publish import is_dead, stage_prefix, write_bytes


@contextmanager
def claim(root: Place, work: str) -> Iterator[None]:
    """Hold `work` on a store alone for as long as the block runs.

    Args:
        root: The store.
        work: A word for what is done, without a dot, as `convert`.

    Raises:
        StoreError: Another process is at it; names its claim.
    """
    name = f"{work}.{stage_prefix()}{uuid.uuid4().hex[:8]}"
    own = root.child(f"{STAGING}/{name}")
    write_bytes(root, f"{STAGING}/{name}", b"claimed\n")
    try:
        for other in root.child(STAGING).names():
            mark, _, holder = other.partition(".")
            if mark != work or other == name:
                continue
            place = root.child(f"{STAGING}/{other}")
            if not is_dead(holder):
                raise StoreError(
                    f"store {root.path}: another process is at work on it ({work}); wait until it "
                    f"has ended. If it is gone for certain, delete {place.path}"
                )
            with suppress(FileNotFoundError):
                place.delete()
        yield
    finally:
        with suppress(FileNotFoundError):
            own.delete()
