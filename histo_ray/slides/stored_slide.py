"""Opens the slide that a partition was made of, and sees that it is the same one."""

from histo_ray.errors import SlideError
from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.types import Receipt, Slide

UNSTATED_MPP = 1.0
"""Stands for the mpp of a slide that nobody knows: a picture needs proportions only."""


def open_stored_slide(receipt: Receipt, moved: Slide | None = None) -> OpenedSlide:
    """Open the slide of a receipt.

    Args:
        receipt: Of a partition of the slide.
        moved: Where the slide lies now; None: where it was extracted from.

    Raises:
        SlideError: Nobody says where it is, it cannot be opened there, or it is another one.
    """
    facts = receipt.slide
    path = moved.path if moved else facts.path
    if not path:
        raise SlideError(
            facts.slide_id,
            "nobody said where its file is, as its features were imported without it; name it in "
            "a --manifest",
        )
    if not moved and receipt.imported is not None and not facts.fingerprint and "://" in path:
        raise SlideError(
            facts.slide_id,
            f"{path} is where another tool read it from; name in a --manifest where it is now",
        )
    given = moved.mpp if moved else None
    unstated = facts.mpp[0] or given or UNSTATED_MPP
    opened = open_slide(path, slide_id=facts.slide_id, fallback_mpp=unstated)
    try:
        another = bool(facts.fingerprint) and opened.fingerprint != facts.fingerprint
        if another or (min(facts.size_px) > 0 and opened.size != facts.size_px):
            raise SlideError(
                facts.slide_id,
                f"{path} is another file than the one that was extracted; name the right "
                "one in a --manifest",
            )
    except BaseException:
        opened.close()
        raise
    return opened
