from typing import Any

from histo_ray.report.outcome_words import (
    describe_outcome,
    list_best,
    summarise_encoder,
    summarise_pair,
    write_sentences,
)

NAN = float("nan")


def target(name: str, encoder: str, score: float, q: float, paper: float) -> dict[str, Any]:
    return {
        "target": name, "encoder": encoder, "metric": "auroc", "score": score,
        "low": score - 0.1, "high": score + 0.1, "q_chance": q, "p_paper": paper,
    }  # fmt: skip


def pair(name: str, difference: float, q: float) -> dict[str, Any]:
    return {
        "target": name, "encoder_a": "a", "encoder_b": "b", "metric": "auroc",
        "difference": difference, "q_corrected": q,
    }  # fmt: skip


TARGETS = [
    target("TP53", "a", 0.6, 0.2, 0.04),
    target("KRAS", "a", 0.5, 0.9, 0.5),
    target("EGFR", "a", NAN, NAN, NAN),
    target("TP53", "b", 0.7, 0.01, 0.001),
    target("KRAS", "b", 0.45, 0.9, 0.8),
    target("EGFR", "b", NAN, NAN, NAN),
]
PAIRS = [pair("TP53", 0.1, 0.03), pair("KRAS", -0.05, 0.4), pair("EGFR", NAN, NAN)]


def note() -> dict[str, Any]:
    by_encoder = {name: [t for t in TARGETS if t["encoder"] == name] for name in "ab"}
    made: dict[str, Any] = {
        "task": "mutation",
        "remark": "SYNTHETIC",
        "chance_test": "corrected resampled t-test",
        "cohort": {"patients_used": 60, "features_only": 3, "labels_only": 2},
        "labels": {"targets": 3, "dropped": [{"target": "NONE", "reason": "0 positives"}]},
        "folds": {"n_folds": 5, "repeats": 50, "kept_together": "patient"},
        "warnings": ["few positives"],
        "summary": {name: summarise_encoder(rows) for name, rows in by_encoder.items()},
        "pairs": [summarise_pair(PAIRS, paper_counted=1, paper_b_higher=1)],
        "shown": list_best(TARGETS, PAIRS, 20),
    }
    made["sentences"] = write_sentences(made)
    return made


def test_targets_without_a_score_count_but_do_not_weigh() -> None:
    found = note()["summary"]["a"]
    assert found["targets"] == 3
    assert found["mean_score"] == 0.55
    assert found["n_better_than_chance"] == 0
    assert found["n_paper"] == 1


def test_a_pair_is_counted_by_corrected_p_and_undefined_genes_do_not_weigh() -> None:
    (found,) = note()["pairs"]
    assert found["b_better"] == ["TP53"]
    assert found["a_better"] == []
    assert found["b_higher"] == 1
    assert abs(found["mean_difference"] - 0.025) < 1e-9


def test_the_best_targets_of_the_last_encoder_come_first_and_undefined_ones_last() -> None:
    assert [row["target"] for row in note()["shown"]] == ["TP53", "KRAS", "EGFR"]
    assert note()["shown"][2]["by_encoder"]["a"]["score"] is None


def test_a_terminal_shows_who_is_judged_scores_sentences_and_doubts() -> None:
    lines = describe_outcome(note())
    assert lines[0] == "SYNTHETIC"
    assert "60 patients (3 with slides but no label, 2 with a label but no slides)" in lines[1]
    assert any(line.startswith("TP53") and "0.700 [0.60, 0.80]" in line for line in lines)
    assert any("1 of 3 mutated genes were predicted better than chance" in line for line in lines)
    assert lines[-1] == "Beware: few positives."
