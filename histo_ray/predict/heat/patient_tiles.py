"""The slides of one patient that are pooled together."""

from collections.abc import Collection, Mapping

from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.heat.tile_scores import PatientTiles
from histo_ray.store.catalog import Partitions, list_partitions
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import CountedPartition, count_tiles
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.stated import correct_receipts, read_stated
from histo_ray.text import did_you_mean, name_some
from histo_ray.types import PartitionKey, Receipt


class EncoderSlides:
    """All slides of one encoder and tiling, by patient as the newest manifest says."""

    def __init__(
        self,
        root: Location,
        encoder: str,
        tiling: str,
        slides: Collection[str] | None = None,
        where: str | None = None,
    ) -> None:
        """Read their receipts.

        Args:
            root: The store.
            encoder: Its name in the store.
            tiling: Fingerprint.
            slides: Those that are pooled; None: all.
            where: Condition on the tiles that are scored; None: all.

        Raises:
            StoreError: There is none.
        """
        found = list_partitions(root, encoder, tiling)
        if not found:
            raise StoreError(
                f"store {root.path}: no slides of encoder {encoder} in tiling {tiling}; extract "
                "them with histo-ray extract"
            )
        receipts = correct_receipts(read_receipts(root, found), read_stated(root))
        self._root, self._encoder = root, encoder
        self._forms, self.where = found, where
        self.receipts = {
            key.slide_id: (key, receipt)
            for key, receipt in sorted(receipts.items())
            if slides is None or key.slide_id in slides
        }

    def patient_of(self, slide_id: str) -> str:
        """The patient of a slide.

        Raises:
            ConfigError: It is not there, or has no tiles.
        """
        if slide_id not in self.receipts:
            known = list(self.receipts)
            raise ConfigError(
                f"--slide {slide_id}: not among the slides of {self._encoder} that are used; they "
                f"are {name_some(known)}{did_you_mean(slide_id, known)}"
            )
        _, receipt = self.receipts[slide_id]
        if not receipt.tile_count:
            raise ConfigError(
                f"--slide {slide_id}: it has no tiles ({receipt.empty_reason}); choose another one"
            )
        return receipt.slide.patient_id

    def tiles_of(self, patient: str) -> PatientTiles:
        """All slides of a patient that have tiles which are used.

        Raises:
            ConfigError: None has.
        """
        own = {
            key: receipt
            for key, receipt in self.receipts.values()
            if receipt.slide.patient_id == patient and receipt.tile_count
        }
        return choose_patient_tiles(self._root, self._forms, patient, own, self.where)

    def partition_of(self, slide_id: str) -> CountedPartition:
        """The tiles of one slide.

        Raises:
            ConfigError: The slide is not there, or has no tiles that are used.
        """
        self.patient_of(slide_id)
        key, receipt = self.receipts[slide_id]
        chosen = choose_tiles(self._root, self._forms, {key: receipt}, self.where)[key]
        if not chosen.tile_count:
            raise ConfigError(
                f"--slide {slide_id}: {chosen.empty_reason}; choose another one, or another --where"
            )
        return count_tiles(key, self._forms[key], chosen)


def choose_patient_tiles(
    root: Location,
    partitions: Partitions,
    patient: str,
    receipts: Mapping[PartitionKey, Receipt],
    where: str | None,
) -> PatientTiles:
    """Choose the tiles of a patient that a condition keeps; slides without any are left out.

    Raises:
        ConfigError: It keeps none.
        StoreError: Tiles were not measured so.
    """
    chosen = choose_tiles(root, partitions, receipts, where)
    full = {key: receipt for key, receipt in chosen.items() if receipt.tile_count}
    if not full:
        raise ConfigError(
            f"patient {patient}: {where} keeps no tile of any slide; choose another patient, or "
            "another --where"
        )
    return PatientTiles(patient, full)
