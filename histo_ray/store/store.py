"""The store as an object: a thin face over the functions of this room."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from histo_ray.store.atomic_write import publish, stage, sweep_staging
from histo_ray.store.catalog import (
    FORMATS,
    find_form,
    list_partitions,
    raise_version,
)
from histo_ray.store.convert import Conversion, convert_partitions
from histo_ray.store.extraction_record import RunRecord
from histo_ray.store.find import (
    choose_keys,
    choose_slides,
    find_partition,
)
from histo_ray.store.forms import settle_forms
from histo_ray.store.layout import RUNS, Form, partition_path
from histo_ray.store.location import Location
from histo_ray.store.opening import find_root, open_root
from histo_ray.store.partition import (
    FIRST_VERSION,
    PartitionFacts,
    Shape,
    version_of,
    write_receipt,
)
from histo_ray.store.patient_bags import (
    find_patient_partitions,
    read_patient_bag,
    tabulate_patients,
)
from histo_ray.store.query import run_query
from histo_ray.store.receipt_cache import Damaged, each_receipt, read_receipts, read_rows
from histo_ray.store.receipt_table import SLIDES, as_frame
from histo_ray.store.replaced import read_again
from histo_ray.store.run_tables import write_run_table
from histo_ray.store.slide_bags import read_labelled_bag, read_slide_bag
from histo_ray.store.sql.script import write_view_script
from histo_ray.store.stated import Stated, correct_receipts, correct_slides, read_stated
from histo_ray.store.upkeep import DAY_S, collect_garbage
from histo_ray.store.verify import (
    Verification,
    check_encoder,
    check_partitions,
    verify_store,
)
from histo_ray.types import (
    Bag,
    EncoderFacts,
    Floats,
    LabelledBag,
    PartitionKey,
    Receipt,
    RunRow,
    TileRows,
)

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

_log = logging.getLogger(__name__)


def open_store(uri: str, create: bool = False) -> "Store":
    """Open a feature store; arguments and errors are those of `open_root`."""
    return Store(open_root(uri, create))


def peek_store(uri: str) -> "Store | None":
    """The store at `uri`, or None where nothing is yet; makes nothing, not even a catalogue.

    Errors are those of `find_root`.
    """
    root = find_root(uri)
    return None if root is None else Store(root, keep_catalogue=False)


class Store:
    """A feature store: per slide, encoder and tiling one partition with its receipt inside."""

    def __init__(self, root: Location, *, keep_catalogue: bool = True) -> None:
        self._root = root
        self._keep = keep_catalogue
        self._version = FIRST_VERSION  # that its marker is known to state at least
        self._stated: tuple[object, dict[str, Stated]] | None = None  # by looks of run tables

    def __repr__(self) -> str:
        return f"Store({self._root.path!r})"

    @property
    def root(self) -> Location:
        """Where the store is."""
        return self._root

    def exists(self, key: PartitionKey) -> bool:
        """Whether a partition is there; what is there is whole."""
        return find_form(self._root, key) is not None

    def list_keys(self, encoder: str | None = None, tiling: str | None = None) -> set[PartitionKey]:
        """All partitions, or those of one encoder or tiling; one listing each."""
        return set(list_partitions(self._root, encoder, tiling))

    def read_receipt(self, key: PartitionKey) -> Receipt:
        """What a partition says of itself.

        Raises:
            StoreError: It is not there, or not readable.
        """
        form, location = find_partition(self._root, key)
        return FORMATS[form].read_receipt(location)

    @read_again
    def receipts(self, keys: Iterable[PartitionKey] | None = None) -> dict[PartitionKey, Receipt]:
        """The receipts of some partitions, or of all; raises StoreError as `each_receipt`."""
        return dict(self.each_receipt(keys))

    def each_receipt(
        self,
        keys: Iterable[PartitionKey] | None = None,
        on_damaged: Damaged | None = None,
    ) -> Iterator[tuple[PartitionKey, Receipt]]:
        """As `receipts`, one after the other; for callers who keep little of very many.

        Args:
            keys: Which; None: all.
            on_damaged: Told of each that cannot be read, which is then left out.

        Raises:
            StoreError: One is not there; or not readable, and there is no `on_damaged`.
        """
        there = None if keys is None else choose_keys(self._root, keys)
        return each_receipt(self._root, there, keep=self._keep, on_damaged=on_damaged)

    @read_again
    def slides(
        self, columns: Sequence[str] = SLIDES, on_damaged: Damaged | None = None
    ) -> "pd.DataFrame":
        """One row a slide, encoder and tiling: the columns of `schemas/slides.json`, or some.

        Patients and sites are those of the newest manifest; see `stated`. A slide that is there in
        both forms has one row, of the Parquet that is read. Unknown numbers are NaN, or NA.

        Raises:
            StoreError: A receipt is not readable, and there is no `on_damaged` to be told of it.
        """
        return as_frame(self._tabulate_slides(columns, on_damaged))

    def _tabulate_slides(self, columns: Sequence[str], on_damaged: Damaged | None) -> "pa.Table":
        asked = list(dict.fromkeys(["slide_id", *columns]))
        rows = read_rows(self._root, columns=asked, keep=self._keep, on_damaged=on_damaged)
        return correct_slides(rows, self.stated()).select(list(columns))

    def stated(self) -> dict[str, Stated]:
        """Patient, site and mark of slides by the newest manifests; these override receipts."""
        looks = [(file.path, file.size, file.mtime_ns) for file in self._root.child(RUNS).walk()]
        if self._stated is None or self._stated[0] != looks:
            self._stated = looks, read_stated(self._root)
        return self._stated[1]

    def commit(
        self,
        key: PartitionKey,
        facts: PartitionFacts,
        rows: Iterable[TileRows],
        format: Form = "parquet",
        replace: bool = False,
    ) -> Receipt:
        """Write a partition, whole or not at all; memory holds a block of rows, not the slide.

        Args:
            key: Which; must be the one of `facts`.
            facts: What its receipt shall say, but for what is counted and digested here.
            rows: All rows in order, in blocks of any size.
            format: Form of the partition.
            replace: Overwrite one that is there.

        Returns:
            The receipt of what is in the store now: ours, or that of another run that was faster.

        Raises:
            ValueError: `rows` or `key` do not fit `facts`.
        """
        if key != facts.key:
            raise ValueError(f"key {key} is not that of the facts, {facts.key}")
        final = partition_path(key, format)
        encoder = facts.encoder
        shape = Shape(key.slide_id, encoder.dim, encoder.dtype, facts.text_columns)
        there = None if replace else find_form(self._root, key)
        if there is not None:
            return FORMATS[there].read_receipt(self._root.child(partition_path(key, there)))
        if version_of(facts) > self._version:
            raise_version(self._root, version_of(facts))
            self._version = version_of(facts)
        with stage(self._root) as folder:
            built = folder / f"partition.{format}"
            receipt = FORMATS[format].write(
                built, shape, rows, lambda totals: write_receipt(facts, totals)
            )
            there = None if replace else find_form(self._root, key)  # another run's, meanwhile
            placed = there is None and publish(built, self._root.child(final), replace)
        if not placed:
            return self.read_receipt(key)
        kept = settle_forms(self._root, key, format, replace)
        return receipt if kept == format else self.read_receipt(key)

    def sweep(self) -> list[str]:
        """Remove what dead processes of this machine left half-built; called before a run."""
        return sweep_staging(self._root)

    @read_again
    def bag(
        self,
        slide_id: str,
        encoder: str,
        tiling: str | None = None,
        check: bool = False,
        where: str | None = None,
    ) -> Bag:
        """All coords and embeddings of one slide, or of those of its tiles that are asked for.

        Args:
            slide_id: Which.
            encoder: Whose embeddings.
            tiling: Where the encoder has several.
            check: Hold every byte against the partition's digests first, which reads it twice;
                without it a changed vector is not noticed (docs/reliability.md has the cost).
            where: Condition on tiles, as in "focus > 20 and ink < 0.05": others are left out.

        Raises:
            StoreError: It is not there, damaged, not measured so, or in several tilings and none is
                named.
            ConfigError: `where` is no condition on columns of tiles.
        """
        return read_slide_bag(self._root, slide_id, encoder, tiling, check, where)

    def check(self, keys: Iterable[PartitionKey]) -> None:
        """Hold every byte of some partitions against their receipts and digests.

        Raises:
            StoreError: One is not there, or some are damaged; names the first ones.
        """
        check_partitions(self._root, choose_keys(self._root, keys))

    @read_again
    def labelled(self, name: str, encoder: str, check: bool = False) -> LabelledBag:
        """Embeddings, labels and patients of one labelled tile set, in the order of its tiles.

        Args:
            name: The tile set.
            encoder: Whose embeddings.
            check: Hold every byte against the partition's digests first.

        Raises:
            StoreError: It is not there, which says what is, or damaged.
        """
        return read_labelled_bag(self._root, name, encoder, check)

    def patients(self, encoder: str, tiling: str | None = None) -> "pd.DataFrame":
        """One row a patient: patient_id, slides, tiles, sites, slide_ids; see `tabulate_patients`.

        Raises:
            StoreError: Nothing of this encoder, or several tilings and none is named.
        """
        partitions = choose_slides(self._root, encoder, tiling)
        receipts = read_receipts(self._root, partitions)
        return tabulate_patients(correct_receipts(receipts, self.stated()))

    @read_again
    def patient_bag(
        self,
        patient_id: str,
        encoder: str,
        tiling: str | None = None,
        most: int | None = None,
        seed: int = 0,
        slide_ids: Iterable[str] | None = None,
        where: str | None = None,
    ) -> Floats:
        """All embeddings of all slides of a patient, (N, D) as stored; see `read_patient_bag`.

        Args:
            patient_id: Who.
            encoder: Whose embeddings.
            tiling: Where the encoder has several.
            most: Draw so many tiles at random where there are more.
            seed: Of the draw.
            slide_ids: Only of these; where `tiling` is given too, no other slide is looked at.
            where: Condition on tiles: others are left out before any are drawn.

        Raises:
            StoreError: No tiles of this patient, or several tilings and none is named.
        """
        partitions = choose_slides(self._root, encoder, tiling, slide_ids)
        receipts = correct_receipts(read_receipts(self._root, partitions), self.stated())
        found = find_patient_partitions(self._root, partitions, receipts, patient_id, where)
        return read_patient_bag(self._root, found, most, seed)

    def sql(self, query: str) -> "duckdb.DuckDBPyRelation":
        """Run SQL over the views that `show tables` lists: `embeddings`, `slides`, ..."""
        return run_query(self._root, self._readable_slides, query, keep=self._keep)

    def view_script(self) -> str:
        """SQL that makes these views in any DuckDB; see `write_view_script`."""
        return write_view_script(self._root)

    @read_again
    def _readable_slides(self) -> "pa.Table":  # damaged ones are told in the log
        return self._tabulate_slides(SLIDES, lambda key, error: _log.warning("left out: %s", error))

    def check_encoder(self, facts: EncoderFacts) -> None:
        """Raise StoreError for a name that the store knows for other weights or preparation."""
        check_encoder(self._root, facts)

    def write_run(self, run_id: str, rows: list[RunRow], record: RunRecord | None = None) -> None:
        """Write, or write anew, the table of a run, a row a slide and encoder, and its record."""
        write_run_table(self._root, run_id, rows, record)

    def verify(self) -> tuple[int, list[str]]:
        """Read everything; how many partitions there are, and one line a problem."""
        return (found := self.inspect()).partitions, found.problems

    def inspect(self) -> Verification:
        """As `verify`, with all that was counted; see `verify_store`."""
        return verify_store(self._root)

    def gc(self, older_than_s: float = DAY_S, dry_run: bool = False) -> list[str]:
        """Remove what crashed runs left and cached tables, if older; what was removed."""
        return collect_garbage(self._root, time.time() - older_than_s, dry_run)

    def convert(self, to: Form, target: "Store | None" = None) -> Conversion:
        """Convert all partitions to another form, in place or into another store.

        Nothing is deleted whose replacement was not read back and found to be the same bits.

        Returns:
            What was written; its `check` raises for partitions that stayed as they were.
        """
        return convert_partitions(self._root, to, (target or self)._root)
