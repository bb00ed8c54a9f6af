"""Sentences and terminal tables of an evaluation of patients."""

from typing import Any

from histo_ray.evaluate.caveats import far_off_caveat
from histo_ray.evaluate.evaluation_record import DroppedTarget, PatientRecord
from histo_ray.evaluate.patients.patient_summary import list_best, summarise_encoder, summarise_pair
from histo_ray.report.caveat_words import write_caveat
from histo_ray.report.targets.target_words import (
    describe_dropped,
    describe_patients,
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


def make_record(**changes: Any) -> PatientRecord:
    by_encoder = {name: [t for t in TARGETS if t["encoder"] == name] for name in "ab"}
    made: dict[str, Any] = {
        "task": "mutation",
        "remark": "SYNTHETIC",
        "chance_test": "corrected resampled t-test",
        "cohort": {
            "patients_used": 60,
            "features_only": 3,
            "labels_only": 2,
            "slides": 48,
            "slides_failed": 1,
            "slides_without_tiles": 1,
            "patients_lost": 1,
        },
        "encoders": {"a": {}, "b": {}},
        "labels": {"targets": 3, "dropped": [{"target": "NONE", "reason": "0 positives"}]},
        "folds": {"n_folds": 5, "repeats": 50, "kept_together": "patient"},
        "warnings": ["few positives"],
        "summary": {name: summarise_encoder(rows) for name, rows in by_encoder.items()},
        "pairs": [summarise_pair(PAIRS, paper_counted=1, paper_b_higher=1)],
        "shown": list_best(TARGETS, PAIRS, 20),
    }
    return PatientRecord.model_validate(made | changes)


def test_targets_without_a_score_count_but_do_not_weigh() -> None:
    found = make_record().summary["a"]
    assert found.targets == 3
    assert found.mean_score == 0.55
    assert found.n_better_than_chance == 0
    assert found.n_paper == 1


def test_what_could_not_be_tested_is_said_and_not_counted_as_no_better() -> None:
    rows = [target(name, "a", 0.6, NAN, 0.04) for name in ("TP53", "KRAS")]
    pairs = [pair(name, 0.1, NAN) for name in ("TP53", "KRAS")]
    record = make_record(
        summary={"a": summarise_encoder(rows), "b": summarise_encoder([*rows, TARGETS[3]])},
        pairs=[summarise_pair(pairs, 0, 0), summarise_pair([*pairs, PAIRS[0]], 0, 0)],
    )
    alone, some, no_pair, some_pair = write_sentences(record)
    assert alone.startswith("With a, no mutated gene could be tested against chance, as")
    assert "1 of 3 mutated genes were predicted better" in some
    assert some.endswith("; 2 could not be tested.")
    assert "significantly" not in no_pair
    assert "no difference could be tested" in no_pair
    assert "significantly so for 1 and significantly lower for 0 of 1 that could" in some_pair


def test_a_pair_is_counted_by_corrected_p_and_undefined_genes_do_not_weigh() -> None:
    (found,) = make_record().pairs
    assert found.b_better == ("TP53",)
    assert found.a_better == ()
    assert found.b_higher == 1
    assert abs(found.mean_difference - 0.025) < 1e-9


def endpoint(**changes: Any) -> dict[str, Any]:
    return {
        "targets": 2, "score_a": 0.55, "score_b": 0.575, "difference": 0.025, "low": 0.004,
        "high": 0.046, "p": 0.02, "p_holm": 0.04, "df": 14.0,
    } | changes  # fmt: skip


def found(name: str, difference: float, q_both: float, q_found: float) -> dict[str, Any]:
    return pair(name, difference, 0.9) | {"q_both": q_both, "q_found": q_found}


def test_the_mean_difference_stands_first_and_then_the_targets_that_both_predict() -> None:
    rows = [
        found("TP53", 0.1, 0.01, 0.03),
        found("KRAS", -0.05, 0.2, NAN),
        found("E", NAN, NAN, NAN),
    ]
    record = make_record(pairs=[summarise_pair(rows, 1, 1, endpoint())])
    mean, single, *chance = write_sentences(record)
    assert mean == (
        "Mean AUROC over 2 mutated genes was 0.575 with b and 0.550 with a: difference +0.025 "
        "(95 % interval +0.004 to +0.046; corrected resampled t-test, P = 0.02)."
    )
    assert single == (
        "Of 1 mutated gene that both together predict better than chance (q < 0.05), 1 (TP53) was "
        "better with b and none was with a (q < 0.05 among these)."
    )
    assert len(chance) == 2
    unsure = [rows[0] | {"q_found": 0.3}, *rows[1:]]
    alike = make_record(pairs=[summarise_pair(unsure, 1, 1, endpoint())])
    assert "(q < 0.05), none was better with b or with a (q <" in write_sentences(alike)[1]
    several = make_record(pairs=[summarise_pair(rows, 1, 1, endpoint(p=1e-20))] * 2)
    assert "P < 1e-15, 0.04 after Holm over all pairs)" in write_sentences(several)[0]


def test_a_mean_that_cannot_be_tested_and_targets_that_none_predicts_are_said() -> None:
    rows = [found("TP53", 0.1, 0.3, NAN), found("KRAS", 0.05, 0.2, NAN)]
    nothing = endpoint(targets=0, difference=NAN, p=NAN, p_holm=NAN, low=NAN, high=NAN)
    (first, *_) = write_sentences(make_record(pairs=[summarise_pair(rows, 0, 0, nothing)]))
    assert first == (
        "Mean AUROC over 2 mutated genes: b less a +0.075, which could not be tested, as "
        "independent patients or sites are too few."
    )
    second = write_sentences(make_record(pairs=[summarise_pair(rows, 0, 0, endpoint())]))[1]
    assert second.startswith("No mutated gene was predicted better than chance by a and b together")


def test_the_best_targets_of_the_last_encoder_come_first_and_undefined_ones_last() -> None:
    shown = make_record().shown
    assert [row.target for row in shown] == ["TP53", "KRAS", "EGFR"]
    assert shown[2].by_encoder["a"].score is None


def test_a_terminal_shows_patients_scores_sentences_and_caveats() -> None:
    lines = describe_patients(make_record())
    assert lines[0] == "SYNTHETIC"
    assert "60 patients (3 with slides but no label, 2 with a label but no slides)" in lines[1]
    assert any(line.startswith("TP53") and "0.700 [0.60, 0.80]" in line for line in lines)
    assert (
        "slides: 49 in, 1 failed in extraction, 1 without tiles, and with them 1 patient"
        in lines[2]
    )
    assert "1 gene left out: NONE (0 positives)" in lines
    assert any("1 of 3 mutated genes were predicted better than chance" in line for line in lines)
    assert lines[-1] == "Beware: few positives."


def test_every_q_of_the_terminal_stands_under_a_name() -> None:
    lines = describe_patients(make_record())
    at = next(at for at, line in enumerate(lines) if line.startswith("gene "))
    head, best = lines[at], lines[at + 1]
    assert head.split() == ["gene", "a", "q", "chance", "b", "q", "chance", "q", "difference"]
    assert best.split() == ["TP53", "0.600", "[0.50,", "0.70]", "0.2", "0.700", "[0.60,", "0.80]",
                            "0.01", "0.03"]  # fmt: skip
    assert len({len(line) for line in lines[at : at + 4]}) == 1
    assert "mean of the folds" in lines[at + 4]
    assert lines[at + 5].startswith(
        "q chance: better than chance (one-sided corrected resampled t-test); the interval is "
        "two-sided"
    )
    assert lines[at + 6] == "q difference: corrected resampled t-test over folds"


def test_one_encoder_has_q_against_chance_and_three_name_their_pairs() -> None:
    alone = make_record(pairs=[], summary={"a": make_record().summary["a"]})
    head = next(line for line in describe_patients(alone) if line.startswith("gene "))
    assert head.split() == ["gene", "a", "q", "chance"]
    (one,) = make_record().pairs
    shown = [
        row.model_copy(update={"q_corrected": (*row.q_corrected, 0.5)})
        for row in make_record().shown
    ]
    several = make_record(pairs=[one, one.model_copy(update={"encoder_b": "c"})], shown=shown)
    head = next(line for line in describe_patients(several) if line.startswith("gene "))
    assert "q difference b - a" in head
    assert "q difference c - a" in head


def test_excluded_genes_are_named_with_reasons_and_those_that_no_table_has_apart() -> None:
    dropped = [DroppedTarget(target=f"G{k}", reason="no variance") for k in range(7)]
    dropped += [DroppedTarget(target="TYPO1", reason="not in the table")]
    dropped += [
        DroppedTarget(target="N_unmapped", reason="a summary of reads"),
        DroppedTarget(target="SYNG01", reason="words, as in 'text'"),
    ]
    names, out, absent = describe_dropped(dropped)
    assert names == (
        "2 names that are no genes left out: N_unmapped (a summary of reads); SYNG01 (words, as in "
        "'text')"
    )
    assert out.startswith("7 genes left out: G0 (no variance); ")
    assert out.endswith("G4 (no variance); and 2 more, all in run.json")
    assert absent == "1 gene of --genes not in the label table: TYPO1"
    assert describe_dropped([]) == []


def test_predictions_far_off_are_a_caveat_only_where_half_of_the_genes_are() -> None:
    found = far_off_caveat("a", [-30.0, -2.0, 0.1, NAN, -5.0])
    assert found is not None
    assert write_caveat(found).startswith(
        "predictions of 3 genes lie far outside the labels' range with a"
    )
    assert far_off_caveat("a", [-30.0, 0.1, 0.2]) is None
    assert far_off_caveat("a", [NAN]) is None
