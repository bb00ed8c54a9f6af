"""How a time and whether it ended in an event travel as one number of the target matrix. Pure.

+t is an event at time t, -t a patient who was last seen at t without one (censored). Times are
above 0, so the sign is always there; nan means that nothing is known. XGBoost's `survival:cox`
takes labels in the same form.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class Follow(NamedTuple):
    """Follow-up of patients; arrays of one shape."""

    times: Values
    """Time of the event, or until the patient was last seen; in the unit of the label table."""
    events: npt.NDArray[np.bool_]
    """Whether the time ended in an event; False: censored."""


def sign_times(times: npt.ArrayLike, events: npt.ArrayLike) -> Values:
    """Join times and events to signed times.

    Args:
        times: Above 0, or nan.
        events: Of the same shape; whether there was an event.

    Returns:
        +t of an event, -t of a censored patient, nan where the time is nan.

    Raises:
        ValueError: A time that is 0 or below, whose sign would be lost.
    """
    found = np.asarray(times, np.float64)
    if (found <= 0).any():
        raise ValueError(f"times: {np.nanmin(found):g} is among them, must be above 0")
    return np.where(np.asarray(events, bool), found, -found)


def split_times(signed: npt.ArrayLike) -> Follow:
    """Take signed times apart; nan is censored at nan."""
    values = np.asarray(signed, np.float64)
    return Follow(np.abs(values), values > 0)
