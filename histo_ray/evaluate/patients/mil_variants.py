"""Which settings of MIL heads are asked for. No Ray: a mistake is told before it starts."""

import itertools
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.registry import check_network
from histo_ray.types import TargetKind


def parse_variants(texts: Sequence[str], kind: TargetKind | None = None) -> dict[str, MilSettings]:
    """Settings of MIL heads from `KEY=VALUE[,VALUE...]`: all combinations, by name.

    Args:
        texts: As given.
        kind: Of the targets; None: networks are not held against it.

    Raises:
        ConfigError: Unknown keys, values that are none, or a network for other targets.
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
        if kind is not None:
            check_network(variants[name].network, kind)
    return variants


def restore_variants(
    texts: Sequence[str], records: Mapping[str, Mapping[str, JsonValue]]
) -> list[str]:
    """Texts of `--mil` that mean today what they meant when a run was recorded.

    Args:
        texts: As the run was given them.
        records: Its variants by name, as `MilSettings.to_record` writes them.

    Returns:
        The texts, and one more for each default that was another then.

    Raises:
        ConfigError: The texts are none.
    """
    given = {text.partition("=")[0].replace("-", "_") for text in texts}
    found = list(texts)
    for variant_name, variant in parse_variants(texts).items():
        then = MilSettings.from_record(records.get(variant_name, variant.to_record()))
        for name in MilSettings.model_fields:
            value = getattr(then, name)
            if name not in given and value != getattr(variant, name):
                found.append(f"{name}={value}")
                given.add(name)
    return found
