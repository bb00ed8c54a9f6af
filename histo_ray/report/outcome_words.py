"""An evaluation of expression or mutation in words: sentences and tables for a person. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from histo_ray.report.words import format_p

SHOWN = 12
"""Targets listed on a terminal; all are in the tables."""
Q = 0.05


def summarise_encoder(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `run.json` says of one encoder, from its rows of `outcome_targets`."""
    scores = sorted(row["score"] for row in rows if row["score"] == row["score"])
    return {
        "targets": len(rows),
        "mean_score": sum(scores) / len(scores) if scores else None,
        "median_score": scores[len(scores) // 2] if scores else None,
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


def _or_none(value: float) -> float | None:
    return None if value != value else value


def write_sentences(note: Mapping[str, Any]) -> list[str]:
    """The sentences that a paper would print: one an encoder's chance, one a pair."""
    word = "genes" if note["task"] == "expression" else "mutated genes"
    score = "correlation" if note["task"] == "expression" else "AUROC"
    sentences = []
    for name, found in note["summary"].items():
        mean = found["mean_score"]
        told = "" if mean is None else f"; mean {score} {mean:.3f}"
        sentences.append(
            f"With {name}, {found['n_better_than_chance']} of {found['targets']} {word} were "
            f"predicted better than chance ({note['chance_test']}, q < {Q:g}){told}."
        )
    return sentences + [_write_pair(pair, word, score) for pair in note["pairs"]]


def _write_pair(pair: Mapping[str, Any], word: str, score: str) -> str:
    better, worse = len(pair["b_better"]), len(pair["a_better"])
    text = (
        f"{score[0].upper()}{score[1:]} was higher with {pair['encoder_b']} than with "
        f"{pair['encoder_a']} for {pair['b_higher']} of {pair['targets']} {word} (mean "
        f"difference {pair['mean_difference']:+.3f}), significantly so for {better} and "
        f"significantly lower for {worse} (corrected resampled t-test, q < {Q:g})"
    )
    if not pair["paper_counted"]:
        return f"{text}."
    share = pair["paper_b_higher"] / pair["paper_counted"]
    return (
        f"{text}; counted as publications do, among the {pair['paper_counted']} {word} with plain "
        f"P < {Q:g} for either, {pair['encoder_b']} was higher for {pair['paper_b_higher']} "
        f"({share:.0%}), which corrects for nothing."
    )


def describe_outcome(note: Mapping[str, Any]) -> list[str]:
    """What `run.json` says, as lines for a person."""
    flow, folds = note["cohort"], note["folds"]
    lines = [f"{note['remark']}"] if note["remark"] else []
    lines += [
        f"{note['task']}: {flow['patients_used']} patients ({flow['features_only']} with slides "
        f"but no label, {flow['labels_only']} with a label but no slides), "
        f"{note['labels']['targets']} genes ({len(note['labels']['dropped'])} left out), "
        f"{folds['repeats']} x {folds['n_folds']}-fold cross-validation, "
        f"{folds['kept_together']}s kept together",
        "",
    ]
    lines += _tabulate(note)
    lines += ["", *note["sentences"], ""]
    return lines + [f"Beware: {warning}." for warning in note["warnings"]]


def _tabulate(note: Mapping[str, Any]) -> list[str]:
    """Scores of the best targets, encoders side by side."""
    shown = note["shown"][:SHOWN]
    if not shown:
        return []
    names = list(note["summary"])
    width = max(len("gene"), *(len(row["target"]) for row in shown))
    wide = [max(20, len(name)) for name in names]
    metric = shown[0]["metric"]
    head = "  ".join(f"{name:>{w}}" for name, w in zip(names, wide, strict=True))
    lines = [f"{'gene':<{width}}  {head}   {metric} [95 % interval]"]
    for row in shown:
        cells = []
        for name, w in zip(names, wide, strict=True):
            found = row["by_encoder"][name]
            text = "none"
            if found["score"] is not None:
                text = f"{found['score']:.3f} [{found['low']:.2f}, {found['high']:.2f}]"
            cells.append(f"{text:>{w}}")
        pairs = "".join(f"   q = {format_p(q)}" for q in row["q_corrected"] if q is not None)
        lines.append(f"{row['target']:<{width}}  {'  '.join(cells)}{pairs}")
    left = note["labels"]["targets"] - len(shown)
    return lines + ([f"... and {left} more in targets.parquet"] if left > 0 else [])
