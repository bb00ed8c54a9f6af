import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import look_of, shorten_name
from histo_ray.report.charts.charts import Pair, Whisker, draw_scatter, draw_whiskers
from histo_ray.report.charts.confusion import draw_confusion, format_share, row_shares
from histo_ray.report.charts.svg import draw_svg, printable

LOOKS = look_of(["a", "b", "c"])
GENES = ["G<1>", "G$2$", "G3", "G4"]
PAIR = Pair(
    GENES,
    np.array([0.1, 0.3, np.nan, 0.2]),
    np.array([0.4, 0.1, 0.2, 0.2]),
    np.array([True, True, True, False]),
)


def draw(name: str = "c1") -> str:
    return str(draw_scatter(PAIR, ("a", "b"), "Pearson's r", LOOKS, name))


def test_the_same_numbers_give_the_same_chart_and_another_name_other_ids() -> None:
    assert draw() == draw()
    ids = set(re.findall(r' id="([^"]+)"', draw())), set(re.findall(r' id="([^"]+)"', draw("c2")))
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_chart_is_an_image_with_title_and_description_and_refers_to_nothing_outside() -> None:
    text = draw()
    root = ElementTree.fromstring(text)
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert root.attrib["aria-labelledby"].split() == [child.get("id") for child in root][:2]
    assert "1 lie above the line" in str(root[1].text)
    assert "http" not in text
    assert "<style" not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) <= {
        pair for name in ids for pair in ((name, ""), ("", name))
    }


def test_points_carry_their_names_and_those_without_a_score_are_left_out() -> None:
    root = ElementTree.fromstring(draw())
    named = {
        use.findtext("title"): use for use in root.iter("use") if use.find("title") is not None
    }
    assert set(named) == {"G<1>: 0.100 and 0.400", "G$2$: 0.300 and 0.100", "G4: 0.200 and 0.200"}
    x, y = (
        {name[:2]: float(str(use.get(axis))) for name, use in named.items() if name}
        for axis in ("x", "y")
    )
    assert x["G<"] < x["G4"] < x["G$"]  # a is x, to the right
    assert y["G<"] < y["G4"] < y["G$"]  # b is y, upwards


@pytest.mark.parametrize("text", ["$x_1$ & <b>", "日本", "a\x00b\x1b\n", "\ud800\uffff", ""])
def test_any_text_can_be_written(text: str) -> None:
    whisker = [Whisker(0.5, 0.4, 0.6)]
    chart = str(draw_whiskers([text], {"a": whisker}, "AUROC", LOOKS, "c", 0.5))
    ElementTree.fromstring(chart)
    chart.encode()


@given(text=st.text(max_size=60))
@hypothesis_settings(max_examples=30)
def test_printable_text_is_one_line_that_xml_can_hold(text: str) -> None:
    kept = printable(text)
    assert "\n" not in kept
    kept.encode()
    ElementTree.fromstring(f"<a>{kept.replace('&', '').replace('<', '')}</a>")


def test_whiskers_without_interval_or_score_are_left_out() -> None:
    nan = float("nan")
    series = {
        "a": [Whisker(0.5, nan, nan), Whisker(nan, nan, nan)],
        "b": [Whisker(0.6, 0.5, 0.7)] * 2,
    }
    text = str(draw_whiskers(["G1", "G2"], series, "AUROC", LOOKS, "c", 0.5))
    assert "a is highest for G1" in text
    assert "nan" not in text.lower()


def test_the_user_s_own_style_does_not_bear_on_a_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    plain = draw()
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "yellow")
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "path")
    assert draw() == plain


def test_points_must_fit_their_names() -> None:
    def scatter(figure: Figure) -> None:
        figure.add_subplot().scatter([1, 2], [3, 4], gid="some")

    with pytest.raises(ValueError, match="shorter"):
        draw_svg(scatter, (100, 90), "c", "t", "d", {"some": ["only one"]})


def test_rows_of_a_confusion_matrix_are_shares_of_the_true_class() -> None:
    shares = row_shares([[6, 2, 0], [0, 0, 0], [1, 1, 2]])
    np.testing.assert_allclose(shares[0], [0.75, 0.25, 0])
    assert np.isnan(shares[1]).all()
    np.testing.assert_allclose(shares[2], [0.25, 0.25, 0.5])
    text = str(draw_confusion([[6, 2, 0], [0, 0, 0], [1, 1, 2]], ["x", "y", "<z>"], "a", "c"))
    root = ElementTree.fromstring(text)
    cells = [str(node.text) for node in root.iter("text")]
    assert cells.count("25") == 3
    assert {"75", "50"} <= set(cells)
    assert "x is taken for y: 25.0 % of it" in str(root.findtext("desc"))


def test_many_classes_are_drawn_without_numbers() -> None:
    names = [f"class {k}" for k in range(14)]
    text = str(draw_confusion(np.eye(14, dtype=int) * 7, names, "a", "c"))
    assert ">100<" not in text
    assert "class 13 100.0 %" in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0001, "<0.1"), (0.012, "1.2"), (0.0994, "9.9"), (0.0999, "10"), (0.996, "99.6"),
     (0.99999, "100"), (1.0, "100"), (0.84, "84")],
)  # fmt: skip
def test_a_share_fits_its_cell_and_never_says_all_for_less_than_it_rounds_to(
    share: float, text: str
) -> None:
    assert format_share(share) == text


def test_looks_differ_by_more_than_colour_and_names_are_cut_in_the_middle() -> None:
    looks = list(look_of([f"e{k}" for k in range(7)]).values())
    assert len({look.colour for look in looks}) == 7
    assert all(a.marker != b.marker for a, b in itertools.pairwise(looks))
    assert shorten_name("ENSG00000186092.7|OR4F5", 18) == "ENSG00000186…OR4F5"
    assert shorten_name("TP53", 18) == "TP53"
