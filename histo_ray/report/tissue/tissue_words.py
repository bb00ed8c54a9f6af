"""An evaluation on labelled tiles in words: tables and sentences for a terminal or page. Pure."""

from histo_ray.evaluate.evaluation_record import TileComparisonRecord, TissueRecord
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.format_numbers import format_p

_NAN = float("nan")


def describe_tissue(record: TissueRecord) -> list[str]:
    """Describe an evaluation as lines of text: scores, comparisons and sentences. Pure."""
    classes = record.classes
    lines = [record.remark, ""] if record.remark else []
    for split, by_name in record.summary.items():
        tiles = record.sets["test_tiles" if split == "test" else "tiles"]
        how = name_split(split, record)
        lines += [f"{tiles.name}: {tiles.tiles} tiles, {how}, head {record.head}", ""]
        width = max(len("encoder"), *map(len, by_name))
        wide = [max(6, len(name)) for name in classes]
        names = "  ".join(f"{name:>{w}}" for name, w in zip(classes, wide, strict=True))
        lines.append(f"{'encoder':<{width}}  accuracy  balanced  recall: {names}")
        for name, found in by_name.items():  # the baseline is the last
            recalls = "  ".join(
                f"{'–' if recall is None else f'{recall:.3f}':>{w}}"
                for recall, w in zip(found.recalls, wide, strict=True)
            )
            lines.append(
                f"{name:<{width}}  {found.accuracy:>8.4f}  {found.balanced_accuracy:>8.4f}  "
                f"        {recalls}"
            )
        lines += [*describe_colour(split, record), ""]
        rows = [row for row in record.comparisons if row.split == split]
        lines += [
            describe_comparison(row)
            for row in rows
            if row.encoder_a != record.baseline or row.metric == "accuracy"
        ]
        sentences = [write_sentence(row, record) for row in rows if row.metric == "accuracy"]
        lines += ["", *sentences, ""] if sentences else []
    return lines + [f"Beware: {text}." for text in write_caveats(record)]


def name_split(split: str, record: TissueRecord) -> str:
    """Name how the tiles of a split were predicted. Pure."""
    if split == "test":
        return "external test set, heads trained on all tiles"
    folds = record.random_folds if split == "random" and record.random_folds else record.folds
    text = f"{folds.repeats} x {folds.n_folds}-fold cross-validation"
    if split == "random":
        return f"{text}, random folds that split inferred groups: for comparison only"
    kept = {
        "given": "groups (patients) kept together",
        "column": f"column {record.groups.column} kept together",
        "inferred": f"{record.groups.groups} inferred groups kept together",
    }
    if split == "cv" and record.groups.groups:
        return f"{text}, {kept.get(record.groups.source, 'groups kept together')}"
    return text


def describe_colour(split: str, record: TissueRecord) -> list[str]:
    """Describe how well colour tells the test part from the training part, in a line. Pure."""
    known = {
        name: value
        for name, value in record.colour_auroc.get(split, {}).items()
        if value is not None
    }
    if not known:
        return []
    what = "the external tiles from the training tiles" if split == "test" else "a fold from others"
    by_class = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    return [f"colour tells {what} within a class at AUROC: {by_class}"]


def describe_comparison(row: TileComparisonRecord) -> str:
    """Describe one comparison in one line. Pure."""
    what = f"{row.metric} {row.label}".strip()
    ends = row.interval
    interval = f"[{_signed(ends[0])}, {_signed(ends[1])}]" if ends else "no interval"
    text = f"{row.encoder_b} - {row.encoder_a}, {what}: {_signed(row.difference)} {interval}"
    if row.p_corrected is None:
        return f"{text}, no p: {_why_untested(row)}"
    q = f", q = {format_p(_number(row.q_corrected))}" if row.metric == "recall" else ""
    return f"{text}, p = {format_p(row.p_corrected)}{q}"


def write_sentence(row: TileComparisonRecord, record: TissueRecord) -> str:
    """Write the sentence that a paper would print of one comparison in accuracy. Pure."""
    scores = record.summary[row.split]
    a, b = (scores[name].accuracy for name in (row.encoder_a, row.encoder_b))
    interval = "no interval"
    if row.interval:
        low, high = row.interval
        how = f"bootstrap interval over {row.drawn}s" if row.split == "test" else "interval"
        interval = f"95 % {how} {100 * low:+.1f} to {100 * high:+.1f}"
    where = (
        "By random folds, for comparison only, accuracy" if row.split == "random" else "Accuracy"
    )
    text = (
        f"{where} was {100 * b:.1f} % with {row.encoder_b} and {100 * a:.1f} % with "
        f"{row.encoder_a} (difference {100 * _number(row.difference):+.1f} points, {interval}"
    )
    if row.p_corrected is None:
        return f"{text}; {_why_untested(row)})."
    return (
        f"{text}; corrected resampled t-test P = {format_p(row.p_corrected)}; a plain t-test, "
        f"which takes folds for independent, would say {format_p(_number(row.p_plain))})."
    )


def write_single_sentence(encoder: str, split: str, record: TissueRecord) -> str:
    """Write what can be said of an encoder that is compared with no other. Pure."""
    found = record.summary[split][encoder]
    how = name_split(split, record)
    interval = ""
    if found.accuracy_low is not None and found.accuracy_high is not None:
        interval = (
            f" (95 % interval {100 * found.accuracy_low:.1f} to {100 * found.accuracy_high:.1f})"
        )
    return (
        f"Accuracy was {100 * found.accuracy:.1f} %{interval} with {encoder}, balanced accuracy "
        f"{100 * found.balanced_accuracy:.1f} % "
        f"({'external test set' if split == 'test' else how})."
    )


def _why_untested(row: TileComparisonRecord) -> str:
    return "external test set" if row.split == "test" else "too few groups for a test"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def _number(value: float | None) -> float:
    return _NAN if value is None else value
