import hashlib
from pathlib import Path

import pytest

from histo_ray.slides.fingerprint import fingerprint_file


@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, 200_000])
def test_it_hashes_the_size_and_both_ends(tmp_path: Path, size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    file = tmp_path / "a.svs"
    file.write_bytes(data)
    wanted = hashlib.sha256(size.to_bytes(8, "little") + data[:65_536] + data[-65_536:])
    assert fingerprint_file(str(file)) == wanted.hexdigest()


def test_the_index_of_an_mrxs_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.mrxs"
    file.write_bytes(b"picture")
    alone = fingerprint_file(str(file))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Slidedat.ini").write_text("[GENERAL]", encoding="utf-8")
    assert fingerprint_file(str(file)) != alone
