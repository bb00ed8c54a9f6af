"""Settings of `fit`: those of an evaluation with one encoder, and how what is fitted is kept."""

from typing import Literal

from pydantic import Field

from histo_ray.config import Settings
from histo_ray.encoder_spec import NAME_PATTERN


class FitOptions(Settings):
    """How a predictor is named and kept."""

    name: str = Field(
        pattern=NAME_PATTERN, description="of the predictor; lower case letters, digits, . _ -"
    )
    patient_hashes: bool = Field(
        default=True,
        description="keep salted hashes of the patients' ids, by which predict finds and leaves "
        "out patients that it was fitted on; without them overlap cannot be found",
    )


class PatientFitOptions(FitOptions):
    """How a predictor of patients is calibrated, too."""

    calibration: Literal["auto", "none", "platt", "isotonic", "linear", "cox"] = Field(
        default="auto",
        description="of predictions, from out-of-fold ones; auto: platt for classes, linear for "
        "numbers, cox for survival",
    )
    sensitivity: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="of the second threshold of classes, beside Youden's: the highest threshold "
        "that finds this share of the positives",
    )
    ensemble_repeats: int = Field(
        default=1,
        ge=1,
        le=100,
        description="repeats of the cross-validation whose MIL heads are kept as an ensemble",
    )
