"""What all parts of a record are made of."""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _none_if_nan(value: object) -> object:
    return None if value != value else value


MaybeFloat: TypeAlias = Annotated[float | None, BeforeValidator(_none_if_nan)]
"""A figure; None, as nan is no JSON, where there is none."""


class RecordPart(BaseModel):
    """Base of all parts of a record."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BootstrapRecord(RecordPart):
    """Draws of a bootstrap."""

    resamples: int = 0
    seed: int = 0
