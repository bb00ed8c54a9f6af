"""Settings of label tables: where the labels are, and how they are read."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from histo_ray.config import Settings

GENE_LISTS = {"immune": Path(__file__).parent / "immune_genes.toml"}
"""Built-in lists of genes, which `genes` may name in place of a file."""
LayoutName = Literal["auto", "patients-in-rows", "genes-in-rows", "long", "maf"]
Transform = Literal["none", "log2", "rank", "clip"]

_BOUND = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(sd)?")


class LabelSettings(Settings):
    """A table of labels, the part of it that is used, and how it is read."""

    labels: str = Field(
        description="CSV, TSV or Parquet with the patients' expression or mutations; may be .gz"
    )
    labels_layout: LayoutName = Field(
        default="auto",
        description="of --labels; auto: found from its columns and the patients' ids, and told",
    )
    id_column: str | None = Field(
        default=None,
        description="column of --labels with patients or samples (default: patient_id and the "
        "names that GDC and cBioPortal use)",
    )
    genes: str = Field(
        default="",
        description="immune (a built-in list), or a file with one gene a line or a column `gene` "
        "(default: all genes of the table)",
    )
    sequenced: str | None = Field(
        default=None,
        description="file with one sequenced patient or sample a line: those without a call in "
        "a MAF are 0 (default: all that occur in the MAF)",
    )
    variant_classes: tuple[str, ...] = Field(
        default=(),
        description="Variant_Classification that counts as a mutation in a MAF, separated by "
        "commas or given repeatedly (default: the nine classes that change the protein)",
    )
    transform: Transform = Field(
        default="rank",
        description="of expression: none, log2 (log2(x + 1)), rank (rank-normal, Blom), clip",
    )
    clip_at: str = Field(
        default="5sd",
        description="of --transform clip: 5sd (about the median; sd from the quartiles), or a "
        "value, as in 10 for -10..10",
    )
    max_missing: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="genes with a larger share of missing values are left out",
    )

    @field_validator("clip_at")
    @classmethod
    def _a_bound(cls, text: str) -> str:
        found = _BOUND.fullmatch(text)
        if found is None or not float(found[1]):
            raise ValueError("neither a positive number nor one with sd behind it, as in 5sd")
        return text

    @field_validator("variant_classes", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            return value
        return tuple(part.strip() for name in names for part in name.split(",") if part.strip())

    @model_validator(mode="after")
    def _options_of_a_layout(self) -> Self:
        if self.id_column is not None and self.labels_layout == "genes-in-rows":
            raise ValueError("id_column: a table with genes in rows has no column of ids")
        if self.sequenced is not None and self.labels_layout not in ("auto", "maf"):
            raise ValueError(f"sequenced: only for a MAF, not for layout {self.labels_layout}")
        if self.variant_classes and self.labels_layout not in ("auto", "maf"):
            raise ValueError(
                f"variant_classes: only for a MAF, not for layout {self.labels_layout}"
            )
        return self
