import pytest

from histo_ray.text import did_you_mean, join_or


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("ridg", "; did you mean ridge?"),
        ("RIDGE", "; did you mean ridge?"),
        ("tile-pixels", "; did you mean tile_px?"),
        ("--elastic_net", "; did you mean elastic-net?"),
        ("loglstic", "; did you mean logistic?"),
        ("resnet51", "; did you mean resnet5 or resnet50?"),
        ("abcdefgh", "; did you mean abcdefgi?"),  # abcdefxx is like it, too, but much less
        ("mmp", "; did you mean mpp?"),
        ("pmp", "; did you mean mpp?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_what_is_like_a_word_is_asked(word: str, told: str) -> None:
    known = ["ridge", "elastic-net", "logistic", "tile_px", "resnet50", "resnet5", "stride_px"]
    known += ["abcdefgi", "abcdefxx", "mpp"]
    assert did_you_mean(word, known) == told


def test_words_are_joined() -> None:
    assert [join_or(list(words)) for words in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a or b",
        "a, b or c",
    ]
