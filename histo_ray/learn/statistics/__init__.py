"""What may be said of scores and of the difference between two encoders. Pure: numpy in and out."""

from histo_ray.learn.statistics.area_interval import area_interval, precision_interval
from histo_ray.learn.statistics.bootstrap import Interval, bootstrap_difference, resample_rows
from histo_ray.learn.statistics.calibration_scores import (
    CurveBin,
    Recalibration,
    calibration_curve,
    recalibrate_linear,
    recalibrate_logistic,
    score_brier,
)
from histo_ray.learn.statistics.chance import chance_statistic, count_orders, permute_targets
from histo_ray.learn.statistics.concordance import (
    bootstrap_concordance,
    score_concordance,
    score_concordance_ipcw,
)
from histo_ray.learn.statistics.correlation import (
    correlate_within,
    score_pearson,
    score_r2,
    score_spearman,
)
from histo_ray.learn.statistics.correlation_bootstrap import (
    bootstrap_correlation,
    targets_at_once,
)
from histo_ray.learn.statistics.discovery import (
    PaperCount,
    adjust_holm,
    adjust_p,
    count_as_paper,
)
from histo_ray.learn.statistics.draws import Resampled, draw_weights
from histo_ray.learn.statistics.fixed_bootstrap import (
    percentile_interval,
    resample_mean,
    resample_pearson,
    resample_r2,
    resample_spearman,
)
from histo_ray.learn.statistics.fold_covariance import (
    DECIDED,
    MOST_FOLDS,
    count_covariance,
    flag_folds,
    label_covariance,
)
from histo_ray.learn.statistics.fold_tests import (
    FEWEST_UNITS,
    TTest,
    corrected_t_test,
    fold_t_test,
    plain_t_test,
)
from histo_ray.learn.statistics.kaplan_meier import (
    StepCurve,
    censoring_curve,
    kaplan_meier,
    log_rank,
)
from histo_ray.learn.statistics.permutation import permutation_p, smooth_permutation_p
from histo_ray.learn.statistics.proportions import wilson_interval
from histo_ray.learn.statistics.ranking import (
    AreaTest,
    Placements,
    delong_test,
    place_classes,
    score_auprc,
    score_auroc,
)
from histo_ray.learn.statistics.ranking_bootstrap import (
    bootstrap_auprc,
    bootstrap_auroc,
    draw_areas_together,
    weigh_precision,
)
from histo_ray.learn.statistics.score_interval import (
    IntervalEnds,
    ScoreError,
    estimate_error,
    fold_overlap,
    keep_to_test,
    prediction_noise,
    score_interval,
    variance_inflation,
)
from histo_ray.learn.statistics.score_scale import FISHER_Z, IDENTITY, SHARE, ScoreScale
from histo_ray.learn.statistics.survival_scores import (
    find_horizon,
    integrate_over,
    score_auc_at,
    score_brier_at,
)
from histo_ray.learn.statistics.threshold_scores import ThresholdScores, score_calls

__all__ = [
    "DECIDED",
    "FEWEST_UNITS",
    "FISHER_Z",
    "IDENTITY",
    "MOST_FOLDS",
    "SHARE",
    "AreaTest",
    "CurveBin",
    "Interval",
    "IntervalEnds",
    "PaperCount",
    "Placements",
    "Recalibration",
    "Resampled",
    "ScoreError",
    "ScoreScale",
    "StepCurve",
    "TTest",
    "ThresholdScores",
    "adjust_holm",
    "adjust_p",
    "area_interval",
    "bootstrap_auprc",
    "bootstrap_auroc",
    "bootstrap_concordance",
    "bootstrap_correlation",
    "bootstrap_difference",
    "calibration_curve",
    "censoring_curve",
    "chance_statistic",
    "corrected_t_test",
    "correlate_within",
    "count_as_paper",
    "count_covariance",
    "count_orders",
    "delong_test",
    "draw_areas_together",
    "draw_weights",
    "estimate_error",
    "find_horizon",
    "flag_folds",
    "fold_overlap",
    "fold_t_test",
    "integrate_over",
    "kaplan_meier",
    "keep_to_test",
    "label_covariance",
    "log_rank",
    "percentile_interval",
    "permutation_p",
    "permute_targets",
    "place_classes",
    "plain_t_test",
    "precision_interval",
    "prediction_noise",
    "recalibrate_linear",
    "recalibrate_logistic",
    "resample_mean",
    "resample_pearson",
    "resample_r2",
    "resample_rows",
    "resample_spearman",
    "score_auc_at",
    "score_auprc",
    "score_auroc",
    "score_brier",
    "score_brier_at",
    "score_calls",
    "score_concordance",
    "score_concordance_ipcw",
    "score_interval",
    "score_pearson",
    "score_r2",
    "score_spearman",
    "smooth_permutation_p",
    "targets_at_once",
    "variance_inflation",
    "weigh_precision",
    "wilson_interval",
]
