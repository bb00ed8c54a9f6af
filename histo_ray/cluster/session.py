"""Starting, joining and leaving a Ray cluster."""

import atexit
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from histo_ray.errors import ClusterLostError, ConfigError, StoreError
from histo_ray.extract.resources import Node

os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # workers run our interpreter as it is
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray._private import worker as _ray_worker
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from histo_ray.cluster.head_watch import head_answers, watch_head
from histo_ray.cluster.lean_head import inherited, without_helpers
from histo_ray.cluster.local_ray import (
    check_machine,
    has_failed,
    keep_logs,
    mark_session,
    on_loopback,
    remove_folder,
    remove_own,
    scratch_folder,
    sweep_folders,
)
from histo_ray.cluster.ray_errors import explain

_TOKEN, _MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"
_TOKENS = (_TOKEN, "RAY_AUTH_TOKEN_PATH", _MODE)
"""Where a user's own wishes on authentication stand."""
_OWN_TOKEN = secrets.token_hex(32)
"""Token of every Ray that this process starts for itself: other users of the machine reach
loopback, too. Ray's own default is a file in the home folder that others may be able to read, and
that outlives the run."""
CLIENT = "ray://"
ACCELERATOR = "accelerator_type:"
"""First letters of the resource by which Ray tells the kind of a node's accelerators."""
STARTS = 3
"""How often Ray is started here before that counts as failed."""
NO_VARIABLES: Mapping[str, str] = {}
_given_to_workers: dict[str, str] = {}
"""Variables that every worker of the Ray which this process started has."""


@contextmanager
def ray_session(
    address: str,
    cpus: int | None = None,
    modules: Sequence[str] = (),
    variables: Mapping[str, str] = NO_VARIABLES,
) -> Iterator[list[Node]]:
    """Stay connected to Ray; a cluster that this call started ends with it.

    Within it SIGTERM is what Ctrl-C is, and a head that is lost is an error (`watch_head`).

    Args:
        address: `local` starts one on this machine (inside a Ray job: joins the job's cluster),
            `auto` joins a running one, `ray://host:port` goes through Ray Client.
        cpus: CPUs of a local cluster; default all.
        modules: Files and package folders of Python modules that other nodes are given. Where this
            process is connected already, they must be there.
        variables: Environment of all workers, where this call starts Ray (`workers_have`); of those
            that the user has set, the user's values hold.

    Yields:
        The cluster's nodes.

    Raises:
        ConfigError: No cluster there, or this machine cannot start one.
        HistoRayError: What went wrong inside Ray, in one line.
    """
    if ray.is_initialized():
        yield cluster_nodes()
        return
    if address == "local" and os.environ.get("RAY_ADDRESS"):
        address = "auto"
    _start_or_join(address, cpus, modules, variables)
    there, folder = True, mark_session() if address == "local" else None
    try:
        with watch_head():
            yield cluster_nodes()
    except ClusterLostError:
        there = False
        raise
    except Exception as error:
        explained = explain(error, folder)
        if folder is not None and not isinstance(explained, ConfigError | StoreError):
            keep_logs(folder)
        if explained is error:
            raise
        raise explained from error
    finally:
        if there:  # else Ray would wait for it
            ray.shutdown()
        if folder is not None and not has_failed(folder):
            remove_folder(folder)
        _forget_own_token()
        _given_to_workers.clear()


def workers_have(variables: Mapping[str, str]) -> bool:
    """Whether every worker has these variables: then none needs a process of its own for them."""
    return variables.items() <= _given_to_workers.items()


def _forget_own_token() -> None:
    """Forget this process's own token, which opens no other cluster.

    Ray sets the mode as soon as it finds a token; left there, it would be taken for a user's wish,
    and the next Ray of this process would start with another token than Ray remembers.
    """
    if os.environ.get(_TOKEN) != _OWN_TOKEN:
        return
    for name in (_TOKEN, _MODE):
        os.environ.pop(name, None)
    AuthenticationTokenLoader.instance().reset_cache()


def stay_connected(address: str = "local") -> None:
    """Connect to Ray until this process ends, unless it is connected already.

    Unlike `ray.init()` and what Ray's libraries do for themselves, it joins no Ray that is found on
    the machine by chance.

    Args:
        address: As for `ray_session`.

    Raises:
        ConfigError: No cluster there, or this machine cannot start one.
    """
    if ray.is_initialized():
        return
    if address == "local" and os.environ.get("RAY_ADDRESS"):
        address = "auto"
    _start_or_join(address, None)
    folder = mark_session() if address == "local" else None
    if folder is not None:
        atexit.register(_end_own, folder)


def _end_own(folder: Path) -> None:
    """End a Ray that `stay_connected` started, and remove its folder."""
    ray.shutdown()
    remove_folder(folder)


def check_cluster(address: str) -> None:
    """See that a cluster is there, without joining it: before work whose result would be lost.

    Args:
        address: As for `ray_session`.

    Raises:
        ConfigError: None is.
    """
    if ray.is_initialized():
        return
    if address == "local" and os.environ.get("RAY_ADDRESS"):
        address = "auto"
    if address != "local":
        _check_answers(address)


def _start_or_join(
    address: str,
    cpus: int | None,
    modules: Sequence[str] = (),
    variables: Mapping[str, str] = NO_VARIABLES,
) -> None:
    """Check this machine, or that a head listens, and connect; a start that fails leaves nothing.

    Raises:
        ConfigError: No cluster there, or this machine cannot start one.
    """
    if address != "local":
        _check_answers(address)
        _connect(address, cpus, modules)
        return
    check_machine(cpus)
    sweep_folders(scratch_folder())
    try:
        with inherited(variables) as given:
            _connect(address, cpus)
        _given_to_workers.update(given)
    except BaseException:
        remove_own(scratch_folder())
        raise


def _check_answers(address: str) -> None:
    """Check that a head listens there; Ray would wait without end for one that is gone.

    Raises:
        ConfigError: None does.
    """
    try:
        place = (
            address.removeprefix(CLIENT)
            if address.startswith(CLIENT)
            else canonicalize_bootstrap_address(address)  # `auto`: RAY_ADDRESS, or Ray's own file
        )
        stated = urlsplit(f"//{place}").port is not None
    except ConnectionError:
        raise ConfigError(
            f"--address {address}: no running Ray was found on this machine; start one with "
            "`ray start --head`, or leave --address out to run on this machine"
        ) from None
    except (OSError, ValueError):
        return  # no cluster to be found, or no address: Ray will say so
    if place and stated and not head_answers(place):
        raise ConfigError(
            f"--address {address}: no Ray head answers at {place}; start one with `ray start "
            "--head`, or leave --address out to run on this machine"
        )


def _connect(address: str, cpus: int | None, modules: Sequence[str] = ()) -> None:
    """Start Ray here, or join a cluster, to which modules are sent (here they are found anyway).

    Ray gives its own processes 30 s to start, which a busy machine may not keep: it tries again.
    """
    if address == "local" and not any(name in os.environ for name in _TOKENS):
        os.environ[_TOKEN] = _OWN_TOKEN
    connect = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    for left in reversed(range(STARTS if address == "local" else 1)):
        try:
            if address == "local":
                with on_loopback(), without_helpers():
                    connect("local", include_dashboard=False, num_cpus=cpus)
            else:
                connect(address, runtime_env={"py_modules": list(modules)} if modules else None)
            return
        except Exception as error:  # noqa: BLE001 - Ray raises bare ones, also for a slow start
            text = " ".join(str(error).split())
            ray.shutdown()
            if left:
                continue
            if address == "local":
                raise ConfigError(
                    f"Ray did not start on this machine ({text[:300]}); if the machine is "
                    "overloaded, try again later; histo-ray doctor looks at memory and disk"
                ) from None
            raise ConfigError(
                f"--address {address}: Ray could not join the cluster ({text[:300]}). Where a head "
                "answers, its token is most often another: set RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token that it was started with. "
                "Without a cluster, start one with `ray start --head`, or leave --address out to "
                "run on this machine"
            ) from None


def _speak_on_stderr() -> None:
    """Send what Ray prints of processes that died to stderr: stdout is for results.

    Ray has no setting for it. Should it print by another function one day, a test goes red, and
    everything else works.
    """
    module: Any = _ray_worker
    say = getattr(module, "print_to_stdstream", None)
    if say is None:
        return

    def say_on_stderr(data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        say({**data, "is_err": True}, *args, **kwargs)

    module.print_to_stdstream = say_on_stderr


_speak_on_stderr()


def cluster_nodes() -> list[Node]:
    """The living nodes of the cluster that this process is connected to."""
    return [
        Node(
            cpus=float(node["Resources"].get("CPU", 0)),
            gpus=float(node["Resources"].get("GPU", 0)),
            object_store_bytes=int(node["Resources"].get("object_store_memory", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
            node_id=str(node["NodeID"]),
            labels=dict(node.get("Labels") or {}),
            accelerator=next(
                (
                    name.removeprefix(ACCELERATOR)
                    for name in node["Resources"]
                    if name.startswith(ACCELERATOR)
                ),
                "",
            ),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]
