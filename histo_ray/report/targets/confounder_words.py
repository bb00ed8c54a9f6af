"""Sites that are left out, harmonised features and covariates, in words. Pure."""

from collections.abc import Callable, Iterator

from histo_ray.evaluate.caveats import Caveat, CaveatCode
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.tasks.label import KIND_TASKS
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.text import count_of, name_first


def describe_folds(record: PatientRecord) -> str:
    """Name the cross-validation of a run."""
    folds = record.folds
    if record.leave_out == "site":
        return f"one of {count_of(folds.n_folds, 'site')} left out after another"
    return f"{folds.repeats} x {folds.n_folds}-fold cross-validation"


def write_confounders(record: PatientRecord) -> list[str]:
    """Write what a run says of sites and covariates, a line each."""
    return [*write_added_value(record), *_write_left_out_sites(record)]


def write_added_value(record: PatientRecord) -> Iterator[str]:
    """Write what the images of each encoder add to covariates, a sentence an encoder."""
    if record.covariates is None:
        return
    names = ", ".join(record.covariates.names)
    words = TASKS[record.task].words
    kinds = {METRICS[kind].name: task.words.score for kind, task in KIND_TASKS.items()}
    for one in record.added_value:
        scores, score = "", kinds.get(one.metric, words.score)
        if one.covariates is not None and one.both is not None and one.difference is not None:
            scores = (
                f"; mean {score} {one.covariates:.3f} by {names} alone, {one.both:.3f} with "
                f"images ({one.difference:+.3f})"
            )
        if not one.tested:
            yield (
                f"Whether images of {one.encoder} add to {names} could not be tested, as "
                f"independent patients or sites are too few{scores}."
            )
            continue
        partial = "" if one.partial is None else f", mean partial correlation {one.partial:.3f}"
        yield (
            f"Images of {one.encoder} add to {names} for {len(one.significant):,} of "
            f"{count_of(one.tested, words.target_in_sentence)} (corrected resampled t-test of the "
            f"partial correlation, q < 0.05{partial}){scores}."
        )


def _write_left_out_sites(record: PatientRecord) -> Iterator[str]:
    sites = record.left_out_sites
    if not sites:
        return
    scored = [site for site in sites if site.scored]
    unscored = len(sites) - len(scored)
    for encoder in dict.fromkeys(name for site in scored for name in site.mean_scores):
        means = sorted(
            (mean, site.site) for site in scored if (mean := site.mean_scores[encoder]) is not None
        )
        if means:
            (worst, low), (best, high) = means[0], means[-1]
            yield (
                f"Sites that were left out, {encoder}: from {worst:.3f} ({low}) to {best:.3f} "
                f"({high})."
            )
    if unscored:
        yield (
            f"{count_of(unscored, 'site')} of {len(sites)} without a score: one class, or too few "
            "patients (left_out_sites.parquet lists all)."
        )


def _write_harmonised(one: Caveat) -> str:
    unseen = (
        "a site that is held out is measured by its own tested patients, without labels, so a "
        "prediction there takes several patients of the site at once"
        if one.values["unseen"]
        else "sites are in training and test parts alike"
    )
    return (
        f"features are harmonised by site ({one.values['method']}) inside training parts; what "
        "truly differs between the patients of sites is taken away with what scanners and stains "
        f"do, and what is left of a site can still be learnt; {unseen}"
    )


def _write_small_sites(one: Caveat) -> str:
    small, sites = one.number("small"), one.number("sites")
    return (
        f"{small} of {sites} sites that are left out have fewer than {one.number('fewest')} "
        "patients: their own scores are noise, and the mean weighs every site alike; "
        "--keep-together site joins sites to folds of more patients"
    )


CONFOUNDER_WRITERS: dict[CaveatCode, Callable[[Caveat], str]] = {
    CaveatCode.HARMONISED: _write_harmonised,
    CaveatCode.SITES_LEFT_OUT: _write_small_sites,
    CaveatCode.SITE_TOLD: lambda one: (
        f"embeddings tell the site of a patient ({name_first(one.names('encoders'))}): scores may "
        "ride on the site; keep sites together with --keep-together site, and see the section Site"
    ),
    CaveatCode.SITES_UNKNOWN: lambda one: (
        "no site of any patient is known, so what scores owe to sites cannot be told"
    ),
    CaveatCode.ONE_SITE: lambda one: (
        "all patients whose site is known are of one, so what scores owe to it cannot be "
        "told, and --keep-together site is impossible: only patients of other sites can tell"
    ),
}
"""Writers of caveats about sites and covariates."""
