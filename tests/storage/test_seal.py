import hashlib

from histo_ray.storage.seal import BLANK, SEAL_KEY, digest_unsealed, find_seal

PARQUET = SEAL_KEY.encode() + b"\x18\x40"
JSON = b'{"' + SEAL_KEY.encode() + b'": "'


def test_a_seal_is_found_in_thrift_and_in_json() -> None:
    for start in (PARQUET, JSON):
        found = find_seal(b"before" + start + b"ab" * 32 + b'" after')
        assert found == (6 + len(start), "ab" * 32)


def test_a_seal_in_capitals_or_too_short_is_none() -> None:
    assert find_seal(JSON + b"AB" * 32) is None
    assert find_seal(JSON + b"ab" * 31 + b'"') is None


def test_text_that_only_names_the_key_is_no_seal() -> None:
    quoted = b'"path": "x\\"' + SEAL_KEY.encode() + b'\\": \\"' + b"0" * 64
    assert find_seal(quoted) is None


def test_the_digest_is_that_of_the_blank_file() -> None:
    blank = b"x" + JSON + BLANK.encode() + b'"}'
    digest = hashlib.sha256(blank).hexdigest()
    sealed = blank.replace(BLANK.encode(), digest.encode())
    assert digest_unsealed(blank) == digest_unsealed(sealed) == digest
