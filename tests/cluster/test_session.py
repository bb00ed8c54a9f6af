import socket

import pytest

from histo_ray.cluster.session import ray_session
from histo_ray.errors import ConfigError


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_told_at_once(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="nothing answers at"), ray_session(address):
            raise AssertionError("there is no cluster")
