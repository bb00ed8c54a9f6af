"""Which settings of attention heads are asked for. No Ray: a mistake is told before it starts."""

import itertools
from collections.abc import Sequence

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.mil_settings import MilSettings


def parse_variants(texts: Sequence[str]) -> dict[str, MilSettings]:
    """Settings of attention heads from `KEY=VALUE[,VALUE...]`: all combinations, by name.

    Raises:
        ConfigError: Unknown keys or values that are none.
    """
    choices: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values or key in choices:
            raise ConfigError(
                f"--mil {text!r} must be KEY=VALUE or KEY=VALUE,VALUE, with each key once; known "
                f"keys: {', '.join(MilSettings.model_fields)}"
            )
        choices[key.replace("-", "_")] = values.split(",")
    variants = {}
    for combination in itertools.product(*choices.values()):
        chosen = dict(zip(choices, combination, strict=True))
        name = ",".join(f"{k}={v}" for k, v in chosen.items() if len(choices[k]) > 1)
        variants[name] = parse_settings(MilSettings, chosen, "--mil")
    return variants
