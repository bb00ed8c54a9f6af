"""One predictor and the slides of a store that it is applied to: identity and record of the run."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from histo_ray.config import digest
from histo_ray.evaluate.leaks import describe_patient_leaks
from histo_ray.evaluate.slide_leaks import describe_slide_leaks
from histo_ray.pooling.pooled_cache import digest_snapshot
from histo_ray.predict.external.prediction_record import PredictionRecord, list_versions, now_text
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.predict.slide_needs import list_poolings
from histo_ray.predict.target_slides import TargetSlides
from histo_ray.store.layout import is_given
from histo_ray.store.partition_vectors import CountedPartition
from histo_ray.store.store import Store
from histo_ray.text import count_of, name_some

PREDICT_VERSION = 1
"""Raised whenever the code changes a prediction for the same predictor and slides."""
STRANGE = 0.05
"""Share of tiles outside the predictor's range from which a note says so; 0.01 is usual."""

Groups = Mapping[str, list[CountedPartition]]


@dataclass(frozen=True)
class PredictionRun:
    """What one run is about."""

    store: Store
    predictor: FittedPredictor
    slides: TargetSlides
    groups: Groups
    """Partitions of each patient that is predicted."""
    overlap: tuple[str, ...]
    """Patients that are left out, as the predictor was fitted on them."""
    renamed: Mapping[str, int]
    """Slides of each patient that is left out as the predictor was fitted on it by another name."""
    threshold: str
    """Rule of the threshold that makes calls; empty: the first."""
    tiles: bool
    """Whether there is to be a table of tiles."""
    tile_targets: tuple[str, ...]
    """Targets whose tiles are scored; empty without a table of tiles, or where it has classes."""

    @property
    def name(self) -> str:
        """The run's id, from a digest of all that decides its tables."""
        card = self.predictor.card
        identity = {
            "version": PREDICT_VERSION,
            "predictor": [card.fingerprint, card.file_sha256],
            "snapshot_sha256": self.snapshot_sha256,
            "threshold": self.threshold,
            "tiles": [self.tiles, self.tile_targets],
        } | ({} if self.slides.where is None else {"where": self.slides.where})
        return f"predict-{digest(identity)[:12]}"

    @property
    def snapshot_sha256(self) -> str:
        """Digest of the partitions and of whose they are."""
        whose = {name: [one.key.slide_id for one in group] for name, group in self.groups.items()}
        used = {one.key for group in self.groups.values() for one in group}
        partitions = digest_snapshot((k, r) for k, r in self.slides.receipts.items() if k in used)
        return digest([partitions, whose])

    def list_patients(self, at_once: int) -> Iterator[dict[str, list[CountedPartition]]]:
        """Yield some patients at a time, in order."""
        rest = iter(self.groups.items())
        while some := dict(islice(rest, at_once)):
            yield some

    def make_record(
        self,
        began: float,
        predicted: Sequence[str],
        n_tiles: int,
        outside: float,
        tile_scores: str = "",
    ) -> PredictionRecord:
        """Record what was done.

        Args:
            began: When, by `time.monotonic`.
            predicted: Patients with a prediction.
            n_tiles: Their tiles.
            outside: Share of these outside the predictor's range; nan: unknown.
            tile_scores: What scores of tiles mean, where there is a table of tiles.
        """
        card, slides = self.predictor.card, self.slides
        there = set(predicted)
        used = self._list_slides()
        lost = tuple(name for name in self.groups if name not in there)
        return PredictionRecord(
            run_id=self.name,
            created_at=now_text(),
            seconds=round(time.monotonic() - began, 1),
            synthetic=self._is_synthetic(used),
            notes=tuple(self._notes(lost, outside)),
            versions=list_versions(),
            predictor=card.name,
            predictor_fingerprint=card.fingerprint,
            predictor_sha256=card.file_sha256,
            task=card.task,
            kind=card.kind,
            targets=card.target_names,
            scale=card.labels.scale,
            encoder=slides.encoder,
            weights_sha256=card.encoder.weights_sha256,
            tiling=slides.tiling,
            slides=len(used),
            empty_slides=slides.empty,
            where=slides.where or "",
            filtered_slides=slides.filtered,
            snapshot_sha256=self.snapshot_sha256,
            patients=len(predicted),
            overlap=self.overlap,
            renamed=tuple(self.renamed),
            overlap_known=card.cohort.patient_hashes is not None,
            without_vector=lost,
            n_tiles=n_tiles,
            outside=outside,
            threshold=self.threshold,
            tile_scores=tile_scores,
        )

    def describe_start(self) -> Iterator[str]:
        """Describe who is predicted and who is left out, before the work."""
        card, groups = self.predictor.card, self.groups
        slides = sum(map(len, groups.values()))
        yield (
            f"predictor {card.name} ({card.use}): {count_of(len(groups), 'patient')}, "
            f"{count_of(slides, 'slide')} of {self.slides.encoder} in tiling {self.slides.tiling}"
        )
        yield from self._notes_of_patients()

    def _list_slides(self) -> list[str]:
        """Slides of the patients that are predicted."""
        return [one.key.slide_id for group in self.groups.values() for one in group]

    def _is_synthetic(self, slides: Sequence[str]) -> bool:
        """Whether the predictor was fitted on synthetic data, or a manifest marks a slide so."""
        stated = self.store.stated()
        marked = (slide in stated and stated[slide].synthetic for slide in slides)
        return self.predictor.card.synthetic or any(marked)

    def _notes_of_patients(self) -> Iterator[str]:
        if self.overlap:
            yield (
                f"{count_of(len(self.overlap), 'patient')} left out, as the predictor was fitted "
                f"on them: {name_some(self.overlap)}"
            )
        if self.renamed:
            same = sum(self.renamed.values())
            yield (
                f"{count_of(same, 'slide')} {'has' if same == 1 else 'have'} the very vectors, or "
                "come from the very file, that the predictor was fitted on, under other names: "
                f"{count_of(len(self.renamed), 'patient')} left out ({name_some([*self.renamed])})"
            )
        if self.predictor.card.cohort.patient_hashes is None:
            yield (
                "the predictor keeps no hashes of its patients, so nobody can tell whether it was "
                "fitted on some of these; scores hold only if it was not"
            )
        head = self.predictor.card.class_encoder
        yield from describe_patient_leaks(
            self.store.root,
            {self.slides.encoder: next(iter(self.slides.receipts.values()))},
            None if head is None else head.name,
            list(self.groups),
        )
        yield from describe_slide_leaks(
            self.store.root, list_poolings(self.predictor.card), list(self.groups)
        )
        if self.slides.empty:
            some = name_some(self.slides.empty)
            yield f"{count_of(len(self.slides.empty), 'slide')} without tiles left out: {some}"
        yield from self._notes_of_tiles()
        fitted_on = self.predictor.card.tiling.fingerprint
        if fitted_on != self.slides.tiling and not is_given(fitted_on):
            yield (
                f"these tiles were cut by another tool or rule ({self.slides.tiling}) than those "
                f"that the predictor was fitted on ({fitted_on}): size and mpp are the same, but "
                "tissue may have been found otherwise"
            )
        dtypes = {receipt.encoder.dtype for receipt in self.slides.receipts.values()}
        fitted = self.predictor.card.encoder.dtype
        if fitted and dtypes != {fitted}:
            yield f"vectors are stored as {', '.join(sorted(dtypes))}, it was fitted on {fitted}"

    def _notes_of_tiles(self) -> Iterator[str]:
        """Note what a condition drops; the predictor's own one is applied wherever it is."""
        where = self.slides.where
        if where is None:
            return
        own = self.predictor.card.where
        kept = [one.kept for group in self.groups.values() for one in group if one.kept]
        tiles = sum(one.whole for one in kept)
        dropped = tiles - sum(len(one.rows) for one in kept)
        told = f"only tiles with {where} are used: {dropped:,} of {tiles:,} tiles are dropped"
        yield (
            f"the predictor was fitted so, and {told}"
            if own
            else (f"{told}, although the predictor was fitted on all tiles")
        )
        if self.slides.filtered:
            some = name_some(self.slides.filtered)
            yield (
                f"{count_of(len(self.slides.filtered), 'slide')} left out, as no tile is kept: "
                f"{some}"
            )

    def _notes(self, lost: Sequence[str], outside: float) -> Iterator[str]:
        yield from self._notes_of_patients()
        if lost:
            yield (
                f"{count_of(len(lost), 'patient')} left out, as a pooling gives their tiles no "
                f"weight: {name_some(lost)}"
            )
        if outside > STRANGE:
            yield (
                f"{outside:.0%} of the tiles lie outside what the predictor was fitted on, where "
                "1 % is usual: other stain, scanner or tissue; do not trust its probabilities"
            )
