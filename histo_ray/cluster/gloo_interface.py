"""Workers that train together reach one another under their nodes' addresses in Ray.

Left alone, gloo takes the address that a machine's name stands for, which is often the loopback's
(Debian's 127.0.1.1): workers on several nodes then never find one another. NCCL, between GPUs,
takes the first interface that is up, which may be a bridge of containers or another network.
"""

import os
from typing import Any

import psutil
import ray
from ray.train.torch import TorchConfig

GLOO = "GLOO_SOCKET_IFNAME"
NCCL = "NCCL_SOCKET_IFNAME"
"""NCCL takes a name for the first letters of one; `=` before it makes it that one alone."""


def choose_interface() -> None:
    """Have gloo and NCCL use the interface of this node's address, unless the user has chosen."""
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in entries):
            os.environ.setdefault(GLOO, name)
            os.environ.setdefault(NCCL, f"={name}")


_TorchBackend: Any = TorchConfig().backend_cls


class _NodeAddressBackend(_TorchBackend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Choose the interface before the process group is made."""
        worker_group.execute(choose_interface)
        super().on_start(worker_group, backend_config)


class NodeAddressConfig(TorchConfig):
    """Ray's own configuration, over the interface that has the node's address."""

    @property
    def backend_cls(self) -> Any:
        """Backend class that Ray starts."""
        return _NodeAddressBackend
