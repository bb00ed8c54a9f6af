import pytest

from histo_ray.slides.barcodes import Barcode, cut_barcode, parse_barcode


@pytest.mark.parametrize(
    ("name", "barcode"),
    [
        ("TCGA-05-4249", Barcode("TCGA-05-4249", "05", None)),
        ("TCGA-05-4249-01", Barcode("TCGA-05-4249", "05", 1)),
        ("TCGA-44-2655-11A-01R-1758-07", Barcode("TCGA-44-2655", "44", 11)),
        ("TCGA.44.2655.06A", Barcode("TCGA-44-2655", "44", 6)),
        ("TCGA-NJ-A4YF-01Z-00-DX1.9fce0297-cc19", Barcode("TCGA-NJ-A4YF", "NJ", 1)),
        ("TCGA-05-4249-DX1", Barcode("TCGA-05-4249", "05", None)),
        ("TCGA-05-4249-101A", Barcode("TCGA-05-4249", "05", None)),
        ("TCGA-05-42490", None),
        ("TCGA-05.4249-01", None),
        ("xTCGA-05-4249", None),
        ("", None),
    ],
)
def test_a_barcode_tells_patient_site_and_sample(name: str, barcode: Barcode | None) -> None:
    assert parse_barcode(name) == barcode


def test_other_names_are_not_cut() -> None:
    assert cut_barcode("TCGA-05-4249-01A") == "TCGA-05-4249"
    assert cut_barcode("P-0001-T01-IM3") == "P-0001-T01-IM3"
