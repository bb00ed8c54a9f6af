"""An evaluation of expression or mutation in words: sentences and tables for a person. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from histo_ray.labels.target_exclusions import TargetExclusion
from histo_ray.report.format_numbers import format_maybe_p
from histo_ray.text import count_of

SHOWN = 12
"""Targets listed on a terminal; all are in the tables."""
NAMED = 5
"""Genes named of those that are left out."""
FAR_OFF = -1.0
"""R2 below which predictions are worse than a constant by as much as the labels vary."""
Q = 0.05


def summarise_encoder(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `run.json` says of one encoder, from its rows of `outcome_targets`."""
    scores = sorted(row["score"] for row in rows if row["score"] == row["score"])
    return {
        "targets": len(rows),
        "mean_score": sum(scores) / len(scores) if scores else None,
        "median_score": scores[len(scores) // 2] if scores else None,
        "n_untested": sum(_is_untested(row["score"], row["q_chance"]) for row in rows),
        "n_better_than_chance": sum(row["q_chance"] < Q for row in rows),
        "n_paper": sum(row["p_paper"] < Q for row in rows),
    }


def summarise_pair(
    rows: Sequence[Mapping[str, Any]], paper_counted: int, paper_b_higher: int
) -> dict[str, Any]:
    """What `run.json` says of one pair of encoders.

    Args:
        rows: Its rows of `outcome_comparisons`.
        paper_counted: Targets that a publication would count, P < 0.05 with either encoder.
        paper_b_higher: Of those, the ones with the higher score of b.
    """
    known = [row["difference"] for row in rows if row["difference"] == row["difference"]]
    return {
        "encoder_a": rows[0]["encoder_a"],
        "encoder_b": rows[0]["encoder_b"],
        "metric": rows[0]["metric"],
        "targets": len(rows),
        "untested": sum(_is_untested(row["difference"], row["q_corrected"]) for row in rows),
        "b_higher": sum(row["difference"] > 0 for row in rows),
        "b_better": [r["target"] for r in rows if r["q_corrected"] < Q and r["difference"] > 0],
        "a_better": [r["target"] for r in rows if r["q_corrected"] < Q and r["difference"] < 0],
        "mean_difference": sum(known) / len(known) if known else 0.0,
        "paper_counted": paper_counted,
        "paper_b_higher": paper_b_higher,
    }


def list_best(
    targets: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]], most: int
) -> list[dict[str, Any]]:
    """The targets that the last encoder predicts best, encoders side by side.

    Args:
        targets: Rows of `outcome_targets`.
        comparisons: Rows of `outcome_comparisons`.
        most: How many.
    """
    by_target: dict[str, dict[str, Any]] = {}
    for row in targets:
        found = {key: _or_none(row[key]) for key in ("score", "low", "high", "q_chance")}
        entry = by_target.setdefault(
            row["target"],
            {"target": row["target"], "metric": row["metric"], "by_encoder": {}, "q_corrected": []},
        )
        entry["by_encoder"][row["encoder"]] = found
    for row in comparisons:
        by_target[row["target"]]["q_corrected"].append(_or_none(row["q_corrected"]))

    def score(entry: Mapping[str, Any]) -> float:
        last = list(entry["by_encoder"].values())[-1]["score"]
        return float("-inf") if last is None else float(last)

    return sorted(by_target.values(), key=score, reverse=True)[:most]


def _is_untested(score: float, q: float) -> bool:
    """Whether there is a score but no test of it, as where independent units are too few."""
    return score == score and q != q


def _or_none(value: float) -> float | None:
    return None if value != value else value


def write_sentences(note: Mapping[str, Any]) -> list[str]:
    """The sentences that a paper would print: one an encoder's chance, one a pair."""
    word = "gene" if note["task"] == "expression" else "mutated gene"
    score = "correlation" if note["task"] == "expression" else "AUROC"
    sentences = []
    for name, found in note["summary"].items():
        mean = found["mean_score"]
        told = "" if mean is None else f"; mean {score} {mean:.3f}"
        untested = found.get("n_untested", 0)  # 0: a run from before it was recorded
        if untested == found["targets"]:
            sentences.append(
                f"With {name}, no {word} could be tested against chance, as independent patients "
                f"or sites are too few{told}."
            )
            continue
        if untested:
            told += f"; {untested:,} could not be tested"
        sentences.append(
            f"With {name}, {found['n_better_than_chance']:,} of "
            f"{count_of(found['targets'], word)} {'was' if found['targets'] == 1 else 'were'} "
            f"predicted better than chance ({note['chance_test']}, q < {Q:g}){told}."
        )
    return sentences + [_write_pair(pair, word, score) for pair in note["pairs"]]


def _write_pair(pair: Mapping[str, Any], word: str, score: str) -> str:
    better, worse = len(pair["b_better"]), len(pair["a_better"])
    text = (
        f"{score[0].upper()}{score[1:]} was higher with {pair['encoder_b']} than with "
        f"{pair['encoder_a']} for {pair['b_higher']:,} of {count_of(pair['targets'], word)} (mean "
        f"difference {pair['mean_difference']:+.3f})"
    )
    untested = pair.get("untested", 0)
    if untested < pair["targets"]:
        left = pair["targets"] - untested
        of = f" of {left:,} that could be tested" if untested else ""
        text += (
            f", significantly so for {better} and significantly lower for {worse}{of} "
            f"(corrected resampled t-test, q < {Q:g})"
        )
    else:
        text += "; no difference could be tested, as independent patients or sites are too few"
    if not pair["paper_counted"]:
        return f"{text}."
    share = pair["paper_b_higher"] / pair["paper_counted"]
    counted = count_of(pair["paper_counted"], word)
    return (
        f"{text}; counted as publications do, among the {counted} with plain P < {Q:g} for "
        f"either, {pair['encoder_b']} was higher for {pair['paper_b_higher']} "
        f"({share:.0%}), which corrects for nothing."
    )


def tell_far_off(encoder: str, r2: Sequence[float]) -> str:
    """What is to be said where predictions explode; empty if they do not. Pure.

    Args:
        encoder: Its name.
        r2: Of its targets; nan does not count.
    """
    known = sorted(value for value in r2 if value == value)
    if not known or known[len(known) // 2] >= FAR_OFF:
        return ""
    far = sum(value < FAR_OFF for value in known)
    return (
        f"predictions of {count_of(far, 'gene')} lie far outside the labels' range with {encoder} "
        f"(R2 below {FAR_OFF:g}, median {known[len(known) // 2]:.3g}): a correlation does not see "
        "that; another --head or fewer dimensions may help"
    )


def describe_outcome(note: Mapping[str, Any]) -> list[str]:
    """What `run.json` says, as lines for a person."""
    flow, folds = note["cohort"], note["folds"]
    lines = [f"{note['remark']}"] if note["remark"] else []
    lines += [
        f"{note['task']}: {count_of(flow['patients_used'], 'patient')} "
        f"({flow['features_only']} with slides but no label, {flow['labels_only']} with a label "
        f"but no slides), {count_of(note['labels']['targets'], 'gene')}, "
        f"{folds['repeats']} x {folds['n_folds']}-fold cross-validation, "
        f"{folds['kept_together']}s kept together",
    ]
    lines += [*_tell_slides(flow), *tell_dropped(note["labels"]["dropped"]), ""]
    lines += _tabulate(note)
    lines += ["", *note["sentences"], ""]
    return lines + [f"Beware: {warning}." for warning in note["warnings"]]


def _tell_slides(flow: Mapping[str, Any]) -> list[str]:
    """Slides that were lost before anything was predicted, if any were."""
    failed, empty = flow.get("slides_failed"), flow.get("slides_without_tiles", 0)
    if failed is None or not failed + empty:  # None: a run of before they were counted
        return []
    told = f"slides: {flow['slides'] + failed} in, {failed} failed in extraction, {empty} "
    gone = flow.get("patients_lost", 0)
    with_them = f", and with them {count_of(gone, 'patient')}" if gone else ""
    return [f"{told}without tiles{with_them} (cohort.parquet and the report say which)"]


def tell_dropped(dropped: Sequence[Mapping[str, str]]) -> list[str]:
    """Genes that are not evaluated, and why; those that the label table lacks apart. Pure.

    Args:
        dropped: target and reason of each, as in `run.json`.
    """
    absent = [drop["target"] for drop in dropped if drop["reason"] == TargetExclusion.ABSENT]
    others = [
        f"{d['target']} ({d['reason']})" for d in dropped if d["reason"] != TargetExclusion.ABSENT
    ]
    lines = []
    if others:
        lines.append(f"{count_of(len(others), 'gene')} left out: {_name_few(others, '; ')}")
    if absent:
        told = f"{count_of(len(absent), 'gene')} of --genes not in the label table"
        lines.append(f"{told}: {_name_few(absent, ', ')}")
    return lines


def _name_few(names: Sequence[str], between: str) -> str:
    more = len(names) - NAMED
    rest = f"{between}and {more:,} more, all in run.json" if more > 0 else ""
    return f"{between.join(names[:NAMED])}{rest}"


def _tabulate(note: Mapping[str, Any]) -> list[str]:
    """Scores of the best targets, encoders side by side, and what the columns mean."""
    shown = note["shown"][:SHOWN]
    if not shown:
        return []
    names = list(note["summary"])
    columns = [("gene", [row["target"] for row in shown])]
    for name in names:
        found = [row["by_encoder"][name] for row in shown]
        columns += [
            (name, [_score_cell(one) for one in found]),
            ("q chance", [format_maybe_p(one["q_chance"]) for one in found]),
        ]
    pairs = note["pairs"]
    for at, pair in enumerate(pairs):
        versus = "" if len(pairs) == 1 else f" {pair['encoder_b']} - {pair['encoder_a']}"
        cells = [row["q_corrected"][at : at + 1] or [None] for row in shown]
        columns.append((f"q difference{versus}", [format_maybe_p(q) for (q,) in cells]))
    lines = _lay_out(columns)
    left = note["labels"]["targets"] - len(shown)
    lines += [f"... and {left:,} more in targets.parquet"] if left > 0 else []
    metric = {"pearson": "Pearson's r", "auroc": "AUROC"}[shown[0]["metric"]]
    lines += [
        f"{metric}: mean of the folds, with 95 % interval; q: after Benjamini-Hochberg over genes",
        f"q chance: better than chance ({note['chance_test']})",
    ]
    return lines + (["q difference: corrected resampled t-test over folds"] if pairs else [])


def _score_cell(found: Mapping[str, Any]) -> str:
    if found["score"] is None:
        return "none"
    low, high = ("-" if found[end] is None else f"{found[end]:.2f}" for end in ("low", "high"))
    return f"{found['score']:.3f} [{low}, {high}]"


def _lay_out(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Columns under their heads, the first set to the left."""
    wide = [max(len(head), *map(len, cells)) for head, cells in columns]
    table = [[head for head, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
    return [
        "  ".join(
            [row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))]
        )
        for row in table
    ]
