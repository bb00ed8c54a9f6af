"""Progress: one bar on a terminal, plain lines in a log, nothing under --quiet."""

import io
import re
from collections.abc import Callable

import pytest

from histo_ray.cli import progress
from histo_ray.cli.evaluate import RepeatCounter
from histo_ray.cli.finetune import TrainingBar
from histo_ray.cli.progress import LineBar, ProgressBar, SlideProgress, keep_quiet, say
from histo_ray.extract.run_counts import Counts
from histo_ray.finetune.job import TrainingProgress

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NAN = float("nan")
OnTerminal = Callable[[Callable[[], None]], str]


class Terminal(io.StringIO):
    """What a terminal is sent."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> OnTerminal:
    """Does work with a terminal as stderr; gives what that was sent."""

    def do(work: Callable[[], None]) -> str:
        found = Terminal()
        monkeypatch.setattr("sys.stderr", found)
        work()
        return found.getvalue()

    return do


def show_slides(bar: SlideProgress) -> None:
    bar.report(Counts(slides=3, slides_done=1))
    bar.report(Counts(slides=3, slides_done=3))


def count_repeats() -> None:
    with RepeatCounter() as repeats:
        for done in (0, 1, 3, 3):
            repeats.report(done, 3)


def train() -> None:
    with TrainingBar() as training:
        for epoch in (1, 2):
            for batch in (1, 2, 3):
                figures = (0.5, 0.75, NAN, 9.0, 0.0)
                training.report(TrainingProgress("network", epoch, 2, batch, 3, *figures))


def slides() -> None:
    with SlideProgress("extract") as bar:
        show_slides(bar)


def measure() -> None:
    with LineBar("measure") as bar:
        bar.tell("starting")
        for done in (1, 2, 3):
            bar.tell(f"{done}/3 slides measured")


@pytest.mark.parametrize(
    ("verb", "work"),
    [
        ("extract", slides),
        ("evaluate", count_repeats),
        ("finetune", train),
        ("measure", measure),
    ],
)
def test_every_long_verb_has_the_same_bar_on_a_terminal(
    verb: str, work: Callable[[], None], on_terminal: OnTerminal
) -> None:
    shown = on_terminal(work)
    assert re.search(rf"\r{verb}:  33%\|.{{20}}\| \S", shown)
    assert not COLOUR.search(shown)  # so NO_COLOR has nothing to take away
    assert progress._Voice.bar is None
    assert shown.rpartition("\r")[2].strip() in ("", shown.splitlines()[-1])


def two_bars() -> None:
    with SlideProgress("extract") as first, ProgressBar("evaluate") as second:
        first.show(1, 4, "one of four")
        say("extract", "a line")
        first.show(2, 4, "two of four")
        second.show(1, 2, "one of two")
        assert progress._Voice.bar is second


def test_a_line_stands_above_the_bar_and_one_bar_gives_way_to_another(
    on_terminal: OnTerminal,
) -> None:
    shown = on_terminal(two_bars)
    assert re.search(r"one of four\r +\rextract: a line\n", shown)
    assert re.search(r"two of four\r +\r.*one of two\r +\r$", shown)


@pytest.mark.parametrize(
    ("work", "lines"),
    [
        (slides, ["extract: starting"]),
        (count_repeats, ["evaluate: 0/3 repeats evaluated", "evaluate: 3/3 repeats evaluated"]),
        (measure, [
            "measure: starting", "measure: 1/3 slides measured", "measure: 3/3 slides measured",
        ]),
        (train, [
            f"finetune: step 2, epoch {epoch}/2, batch {batch}/3, loss 0.500, accuracy 0.750, "
            "9.0 images/s" for epoch, batch in ((1, 1), (1, 3), (2, 3))
        ]),
    ],
)  # fmt: skip
def test_a_log_has_lines_and_no_bar(
    work: Callable[[], None], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    work()
    told = capsys.readouterr().err
    assert told.splitlines() == lines
    assert "\r" not in told
    assert "\x1b" not in told


@pytest.mark.parametrize("work", [slides, count_repeats, train, measure])
def test_quiet_has_neither_on_a_terminal(work: Callable[[], None], on_terminal: OnTerminal) -> None:
    with keep_quiet(True):
        assert on_terminal(work) == ""


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("histo_ray.cli.progress.time.monotonic", lambda: now)
    with SlideProgress("extract") as bar:
        for now in (101.0, 114.0, 116.0, 117.0, 140.0):
            bar.show(1, 9, f"at {now:g}")
    assert capsys.readouterr().err.splitlines() == [
        "extract: starting", "extract: at 116", "extract: at 140",
    ]  # fmt: skip
