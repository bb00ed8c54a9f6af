"""Every caveat has a sentence, and older runs get those that their tables give reason for."""

import pandas as pd
import pytest

from histo_ray.evaluate.caveats import Caveat, CaveatCode, SiteRemedy, caveat, far_off_caveat
from histo_ray.evaluate.evaluation_record import RECORD_VERSION, PatientRecord, TissueRecord
from histo_ray.report.caveat_words import is_synthetic, list_caveats, write_caveat

C = CaveatCode
CASES = [
    (caveat(C.TEXT, text="as it was"), "as it was"),
    (caveat(C.SYNTHETIC, marked=3, total=3), "SYNTHETIC data: all 3 slides marked so in the"),
    (caveat(C.SYNTHETIC, marked=1, total=64), "1 of 64 slides marked so"),
    (caveat(C.SYNTHETIC_TILES, tiles="nct"), "SYNTHETIC data: the table of nct marks its tiles"),
    (caveat(C.TRAINED_ON_TILES, encoder="e", tiles="nct"), "e was fine-tuned on the tiles of nct"),
    (caveat(C.NO_GROUPS), "leakage cannot be excluded"),
    (
        caveat(C.GROUPS_INFERRED, groups=28, near_duplicates=463, encoder="e", random=0.9,
               grouped=0.784),
        "no patients were given; 28 groups were inferred from colour and 463 pairs of "
        "near-duplicates: random folds promise .90 where grouped give .78 (e)",
    ),
    (caveat(C.INFERRED_TOO_FEW, groups=3, folds=5), "3 groups of some class inferred from colour"),
    (
        caveat(C.COLOUR_TELLS_TEST, low=0.91, high=0.996, folds=0.5),
        "at AUROC .91 to 1.00, of random folds at .50: they are of other slides",
    ),
    (
        caveat(C.COLOUR_ALONE, colour=0.61, encoder="e", score=0.62),
        "colour alone gives .61, where the best encoder (e) gives .62",
    ),
    (
        caveat(C.LEAKED_TILES, encoder="e", tiles="nct", total=40, trained=3, held_out=0, near=2,
               names=("a.png", "b.png")),
        "e: of 40 tiles of nct there are 3 that it was fine-tuned on, 2 that nearly duplicate "
        "those (a.png, b.png)",
    ),
    (
        caveat(C.LEAKED_PATIENTS, encoder="e", patients=2, total=60, names=("P1", "P2")),
        "e was fine-tuned on tiles of 2 of 60 patients that are evaluated (P1, P2)",
    ),
    (
        caveat(C.TRAINED_ON_UNKNOWN, encoder="e", tiles="nct", what="patients", listed=True),
        "the tiles of nct, whose patients nobody gave: whether patients of it are evaluated here",
    ),
    (
        caveat(C.TRAINED_ON_UNKNOWN, encoder="e", tiles="nct", what="tiles", listed=False),
        "by a version that kept no list of them",
    ),
    (caveat(C.TOO_FEW_GROUPS, groups=3, needed=5), "too few groups (patients): 3, for a test"),
    (caveat(C.CLASS_TOO_FEW_GROUPS, groups=2, needed=5), "tiles of only 2 groups (patients)"),
    (caveat(C.FEW_GROUPS, groups=12, enough=20), "12 groups (patients) only"),
    (caveat(C.FEW_GROUPS, groups=12, enough=20, inferred=True), "12 inferred groups only"),
    (
        caveat(C.SLIDES_DIFFER, encoder="dull", slides=2, names=("S1", "S2"), common=64),
        "dull lacks 2 slides that another encoder has (S1, S2): encoders are compared on the 64",
    ),
    (caveat(C.PATIENTS_DIFFER, encoders=("e lacks 1 patient",)), "(e lacks 1 patient): compared"),
    (
        caveat(C.SAME_WEIGHTS, encoders=("a", "b", "c"), same_vectors=True),
        "a, b and c have the same weights and the same embeddings: they are one encoder, so there "
        "is no difference",
    ),
    (
        caveat(C.SAME_WEIGHTS, encoders=("a", "b"), same_vectors=False),
        "a and b have the same weights: a difference between them comes from how tiles are",
    ),
    (caveat(C.SITES_UNKNOWN), "no site of any patient is known"),
    (caveat(C.ONE_SITE), "--keep-together site is impossible"),
    (
        caveat(C.SITES_SPLIT, sites=4, remedy=SiteRemedy.POSSIBLE.value, folds=3, apart=4,
               needed=5, permuted=False),
        "(4 sites) are in several folds: embeddings know the site, so scores may rest on it; "
        "--keep-together site --folds 3 shows what is left without",
    ),
    (
        caveat(C.SITES_SPLIT, sites=4, remedy=SiteRemedy.UNTESTED.value, folds=None, apart=4,
               needed=5, permuted=True),
        "--keep-together site shows what is left without, as scores without P values of "
        "differences between encoders or intervals: 4 independent sites are too few for a test (5",
    ),
    (
        caveat(C.SITES_SPLIT, sites=2, remedy=SiteRemedy.SITES_TIED.value),
        "patients of several sites tie all together, so no fold can be without",
    ),
    (
        caveat(C.SITES_SPLIT, sites=2, remedy=SiteRemedy.TOO_FEW_SITES.value),
        "too few sites have both classes for folds without",
    ),
    (
        caveat(C.FEW_OF_A_CLASS, targets=("grade 4",)),
        "few patients of a class (grade 4): scores are uncertain there",
    ),
    (
        caveat(C.SITES_LEFT_OUT, sites=9, small=4, fewest=10),
        "4 of 9 sites that are left out have fewer than 10 patients",
    ),
    (
        caveat(C.HARMONISED, method="center", unseen=True),
        "a site that is held out is measured by its own tested patients",
    ),
    (
        caveat(C.HARMONISED, method="combat", unseen=False),
        "features are harmonised by site (combat) inside training parts",
    ),
    (caveat(C.SITES_SPLIT_UNSTATED, sites=4), "patients come from 4 sites"),
    (
        caveat(C.TOO_FEW_UNITS, unit="site", rarer=True, low=2, high=4, targets=("TP53",),
               permuted=True, needed=5),
        "too few independent sites with the rarer class (2 to 4) for a test over folds for TP53: "
        "no P value of a difference between encoders and no interval is given; 5 are needed",
    ),
    (
        caveat(C.FEW_SITES, unit="site", rarer=False, low=7, high=7, enough=20),
        "7 independent sites only: tests over folds have few degrees of freedom",
    ),
    (
        caveat(C.FEW_ORDERS, targets=2, fewest=1000, within_sites=True),
        "labels of 2 genes have fewer than 1,000 different orders within sites",
    ),
    (
        caveat(C.TOO_FEW_UNITS, unit="site", rarer=True, events=True, low=2, high=2, targets=None,
               permuted=False, needed=5),
        "too few independent sites with an event (2) for a test over folds: no P value",
    ),
    (caveat(C.FEW_EVENTS, endpoints=("OS 12",)), "few events (OS 12): C-indices and scores at"),
    (
        caveat(C.FOLLOW_UP, medians=("OS 34.2", "PFS 20"), beyond=("OS at 90",), unit="months"),
        "OS 34.2, PFS 20 months; scores at later times rest on fewer patients. Fewer than a "
        "tenth of the patients were followed to OS at 90 months",
    ),
    (caveat(C.FOLLOW_UP, medians=("OS 9",), beyond=(), unit=""), "OS 9 (no unit stated); scores"),
    (caveat(C.FEW_PATIENTS, patients=57), "57 patients only: intervals are wide"),
    (caveat(C.FEW_POSITIVES, targets=("TP53 4",)), "few positives (TP53 4): AUROC is uncertain"),
    (caveat(C.FEW_POSITIVES_UNSTATED, targets=("TP53 (4)",)), "few positives (fewer than 20)"),
    (caveat(C.CHANCE_BY_T_TEST), "by a corrected t-test, not by permuted labels"),
    (caveat(C.POOLED_NULL, transform="none"), "with --transform none it may not"),
    (
        caveat(C.FAR_OFF_PREDICTIONS, encoder="a", targets=3, median=-5.0),
        "predictions of 3 genes lie far outside the labels' range with a (R2 below -1, median -5)",
    ),
    (
        caveat(C.NO_BETTER_THAN_CHANCE, targets=("A", "B"), calls=True),
        "A, B: not better than chance; their calls mean nothing",
    ),
    (
        caveat(C.SITE_TOLD, encoders=("sharp at AUROC 0.97",)),
        "embeddings tell the site of a patient (sharp at AUROC 0.97): scores may ride on the site; "
        "keep sites together with --keep-together site",
    ),
    (
        caveat(C.TILES_DROPPED, encoder="e", where="focus > 20", dropped=30, tiles=1200, slides=9,
               median=0.02, most=1.0, emptied=1, names=("S1",)),
        "only tiles with focus > 20 are used: 30 of 1,200 tiles of e are dropped (2.5%), of a "
        "slide 2.0% in the median and 100.0% at most; no tile is left of 1 slide (S1)",
    ),
    (caveat(C.OLD_TESTS, whole="sites"), "though few sites can be put into folds in few ways"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "told"), CASES, ids=lambda case: str(getattr(case, "code", "")))
def test_a_caveat_has_its_sentence_also_after_it_was_stored(one: Caveat, told: str) -> None:
    assert told in write_caveat(one)
    stored = Caveat.model_validate_json(one.model_dump_json())
    assert stored == one
    assert write_caveat(stored) == write_caveat(one)


def test_no_code_is_without_a_sentence() -> None:
    assert {one.code for one, _ in CASES} == set(CaveatCode)


def test_predictions_far_off_are_a_caveat_only_where_half_of_the_targets_are() -> None:
    found = far_off_caveat("a", [-30.0, -2.0, 0.1, float("nan"), -5.0])
    assert found is not None
    assert found.number("targets") == 3
    assert far_off_caveat("a", [-30.0, 0.1, 0.2]) is None
    assert far_off_caveat("a", [float("nan")]) is None


def make_record(**changes: object) -> PatientRecord:
    content = {"task": "mutation", "folds": {"n_folds": 5, "repeats": 1}, "encoders": {}}
    return PatientRecord.model_validate(content | changes)


TARGETS = pd.DataFrame(
    {"target": ["G"], "encoder": ["e"], "n_patients": [60], "positives": [4], "r2": [float("nan")]}
)
COHORT = pd.DataFrame(
    {"patient_id": ["P1", "P2", "P3"], "used": [True, True, False], "site": ["A", "B", "C"]}
)


def test_a_run_that_states_nothing_gets_the_caveats_that_its_tables_give_reason_for() -> None:
    told = "\n".join(list_caveats(make_record(cohort={"lost": {"e": 2}}), TARGETS, COHORT))
    for words in ("2 sites", "G (4)", "e lacks 2 patients", "too sure"):
        assert words in told


def test_a_run_of_today_states_its_own_and_no_other_is_added() -> None:
    own = caveat(C.FEW_PATIENTS, patients=57)
    record = make_record(record_version=RECORD_VERSION, tests={}, caveats=[own.model_dump()])
    assert list_caveats(record, TARGETS, COHORT) == [write_caveat(own)]


def test_tests_over_tiles_of_groups_that_knew_nothing_of_them_are_doubtful() -> None:
    record = TissueRecord.model_validate({
        "task": "tissue", "folds": {"n_folds": 5, "repeats": 1}, "encoders": {}, "sets": {},
        "classes": [], "summary": {},
    })  # fmt: skip
    assert list_caveats(record) == []
    (told,) = list_caveats(record, grouped=True)
    assert "too sure" in told


def test_synthetic_is_what_the_record_says_or_a_manifest_marks() -> None:
    assert not is_synthetic(make_record(), ["P3"], COHORT)  # P3 was not evaluated
    assert is_synthetic(make_record(), ["P2"], COHORT)
    assert is_synthetic(make_record(synthetic=True))
