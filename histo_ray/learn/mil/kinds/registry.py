"""The registry of kinds of targets that MIL networks are trained on.

To add a kind: one file with a `MilKind`, and one line here.
"""

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.kinds.base import MilKind
from histo_ray.learn.mil.kinds.binary import BinaryTargets
from histo_ray.learn.mil.kinds.continuous import ContinuousTargets
from histo_ray.text import join_or
from histo_ray.types import TargetKind

MIL_KINDS: tuple[MilKind, ...] = (BinaryTargets(), ContinuousTargets())


def find_kind(kind: TargetKind) -> MilKind:
    """Find how networks are trained on targets of a kind.

    Raises:
        ConfigError: They are not.
    """
    for one in MIL_KINDS:
        if one.kind is kind:
            return one
    known = join_or([one.kind.value for one in MIL_KINDS])
    raise ConfigError(
        f"head mil: it predicts {known} targets, and these are {kind}; use a --head of pooled "
        "vectors"
    )
