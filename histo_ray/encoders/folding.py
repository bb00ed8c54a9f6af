"""Folds batch norms into the convolutions before them. For inference only; done on CPU."""

from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from histo_ray.encoders.lean_timm import timm

_timm: Any = timm.layers
_CONVOLUTIONS = (nn.Conv2d, _timm.Conv2dSame)
_NORMS = (nn.BatchNorm2d, _timm.BatchNormAct2d)
_UNTRACEABLE = (
    fx.proxy.TraceError, AssertionError, AttributeError, IndexError, KeyError,
    NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What networks whose path depends on data raise under a symbolic trace."""


class _Tracer(fx.Tracer):
    """Sees what timm declares untraceable, and every batch norm, as one piece."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = (*_timm.get_notrace_modules(), *_CONVOLUTIONS, *_NORMS)
        return isinstance(m, whole) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(network: nn.Module) -> int:
    """Fold, in place, each batch norm that alone uses the output of one convolution.

    The traced graph only finds the pairs; the network itself is changed and keeps its own
    forward. A batch norm with an activation leaves the activation behind.

    Args:
        network: In eval mode, on CPU.

    Returns:
        Folded pairs; 0 for a network that cannot be traced or has none.
    """
    if not any(isinstance(module, _NORMS) for module in network.modules()):
        return 0
    pairs = _find_pairs(network)
    for conv_name, norm_name in pairs:
        _fold(network, conv_name, norm_name)
    return len(pairs)


def _find_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm) that may be folded."""
    functions = tuple(f for f in _timm.get_notrace_functions() if callable(f))
    try:
        graph = _Tracer(autowrap_functions=functions).trace(network)
    except _UNTRACEABLE:
        return []
    modules = dict(network.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    uses = Counter(id(modules[node.target]) for node in calls)
    pairs = []
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv, norm = modules[str(before.target)], modules[node.target]
        alone = len(before.users) == 1 and uses[id(conv)] == 1 and uses[id(norm)] == 1
        if alone and _foldable(conv, norm):
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    """Plain types only: subclasses may compute their weights on the way."""
    return (
        type(conv) in _CONVOLUTIONS
        and type(norm) in _NORMS
        and not norm.training
        and getattr(norm, "running_mean", None) is not None
        and not nn.utils.parametrize.is_parametrized(conv)
    )


def _fold(network: nn.Module, conv_name: str, norm_name: str) -> None:
    conv: Any = network.get_submodule(conv_name)
    norm: Any = network.get_submodule(norm_name)
    bias = None if conv.bias is None else conv.bias.double()
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(), bias, norm.running_mean.double(), norm.running_var.double(),
        norm.eps, _double(norm.weight), _double(norm.bias),
    )  # fmt: skip
    kind = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(kind), requires_grad=False)
    parent, _, name = norm_name.rpartition(".")
    rest = (
        nn.Sequential(norm.drop, norm.act)
        if isinstance(norm, _timm.BatchNormAct2d)
        else nn.Identity()
    )
    setattr(network.get_submodule(parent), name, rest.eval())


def _double(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.double()
