import json
from typing import Any

import pytest

from histo_ray.errors import StoreError
from histo_ray.store.partition import Totals, write_receipt
from histo_ray.store.receipts import ReceiptParser, parse_receipt
from histo_ray.types import Receipt
from tests.made_up import facts_of

TRAP = 'a","tiling":{},"encoder":{},"tile_count":0,"b'


def receipt_of(name: str, **changes: Any) -> Receipt:
    facts = facts_of(name, **changes)
    return write_receipt(facts, Totals(3, "v" * 64, "c" * 64))


@pytest.mark.parametrize("site", ["", "Zürich", TRAP, 'x\\",\\"tiling\\":{'])
def test_a_parsed_receipt_is_the_one_that_was_written(site: str) -> None:
    receipt = receipt_of("S1", site=site)
    text = receipt.model_dump_json()
    spaced = json.dumps(json.loads(text), indent=1)
    shuffled = json.dumps(dict(sorted(json.loads(text).items())), separators=(",", ":"))
    for form in (text, spaced, shuffled):
        assert parse_receipt(form.encode(), "p") == receipt


def test_what_many_receipts_share_is_held_once() -> None:
    parser = ReceiptParser()
    receipts = [receipt_of("S1"), receipt_of("S2"), receipt_of("S3", encoder="other")]
    parsed = [parser.parse(receipt.model_dump_json().encode(), "p") for receipt in receipts]
    assert parsed == receipts
    assert parsed[0].encoder is parsed[1].encoder
    assert parsed[0].tiling is parsed[2].tiling
    assert parsed[2].encoder.name == "other"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        receipt_of("S1").model_dump_json().encode()[:-1],
        receipt_of("S1").model_dump_json().encode()[1:],
        receipt_of("S1").model_dump_json().replace('"dim":5', '"dim":"x"').encode(),
        receipt_of("S1").model_dump_json().replace('"level":0', '"lovel":0').encode(),
        receipt_of("S1").model_dump_json().replace('"site"', '"sight"').encode(),
        b"\xff",
    ],
)
def test_anything_else_is_told_with_its_place(text: bytes) -> None:
    with pytest.raises(StoreError, match="S9/x: receipt: not readable"):
        parse_receipt(text, "S9/x")
