"""Lists of genes: built in, with their sources, or from a file."""

import tomllib
from dataclasses import dataclass
from functools import cache

from histo_ray.errors import ConfigError
from histo_ray.labels.label_columns import GENE_NAMES
from histo_ray.labels.label_settings import GENE_LISTS
from histo_ray.labels.name_list import read_names


@dataclass(frozen=True)
class GeneList:
    """Genes that are asked for."""

    names: tuple[str, ...]
    """Symbols, unique, in the order of the list."""
    origin: str
    """Name of the built-in list, or path."""


@dataclass(frozen=True)
class PublishedGenes:
    """A built-in list, and where each of its genes was published."""

    sources: dict[str, str]
    """Citation by key of a source."""
    genes: dict[str, tuple[str, ...]]
    """Keys of the sources that name it, by symbol."""


@cache
def load_published(name: str) -> PublishedGenes:
    """Load a built-in list of genes with its sources."""
    table = tomllib.loads(GENE_LISTS[name].read_text(encoding="utf-8"))
    genes: dict[str, tuple[str, ...]] = {}
    for key, entry in table.items():
        for gene in entry["genes"]:
            genes[gene] = (*genes.get(gene, ()), key)
    return PublishedGenes({key: entry["source"] for key, entry in table.items()}, genes)


def read_genes(text: str) -> GeneList | None:
    """Read the genes that `--genes` asks for.

    Args:
        text: Name of a built-in list, or path or URI of a file: one gene a line, or a table with
            a column `gene` (or Hugo_Symbol, symbol, ...). Text of several lines, as programs give
            it: the genes themselves, one a line. Empty: all genes.

    Raises:
        ConfigError: Neither, or no gene in it.
    """
    if not text:
        return None
    if "\n" in text:
        names = dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())
        return GeneList(tuple(names), "the list that was given")
    if text in GENE_LISTS:
        return GeneList(tuple(load_published(text).genes), f"the built-in list {text}")
    try:
        columns = ("gene", *(name for name in GENE_NAMES if name != "gene"))
        return GeneList(read_names(text, "--genes", columns), text)
    except ConfigError as error:
        raise ConfigError(f"{error} (built-in lists: {', '.join(GENE_LISTS)})") from None
