"""Patients of a store and a label table, the same for each encoder."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from histo_ray.cohort.fold_table import read_fold_file
from histo_ray.cohort.join import Cohort, join_cohort
from histo_ray.cohort.patient_folds import OutcomeFolds, read_given_folds
from histo_ray.cohort.site_folds import FEWEST_SITES, draw_site_folds, exclude_siteless
from histo_ray.config import digest
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.tile_request import TileRequest, split_tiles
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.evaluation_record import SlideEncoderRecord
from histo_ray.evaluate.patients.lost_patients import Manifested, add_lost_patients, read_manifested
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.labels.label_table import LabelTable
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import choose_keys
from histo_ray.store.layout import is_given
from histo_ray.store.stated import correct_receipts
from histo_ray.store.store import Store, open_store
from histo_ray.store.tilings import ask_for, describe_tilings, find_tiling, one_of_each_tiling
from histo_ray.text import count_of, did_you_mean, name_some
from histo_ray.types import PartitionKey, Receipt

NAMED = 6
"""Slides that a caveat names at most; one more than a sentence shows, so that it can say so."""


@dataclass(frozen=True)
class StoredSlides:
    """Slides of one encoder and tiling."""

    encoder: str
    tiling: str
    receipts: Mapping[str, Receipt]
    """By slide_id, with patient and site as the newest manifest says; see `Store.stated`."""
    corrected: Mapping[str, list[str | bool]]
    """Newest patient, site and mark `synthetic` by slide_id, of slides that were extracted under
    others."""
    where: str | None = None
    """Condition on the tiles that are used; receipts are those of these tiles."""

    @property
    def full(self) -> dict[str, Receipt]:
        """Those with tiles."""
        return {name: receipt for name, receipt in self.receipts.items() if receipt.tile_count}

    def describe(self) -> SlideEncoderRecord:
        """Record the snapshot that is evaluated."""
        first = next(iter(self.receipts.values()))
        vectors = {name: receipt.vectors_sha256 for name, receipt in self.receipts.items()}
        return SlideEncoderRecord(
            request=first.encoder.request,
            weights_sha256=first.encoder.weights_sha256,
            dim=first.encoder.dim,
            tiling=self.tiling,
            partitions=len(self.receipts),
            snapshot_sha256=digest(vectors),
        )


@dataclass(frozen=True)
class Patients:
    """Patients that are evaluated, with their labels and slides."""

    cohort: Cohort
    labels: LabelTable
    """Labels of the patients that are used, as heads are trained on them."""
    groups: tuple[str, ...]
    """(P,) group of each patient; a group stays in one fold."""
    slides: tuple[str, ...]
    """Slides with tiles of every encoder: the ones that are pooled."""
    manifested: Manifested
    """Slides without a partition or without tiles, and synthetic ones."""
    caveats: tuple[Caveat, ...]
    """Caveats of every score that labels and slides give reason for."""


def find_slides(store: Store, config: PatientConfig) -> list[StoredSlides]:
    """Find the slides of each encoder that is asked for.

    Raises:
        StoreError: Nothing of an encoder.
        ConfigError: Several tilings, and none is named.
    """
    keys = [key for key in store.list_keys() if not is_given(key.tiling)]
    found = [_find_encoder(store, keys, name, config) for name in config.encoder]
    for name, times in Counter(slides.encoder for slides in found).items():
        if times > 1:
            raise ConfigError(
                f"encoder {name}: it is asked for {times} times, and scores of one evaluation are "
                "told apart by their encoder; evaluate its tilings one by one"
            )
    return found


def gather_patients(
    found: list[StoredSlides], task: PatientTask, config: PatientConfig
) -> Patients:
    """Join slides and labels.

    Raises:
        ConfigError: Labels cannot be read or do not fit, or no patient is left.
    """
    for slides in found:
        if slides.where is not None and not slides.full:
            raise ConfigError(
                f"--where '{slides.where}': no tile of the "
                f"{count_of(len(slides.receipts), 'slide')} of encoder {slides.encoder} fulfils "
                "it; histo-ray store where shows what a condition keeps of each slide"
            )
    some = {name: r for slides in found for name, r in slides.full.items()}
    common = set.intersection(*(set(slides.full) for slides in found))
    patients = {name: receipt.slide.patient_id for name, receipt in some.items()}
    known = set(patients.values())
    labels = task.read_labels(config, known)
    sites: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for name, patient in patients.items():
        counts[patient] = counts.get(patient, 0) + (name in common)
        if some[name].slide.site:
            sites.setdefault(patient, set()).add(some[name].slide.site)
    have = {slides.encoder: {patients[name] for name in slides.full} for slides in found}
    apart = {p for p in set.intersection(*have.values()) if not counts[p]}  # no slide in common
    features = {encoder: people - apart for encoder, people in have.items()}
    given = {key.slide_id for key in open_store(config.store).list_keys() if is_given(key.tiling)}
    by_encoder = {slides.encoder: slides.receipts for slides in found}
    manifested = read_manifested(config.store, by_encoder, given)
    cohort = add_lost_patients(join_cohort(features, counts, sites, labels), manifested.lost)
    notes = (
        *_note_corrected(found, common),
        *_note_unnamed(cohort, patients),
        *_note_gone(sorted(manifested.gone)),
    )
    cohort = replace(cohort, notes=(*cohort.notes, *notes))
    leaves_sites = config.leave_out == "site"
    if leaves_sites:
        cohort = exclude_siteless(cohort)
    groups = cohort.groups(config.keep_together)
    if len(set(groups)) < config.folds and not leaves_sites:
        word = "site" if config.keep_together == "site" else "patient"
        count = len(set(groups))
        remedy = f"use {count} or fewer" if count > 1 else f"2 {word}s are needed at least"
        raise ConfigError(f"{count_of(count, word)} cannot fill {config.folds} folds; {remedy}")
    tried = config.model_copy(update={"folds": count_class_folds(config)})
    usable = task.prepare_labels(cohort.labels, tried, groups)
    return Patients(
        cohort,
        usable,
        groups,
        tuple(sorted(common)),
        manifested,
        (
            *(caveat(CaveatCode.TEXT, text=text) for text in labels.caveats),
            *_compare_slides(found, common, patients),
        ),
    )


def add_notes(patients: Patients, notes: Sequence[str]) -> Patients:
    """Add notes of what was read beside labels and slides."""
    cohort = replace(patients.cohort, notes=(*patients.cohort.notes, *notes))
    return replace(patients, cohort=cohort)


def count_class_folds(config: PatientConfig) -> int:
    """Count the folds that every class needs a patient, or site, for."""
    return FEWEST_SITES if config.leave_out == "site" else config.folds


def draw_patient_folds(
    patients: Patients, task: PatientTask, config: PatientConfig
) -> OutcomeFolds:
    """Read the folds that are given, or draw those of the task.

    Raises:
        ConfigError: They do not fit, or the patients do not suffice for them.
    """
    labels = patients.labels
    if config.fold_file is not None:
        return read_given_folds(
            read_fold_file(config.fold_file),
            patients.cohort.patients,
            labels.values,
            labels.targets,
            patients.groups,
            config.fold_file,
            classes=task.kind.has_positives,
        )
    if config.leave_out == "site":
        return draw_site_folds(patients.groups, config.seed)
    return task.draw_folds(
        labels.values, labels.targets, config.folds, config.repeats, config.seed, patients.groups
    )


def _find_encoder(
    store: Store, keys: list[PartitionKey], asked: str, config: PatientConfig
) -> StoredSlides:
    names = {key.encoder for key in keys}
    tiles = split_tiles(asked)
    request = tiles.encoder
    name = request if request in names else _resolve_name(request, names, config)
    own = [key for key in keys if key.encoder == name]
    firsts = store.receipts(one_of_each_tiling(own))
    if tiles.settings:
        fitting = {key.tiling for key, receipt in firsts.items() if _has(receipt, tiles)}
        own = [key for key in own if key.tiling in fitting]
    elif config.tiling is not None:
        tiling = find_tiling(config.tiling, firsts)
        own = [key for key in own if key.tiling == tiling]
    tilings = sorted({key.tiling for key in own})
    wanted = f"tiling {config.tiling}"
    if len(tilings) > 1:
        raise ConfigError(
            f"encoder {asked}: store {config.store} has its slides in several tilings; name one "
            f"with --tiling, or its tiles as in {name}{ask_for(firsts)}: {describe_tilings(firsts)}"
        )
    if not tilings and firsts:
        raise ConfigError(
            f"encoder {asked}: no slides in {'these tiles' if tiles.settings else wanted} in "
            f"store {config.store}; its tilings are {describe_tilings(firsts)}; name one of them "
            f"with --tiling (for this encoder alone: {name}{ask_for(firsts)}), or extract that one "
            "first"
        )
    if not tilings:
        raise ConfigError(
            f"encoder {asked}: no slides in store {config.store}; {_name_stored(asked, names)}; "
            "extract them first, or check --encoder"
        )
    receipts = choose_tiles(
        store.root, choose_keys(store.root, own), store.receipts(own), config.where
    )
    by_slide = {key.slide_id: receipts[key] for key in sorted(own)}
    stated = store.stated()
    newest = correct_receipts(by_slide, stated)
    corrected: dict[str, list[str | bool]] = {}
    for slide, receipt in newest.items():
        word = stated.get(slide)
        marked = word is not None and word.synthetic
        if receipt is not by_slide[slide] or (word and marked != word.first_synthetic):
            corrected[slide] = [receipt.slide.patient_id, receipt.slide.site, marked]
    return StoredSlides(name, tilings[0], newest, corrected, config.where)


def _has(receipt: Receipt, tiles: TileRequest) -> bool:
    """Whether a partition has the tiles that are asked for; what is not stated does not matter."""
    own = receipt.tiling.settings
    stated = own | {"stride_px": own.get("stride_px") or own.get("tile_px")}
    return all(stated.get(name) == value for name, value in tiles.settings.items())


def _resolve_name(asked: str, names: set[str], config: PatientConfig) -> str:
    """Resolve a request to the name that it is stored under.

    Raises:
        ConfigError: There is no such encoder; what the store holds is told first.
    """
    try:
        return resolve(asked, (), config.store).name
    except ConfigError as error:
        near = did_you_mean(asked, names)
        why = "" if near else f"; nor can it be resolved: {error}"
        raise ConfigError(
            f"encoder {asked}: not in store {config.store}; {_name_stored(asked, names)}{why}"
        ) from None


def _name_stored(asked: str, names: set[str]) -> str:
    return f"encoders there: {name_some(sorted(names)) or 'none'}{did_you_mean(asked, names)}"


def _note_gone(gone: Sequence[str]) -> tuple[str, ...]:
    """Note slides that were extracted once and have no partition now."""
    if not gone:
        return ()
    return (
        f"{count_of(len(gone), 'slide')} extracted before, of which the partition is gone "
        f"({name_some(gone)}): the same extract command makes it again",
    )


def _note_corrected(found: list[StoredSlides], common: set[str]) -> tuple[str, ...]:
    """Note slides of which the newest manifest states otherwise than their receipts."""
    names = sorted({name for slides in found for name in slides.corrected} & common)
    if not names:
        return ()
    return (
        f"patient, site or mark synthetic of {count_of(len(names), 'slide')} ({name_some(names)}) "
        "are those of the newest manifest, not those of its extraction",
    )


def _note_unnamed(cohort: Cohort, patients: Mapping[str, str]) -> tuple[str, ...]:
    """Note slides that are their own patients, as manifests name no other."""
    own = {patient for slide, patient in patients.items() if slide == patient}
    used = own & set(cohort.patients)
    if not used:
        return ()
    return (
        f"{count_of(len(used), 'patient')} of {len(cohort.patients)} named by their slide_id, as "
        "no manifest names another: slides of one patient may be in different folds",
    )


def _compare_slides(
    found: list[StoredSlides], common: set[str], patients: Mapping[str, str]
) -> Iterator[Caveat]:
    """Find encoders that lack slides which another has."""
    for slides in found:
        lost = sorted(patients.keys() - slides.full.keys())
        if lost:
            yield caveat(
                CaveatCode.SLIDES_DIFFER,
                encoder=slides.encoder,
                slides=len(lost),
                names=tuple(lost[:NAMED]),
                common=len(common),
            )
