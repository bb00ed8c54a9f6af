"""Fine-tuned encoders that would be evaluated on tiles or patients they were fine-tuned on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.slide_leaks import check_slide_encoders
from histo_ray.store.location import Location
from histo_ray.store.models import ModelCard, read_card
from histo_ray.store.trained_on import TrainedOn, read_trained_on
from histo_ray.text import count_of, name_some
from histo_ray.tilesets.tileset import TileSet
from histo_ray.types import Receipt

find_known_pictures = deferred("histo_ray.tilesets.near_duplicates:find_known_pictures")

F32 = "-f32"
"""Ends the name of an encoder whose float32 vectors are stored."""
NAMED = 6
"""Tiles or patients that a caveat names at most."""


@dataclass(frozen=True)
class TunedEncoder:
    """A fine-tuned encoder that an evaluation uses."""

    name: str
    """As the evaluation calls it."""
    card: ModelCard
    trained_on: TrainedOn | None
    """None: its card is from before the list was kept."""


def open_tuned(root: Location, name: str, published: str) -> TunedEncoder | None:
    """Read what an encoder was fine-tuned on.

    Args:
        root: Store with its card.
        name: As the evaluation calls it.
        published: As the card calls it.

    Returns:
        None for an encoder that is not published there.

    Raises:
        ConfigError: Its card or list is damaged.
    """
    try:
        card = read_card(root, published)
        return None if card is None else TunedEncoder(name, card, read_trained_on(root, card))
    except StoreError as error:
        raise ConfigError(str(error)) from None


def find_tile_leaks(
    encoders: Iterable[TunedEncoder],
    sets: Sequence[TileSet],
    thumbs: Mapping[str, npt.NDArray[np.uint8]],
) -> Iterator[Caveat]:
    """Find tiles of a set, and patients, that encoders were fine-tuned on.

    Args:
        encoders: Fine-tuned ones.
        sets: Tiles that are evaluated.
        thumbs: (N, 64, 64) grey pictures of each set, by its name.
    """
    for encoder in encoders:
        known = encoder.trained_on
        for tiles in sets:
            if known is None:
                if encoder.card.data.digest == tiles.digest:
                    yield caveat(
                        CaveatCode.TRAINED_ON_TILES, encoder=encoder.name, tiles=tiles.name
                    )
                else:
                    yield _unknown(encoder, "tiles")
                continue
            yield from _find_in_set(encoder.name, known, tiles, thumbs[tiles.name])


def find_patient_leaks(
    encoders: Iterable[TunedEncoder], patients: Sequence[str]
) -> Iterator[Caveat]:
    """Find patients that encoders, or those whose classes weigh tiles, were fine-tuned on.

    Args:
        encoders: Fine-tuned ones.
        patients: That are evaluated.
    """
    for encoder in encoders:
        known = encoder.trained_on
        if known is None or not known.knows_patients:
            yield _unknown(encoder, "patients")
        if known is not None:
            yield from _name_patients(encoder.name, known, patients)


def check_patients(
    root: Location,
    receipts: Mapping[str, Receipt],
    class_encoder: str | None,
    patients: Sequence[str],
    allowed: bool,
    poolings: Sequence[str] = (),
) -> list[Caveat]:
    """Find the patients that encoders, slide encoders, or class heads were trained on.

    Args:
        root: The store.
        receipts: One of each encoder that is evaluated, by its name in the store.
        class_encoder: Whose head weighs tiles, where it is another.
        patients: That are evaluated.
        allowed: Whether such patients are evaluated all the same.
        poolings: As they are asked for; `slide:NAME` names slide encoders.

    Raises:
        ConfigError: There are some, and they are not allowed; or a card is damaged.
    """
    tuned = list_tuned(root, receipts, class_encoder)
    found = list(find_patient_leaks(tuned, patients))
    refuse_leaks(found, allowed)
    return found + check_slide_encoders(root, poolings, patients, allowed)


def describe_patient_leaks(
    root: Location,
    receipts: Mapping[str, Receipt],
    class_encoder: str | None,
    patients: Sequence[str],
) -> Iterator[str]:
    """Describe the patients that encoders of a predictor were fine-tuned on, as notes of it.

    Args:
        root: The store that it is applied to.
        receipts: See `check_patients`.
        class_encoder: See `check_patients`.
        patients: That are predicted.

    Raises:
        ConfigError: A card is damaged.
    """
    for encoder in list_tuned(root, receipts, class_encoder):
        known = encoder.trained_on
        if known is None or not known.knows_patients:
            yield (
                f"{encoder.name} was fine-tuned on the tiles of {encoder.card.data.name}, whose "
                "patients nobody can tell: scores hold only if none of these is among them"
            )
            continue
        found = known.find_patients(patients)
        if found:
            yield (
                f"{encoder.name} was fine-tuned on tiles of {len(found)} of "
                f"{count_of(len(patients), 'patient')} ({name_some(found)}): its scores flatter"
            )


def list_tuned(
    root: Location, receipts: Mapping[str, Receipt], class_encoder: str | None
) -> list[TunedEncoder]:
    """List the fine-tuned encoders whose embeddings or classes are used.

    Args:
        root: The store, which has their cards.
        receipts: One of each encoder that is evaluated, by its name in the store.
        class_encoder: Whose head weighs tiles, where it is another.

    Raises:
        ConfigError: A card or list is damaged.
    """
    asked = {name: receipt.encoder.request for name, receipt in receipts.items()}
    if class_encoder is not None:
        asked.setdefault(class_encoder, class_encoder)
    found = []
    for name, request in asked.items():
        tuned = open_tuned(root, name, name) or open_tuned(root, name, request)
        if tuned is None and name.endswith(F32):
            tuned = open_tuned(root, name, name.removesuffix(F32))
        receipt = receipts.get(name)
        if tuned is None:
            continue
        if receipt is None or receipt.encoder.weights_sha256 == tuned.card.weights_sha256:
            found.append(tuned)
    return found


def refuse_leaks(caveats: Iterable[Caveat], allowed: bool) -> None:
    """Refuse an evaluation on what an encoder was trained on, unless it is allowed.

    Tiles that only decided when training stopped, and near-duplicates, which only a hash tells,
    are left to their caveats.

    Raises:
        ConfigError: There is such a leak; all of them are named.
    """
    told = []
    for one in caveats:
        if one.code is CaveatCode.LEAKED_TILES and one.number("trained"):
            told.append(
                f"{one.values['encoder']} was fine-tuned on "
                f"{count_of(one.number('trained'), 'tile')} of {one.values['tiles']} "
                f"({name_some(one.names('names'))})"
            )
        elif one.code is CaveatCode.LEAKED_PATIENTS:
            told.append(
                f"{one.values['encoder']} was fine-tuned on tiles of "
                f"{count_of(one.number('patients'), 'patient')} that "
                f"{'is' if one.number('patients') == 1 else 'are'} evaluated "
                f"({name_some(one.names('names'))})"
            )
    if told and not allowed:
        raise ConfigError(
            f"{'; '.join(told)}: its scores on them would flatter; evaluate other tiles or "
            "patients, or pass --allow-leak, and a caveat says so"
        )


def _find_in_set(
    encoder: str, known: TrainedOn, tiles: TileSet, thumbs: npt.NDArray[np.uint8]
) -> Iterator[Caveat]:
    trained, held = known.find_tiles(tiles.digests)
    near = find_known_pictures(thumbs, known.picture_hashes)
    near[[*trained, *held]] = False
    if trained or held or near.any():
        first = [*trained, *held, *np.flatnonzero(near).tolist()][:NAMED]
        yield caveat(
            CaveatCode.LEAKED_TILES,
            encoder=encoder,
            tiles=tiles.name,
            total=len(tiles),
            trained=len(trained),
            held_out=len(held),
            near=int(near.sum()),
            names=tuple(tiles.paths[row].rpartition("/")[2] for row in first),
        )
    yield from _name_patients(encoder, known, tiles.groups or ())


def _name_patients(encoder: str, known: TrainedOn, patients: Sequence[str]) -> Iterator[Caveat]:
    found = known.find_patients(patients)
    if found:
        yield caveat(
            CaveatCode.LEAKED_PATIENTS,
            encoder=encoder,
            patients=len(found),
            total=len(set(patients)),
            names=tuple(found[:NAMED]),
        )


def _unknown(encoder: TunedEncoder, what: str) -> Caveat:
    return caveat(
        CaveatCode.TRAINED_ON_UNKNOWN,
        encoder=encoder.name,
        tiles=encoder.card.data.name,
        what=what,
        listed=encoder.trained_on is not None,
    )
