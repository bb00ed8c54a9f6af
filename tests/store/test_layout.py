from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.errors import StoreError
from histo_ray.store.layout import (
    Form,
    check_file_name,
    parse_file_name,
    parse_partition_path,
    partition_path,
    run_path,
)
from histo_ray.types import PartitionKey


def test_a_partition_lies_where_the_design_says() -> None:
    key = PartitionKey("uni2-h", "0a1b2c", "TCGA-05-4249.x")
    path = "embeddings/encoder=uni2-h/tiling=0a1b2c/TCGA-05-4249.x.parquet"
    assert partition_path(key, "parquet") == path
    assert parse_partition_path(path) == (key, "parquet")


@pytest.mark.parametrize(
    "slide_id",
    [
        *["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\x00b"],
        *[".x", "x.", "x ", "a*b", "a:b", "é" * 101],
    ],
)
def test_a_slide_id_cannot_leave_the_store(slide_id: str) -> None:
    with pytest.raises(StoreError, match=r"slide_id .* not safe as a file name.*rename"):
        partition_path(PartitionKey("e", "t", slide_id), "zarr")


@pytest.mark.parametrize("name", ["", "..", "A", "a/b", "a=b", "é", "-a", "a\n"])
def test_an_encoder_and_a_tiling_are_slugs(name: str) -> None:
    with pytest.raises(StoreError, match=r"encoder .* cannot be a folder's name"):
        partition_path(PartitionKey(name, "t", "S"), "parquet")
    with pytest.raises(StoreError, match=r"tiling .* cannot be a folder's name"):
        partition_path(PartitionKey("e", name, "S"), "parquet")


@pytest.mark.parametrize(
    "path",
    [
        "embeddings/encoder=e/tiling=t/S.txt",
        "embeddings/encoder=e/tiling=t/.parquet",
        "embeddings/encoder=e/S.parquet",
        "embeddings/e/t/S.parquet",
        "runs/encoder=e/tiling=t/S.parquet",
        "embeddings/encoder=E/tiling=t/S.parquet",
    ],
)
def test_a_stray_path_is_not_a_partition(path: str) -> None:
    with pytest.raises(StoreError, match="no partition has such a path"):
        parse_partition_path(path)


def test_a_run_is_named_safely() -> None:
    assert run_path("20261123T1000Z-ab") == "runs/20261123T1000Z-ab.parquet"
    with pytest.raises(StoreError, match="run_id"):
        run_path("../store")


@given(slide_id=st.text(min_size=1, max_size=60), form=st.sampled_from(["parquet", "zarr"]))
def test_every_path_that_can_be_made_is_parsed_back(slide_id: str, form: Form) -> None:
    key = PartitionKey("e.1", "t_2", slide_id)
    try:
        path = partition_path(key, form)
    except StoreError:
        return
    assert path.count("/") == 3
    assert parse_partition_path(path) == (key, form)


def test_the_short_look_at_a_name_agrees_with_the_whole_one() -> None:
    for count in range(1, 4):
        for letters in product("aB._ /é", repeat=count):
            stem = "".join(letters)
            try:
                expected = check_file_name("slide_id", stem)
            except StoreError:
                with pytest.raises(StoreError):
                    parse_file_name(f"{stem}.parquet")
            else:
                assert parse_file_name(f"{stem}.parquet") == (expected, "parquet")
