from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.genes import GeneList, load_published, read_genes


def test_the_immune_list_is_the_union_of_its_sources() -> None:
    published = load_published("immune")
    sizes = {
        key: sum(key in keys for keys in published.genes.values()) for key in published.sources
    }
    assert sizes == {
        "rooney2015": 2, "ayers2017": 18, "danaher2017": 60, "becht2016": 70, "coppola2011": 12,
        "pardoll2012": 25,
    }  # fmt: skip
    assert published.genes["PRF1"] == ("rooney2015", "danaher2017")
    assert all(
        "doi:10." in source and source.count(" 20") == 1 for source in published.sources.values()
    )
    genes = read_genes("immune")
    assert genes is not None
    assert set(genes.names) == set(published.genes)
    assert all(gene == gene.upper().strip() for gene in genes.names)


def test_a_file_of_genes_or_none() -> None:
    assert read_genes("") is None


def test_a_file_is_read_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_text("Hugo_Symbol\tgene\nA\tTP53\n")
    path = str(tmp_path / "g.tsv")
    assert read_genes(path) == GeneList(("TP53",), path)
    with pytest.raises(ConfigError, match=r"--genes immun: cannot be .*built-in lists: immune"):
        read_genes("immun")
