"""Which code of hub repositories may run: only what the user pins by a commit. Pure."""

import re
from collections.abc import Sequence

from histo_ray.encoder_spec import REVISION_PATTERN, EncoderSpec
from histo_ray.errors import ConfigError

FLAG = "--trust-remote-code"


def trust_code(specs: Sequence[EncoderSpec], trusted: Sequence[str]) -> list[EncoderSpec]:
    """Pin the encoders whose networks are code of their repositories to what the user trusts.

    Args:
        specs: Encoders of a run.
        trusted: `COMMIT`, or `NAME=COMMIT` of one of several such encoders.

    Returns:
        The specs, with `code_revision` where one is needed.

    Raises:
        ConfigError: Code would run that nobody trusts, or what is trusted is no full commit or
            belongs to no encoder here.
    """
    needing = [spec.name for spec in specs if spec.remote_code]
    pins: dict[str, str] = {}
    for text in trusted:
        name, _, revision = text.rpartition("=")
        if not re.fullmatch(REVISION_PATTERN, revision):
            raise ConfigError(
                f"{FLAG} {text}: {revision!r} is no full commit of a repository; give its 40 hex "
                "digits, as a branch or a tag may be other code tomorrow"
            )
        if not name and len(needing) > 1:
            raise ConfigError(
                f"{FLAG} {text}: {' and '.join(needing)} both run code of their repositories; say "
                f"whose commit it is: {FLAG} {needing[0]}={revision}"
            )
        name = name or next(iter(needing), "")
        if name not in needing:
            raise ConfigError(
                f"{FLAG} {text}: no encoder of this run needs that code; leave it out"
            )
        pins[name] = revision
    return [
        spec.model_copy(update={"code_revision": _pin(spec, pins)}) if spec.remote_code else spec
        for spec in specs
    ]


def _pin(spec: EncoderSpec, pins: dict[str, str]) -> str:
    if spec.name not in pins:
        raise ConfigError(untrusted(spec))
    return pins[spec.name]


def untrusted(spec: EncoderSpec) -> str:
    """The message for code that would run unasked."""
    return (
        f"encoder {spec.name!r}: its network is Python code of the repository {spec.hub}, which "
        f"would run on your machines; read it on the hub, and name the commit that you trust: "
        f"{FLAG} COMMIT (40 hex digits)"
    )
