"""Slide encoders that would be evaluated on patients whose slides they were fitted on.

One that was trained on labels must not see a test part, so such an evaluation is refused. One that
was fitted without labels saw the tiles, not what is to be predicted: a caveat says so.
"""

from collections.abc import Iterable, Iterator, Sequence

from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.pooling.methods.slide_encoder import SlideEncoderPooling
from histo_ray.pooling.registry import find_pooling
from histo_ray.store.location import Location
from histo_ray.store.slide_cards import SlideEncoderCard, read_slide_card
from histo_ray.text import count_of, name_some

NAMED = 6
"""Patients that a caveat names at most."""


def check_slide_encoders(
    root: Location, poolings: Iterable[str], patients: Sequence[str], allowed: bool
) -> list[Caveat]:
    """Find the patients that slide encoders of an evaluation were fitted on.

    Args:
        root: The store.
        poolings: As they are asked for; those that are no `slide:NAME` do not count.
        patients: That are evaluated.
        allowed: Whether slide encoders trained on their labels are evaluated all the same.

    Raises:
        ConfigError: One was trained on labels of some, and that is not allowed; or a card is
            damaged.
    """
    cards = list(list_fitted(root, poolings))
    for card in cards if not allowed else ():
        found = card.fitted_on.find_patients([*patients])
        unknown = card.fitted_on.patient_hashes is None
        if card.fitted_on.supervised and (found or unknown):
            who = (
                "nobody can tell on whom, as its card keeps no hashes"
                if unknown
                else f"{count_of(len(found), 'patient')} of them evaluated here "
                f"({name_some(found)})"
            )
            raise ConfigError(
                f"--pooling slide:{card.name}: was trained on labels of patients ({who}), so "
                "scores would be of what it was trained to say; take --head mil, which is "
                "trained inside the training parts, train it in another store, or pass "
                "--allow-leak, and a caveat says so"
            )
    return [one for card in cards for one in _find_seen(card, patients)]


def describe_slide_leaks(
    root: Location, poolings: Iterable[str], patients: Sequence[str]
) -> Iterator[str]:
    """Describe the patients that slide encoders of a predictor were fitted on, as notes of it.

    Raises:
        ConfigError: A card is damaged.
    """
    for card in list_fitted(root, poolings):
        seen = card.fitted_on.find_patients([*patients])
        if seen and card.fitted_on.supervised:
            yield (
                f"slide encoder {card.name} was trained on labels of "
                f"{count_of(len(seen), 'patient')} of {len(patients)} ({name_some(seen)}): scores "
                "on them flatter"
            )
        elif seen:
            yield (
                f"slide encoder {card.name} was fitted, without labels, on slides of "
                f"{count_of(len(seen), 'patient')} of {len(patients)} ({name_some(seen)})"
            )


def list_fitted(root: Location, poolings: Iterable[str]) -> Iterator[SlideEncoderCard]:
    """List the published slide encoders among some poolings.

    Raises:
        ConfigError: A card is damaged.
    """
    for pooling in poolings:
        method = find_pooling(pooling)
        if not isinstance(method, SlideEncoderPooling):
            continue
        try:
            card = read_slide_card(root, method.slide_encoder)
        except StoreError as error:
            raise ConfigError(str(error)) from None
        if card is not None:
            yield card


def _find_seen(card: SlideEncoderCard, patients: Sequence[str]) -> Iterator[Caveat]:
    known = card.fitted_on.patient_hashes is not None
    found = card.fitted_on.find_patients([*patients])
    if found or not known:
        yield caveat(
            CaveatCode.SLIDE_ENCODER_SAW,
            slide_encoder=card.name,
            method=card.method,
            supervised=card.fitted_on.supervised,
            patients=len(found) if known else None,
            total=len(set(patients)),
            names=tuple(found[:NAMED]),
        )
