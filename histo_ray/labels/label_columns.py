"""Names that columns of label tables are known by. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from histo_ray.errors import ConfigError
from histo_ray.labels.not_genes import is_index
from histo_ray.slides.column_names import (
    FILE_NAMES,
    PATH_NAMES,
    SITE_NAMES,
    SLIDE_NAMES,
    SYNTHETIC_NAMES,
)
from histo_ray.text import name_some

GENE_NAMES = ("hugosymbol", "hugogenesymbol", "gene", "genesymbol", "genename", "symbol")
VALUE_NAMES = ("value", "expression", "zscore", "tpm", "fpkm", "fpkmuq", "rpkm", "rsem", "count")
CALL_NAMES = ("variantclassification", "mutationtype")
STATUS_NAMES = ("mutationstatus", "mutstatus")
OTHER_NAMES = (
    *("entrezgeneid", "entrezid", "geneid", "ensemblid", "ensemblgeneid", "genetype", "cytoband"),
    *("description", "studyid", "oncotreecode", "cancertype", "cancertypedetailed", "projectid"),
    *("genebiotype", "biotype", "fileid", "fileuuid", "sampletype", "sampletypecode"),
    *(*SLIDE_NAMES, *PATH_NAMES, *FILE_NAMES, *SITE_NAMES, *SYNTHETIC_NAMES),
)
"""Known to be no genes and no samples."""
POSITION_NAMES = ("chr", "chrom", "chromosome", "start", "end", "strand", "length", "genelength")
"""Columns beside the genes of a table with genes in rows, as featureCounts writes them."""
LISTED = 30
"""Most columns left out that a note names."""
REMEDY = "say which with --labels-layout patients-in-rows, genes-in-rows, long or maf"


@dataclass(frozen=True)
class ColumnNames:
    """The columns of one table, found by their names."""

    origin: str
    """Path or URI of the table, for messages."""
    columns: tuple[str, ...]
    """As they are."""
    plain: list[str]
    """In small letters and digits."""

    def first(self, known: Iterable[str]) -> int | None:
        """Number of the column that has the first of some known names; None if none has."""
        return next((self.plain.index(name) for name in known if name in self.plain), None)

    def others(self, but: set[int], apart: Sequence[str], notes: list[str]) -> tuple[int, ...]:
        """Choose the columns that hold labels; note those left out."""
        rest = [at for at in range(len(self.columns)) if at not in but]
        left = [
            at
            for at in rest
            if self.plain[at] in apart or not self.columns[at] or is_index(self.columns[at])
        ]
        if left:
            told = name_some([self.columns[at] or f"number {at + 1}" for at in left], LISTED)
            notes.append(f"columns left out as no labels: {told}")
        return tuple(at for at in rest if at not in left)

    def refuse(self, problem: str) -> NoReturn:
        """Refuse the table, with its columns and the remedy.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"labels {self.origin}: {problem} (its columns: {name_some(self.columns, 8)}); rename "
            f"the columns, or {REMEDY} or --id-column"
        )
