"""A Ray cluster of several nodes on this machine, each killed as a machine would be.

Every worker node is a process group of its own: raylet, agents, workers. As root each has a network
namespace with an address of its own (`ip netns`), so that nodes reach one another over a
network, and a scratch folder of its own; else all share this machine's loopback. The head, where
drivers run, is on this side of the bridge. Token authentication is on.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
START_S = 180
OBJECT_STORE = 150_000_000
SCRATCH = "/tmp/ray"
"""Shared by raylets of one machine, one would remove the working directory of another's job."""


@dataclass(eq=False)
class RayNode:
    """One node: its processes, and where its network is."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    namespace: str = ""

    @property
    def alive(self) -> bool:
        """Whether its first process runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """All its processes at once, as when a machine loses power."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """As `ray stop` does, then for good."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(30)


@dataclass
class RayCluster:
    """A head and what joined it."""

    folder: Path
    ip: str
    bridge: str
    """Empty: no namespaces."""
    port: int
    dashboard_port: int
    environment: dict[str, str]
    head: RayNode | None = None
    workers: list[RayNode] = field(default_factory=list)
    started: int = 0

    @property
    def address(self) -> str:
        """For `--address`, of a driver on the head."""
        return f"{self.ip}:{self.port}"

    @property
    def dashboard(self) -> str:
        """For `ray job submit --address`."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def start_head(self, cpus: int = 0) -> None:
        """Start the head; by default it gives no CPU to runs."""
        self.head = self._start(
            "head",
            *("--head", f"--port={self.port}", f"--node-ip-address={self.ip}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard_port}"),
            *(f"--num-cpus={cpus}", "--include-dashboard=true"),
        )
        self._wait_for("head")

    def add(
        self, cpus: int = 1, gpus: int = 0, *, wait: bool = True, options: Sequence[str] = ()
    ) -> RayNode:
        """A node more; `options` are more ones of `ray start`."""
        self.started += 1
        name = f"n{self.started}"
        ip, namespace = self.ip, ""
        if self.bridge:
            namespace = f"{self.bridge}-{name}"
            ip = self.ip.rpartition(".")[0] + f".{self.started % 250 + 2}"
            join_network(namespace, self.bridge, ip)
        node = self._start(
            name,
            *(f"--address={self.address}", f"--node-ip-address={ip}"),
            *(f"--num-cpus={cpus}", f"--num-gpus={gpus}", *options),
            namespace=namespace,
        )
        self.workers.append(node)
        if wait:
            self._wait_for(name)
        return node

    def remove(self, node: RayNode) -> None:
        """Kill a node and forget it."""
        node.kill()
        self.workers.remove(node)
        if node.namespace:
            ip_command("netns", "del", node.namespace)

    def stop(self) -> None:
        """End all nodes."""
        for node in list(self.workers):
            self.remove(node)
        if self.head:
            self.head.stop()
            self.head = None

    def alive_nodes(self) -> list[str]:
        """Names of the nodes that Ray holds for alive."""
        code = (
            "import sys; from ray._raylet import GcsClient\n"
            "for n in GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5).values():\n"
            "    print(n.node_name) if n.state == 0 else None"
        )
        found = subprocess.run(
            [sys.executable, "-c", code, self.address],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return found.stdout.split()

    def _start(self, name: str, *arguments: str, namespace: str = "") -> RayNode:
        log = self.folder / f"{name}.log"
        command = [str(BIN / "ray"), "start", "--block", f"--node-name={name}", *arguments]
        command += [f"--object-store-memory={OBJECT_STORE}", "--disable-usage-stats"]
        if namespace:
            own = self.folder / name
            own.mkdir(exist_ok=True)
            Path(SCRATCH).mkdir(exist_ok=True)
            mount = f'mount --bind "$0" {SCRATCH} && exec "$@"'
            command = ["ip", "netns", "exec", namespace, "sh", "-c", mount, str(own), *command]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return RayNode(name, process, log, namespace)

    def _wait_for(self, name: str) -> None:
        deadline = time.monotonic() + START_S
        while name not in self.alive_nodes():
            for node in (self.head, *self.workers):
                if node and not node.alive:
                    raise RuntimeError(f"{node.name} ended: {node.log.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"node {name} has not joined after {START_S} s")
            time.sleep(0.2)


def ip_command(*arguments: str) -> bool:
    """Run iproute2's `ip`; whether it could."""
    tool = shutil.which("ip")
    return (
        tool is not None and not subprocess.run([tool, *arguments], capture_output=True).returncode
    )


def join_network(namespace: str, bridge: str, ip: str) -> None:
    """Make a network namespace with one address on the bridge."""
    end = f"{bridge}{ip.rpartition('.')[2]}"
    for words in (
        ("netns", "add", namespace),
        ("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", namespace),
        ("link", "set", end, "master", bridge, "up"),
        ("-n", namespace, "addr", "add", f"{ip}/24", "dev", "eth0"),
        ("-n", namespace, "link", "set", "eth0", "up"),
        ("-n", namespace, "link", "set", "lo", "up"),
    ):
        if not ip_command(*words):
            raise RuntimeError(f"ip {' '.join(words)} failed")


@contextmanager
def ray_cluster(folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[RayCluster]:
    """A place for a cluster, so far without nodes; all of it ends with the context.

    Args:
        folder: For logs.
        environment: Of all its processes; what concerns Ray is left out.
    """
    bridge, ip = f"hr{secrets.token_hex(2)}", f"10.{secrets.randbelow(200) + 20}.0.1"
    if os.geteuid() or not ip_command("link", "add", bridge, "type", "bridge"):
        bridge, ip = "", "127.0.0.1"
    else:
        ip_command("addr", "add", f"{ip}/24", "dev", bridge)
        ip_command("link", "set", bridge, "up")
    kept = {name: value for name, value in environment.items() if not name.startswith("RAY_")}
    own = {
        "PATH": f"{BIN}:{kept['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    cluster = RayCluster(folder, ip, bridge, free_port(), free_port(), kept | own)
    try:
        yield cluster
    finally:
        cluster.stop()
        if bridge:
            ip_command("link", "del", bridge)


def free_port() -> int:
    """Find a TCP port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
