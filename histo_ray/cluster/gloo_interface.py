"""Workers that train together reach one another under their nodes' addresses in Ray.

Left alone, gloo takes the address that a machine's name stands for, which is often the loopback's
(Debian's 127.0.1.1): workers on several nodes then never find one another.
"""

import os
from typing import Any

import psutil
import ray
from ray.train.torch import TorchConfig

VARIABLE = "GLOO_SOCKET_IFNAME"


def choose_interface() -> None:
    """Have gloo use the network interface of this node's address, unless the user has chosen."""
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in entries):
            os.environ.setdefault(VARIABLE, name)


_TorchBackend: Any = TorchConfig().backend_cls


class _NodeAddressBackend(_TorchBackend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Before the process group is made."""
        worker_group.execute(choose_interface)
        super().on_start(worker_group, backend_config)


class NodeAddressConfig(TorchConfig):
    """Ray's own configuration, over the interface that has the node's address."""

    @property
    def backend_cls(self) -> Any:
        """What Ray starts."""
        return _NodeAddressBackend
