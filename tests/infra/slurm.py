"""A SLURM made of four small scripts, and a run of `ray.sbatch` on it.

They do what SLURM's own do as far as the script can see: `srun` starts the command on this machine,
`scancel` signals what `srun` started, `scontrol` knows the node's address and notes a requeue.
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.infra.files import ROOT

SCRIPTS = {
    "srun": """
echo "$*" >>"$FAKE/noted.srun"
while [[ $1 == --* ]]; do shift; done
echo $$ >>"$FAKE/noted.steps"
SLURM_PROCID=0 exec "$@"
""",
    "scancel": """
while read -r step; do kill -TERM "$step" 2>/dev/null || true; done <"$FAKE/noted.steps"
""",
    "scontrol": """
if [ "$1" = requeue ]; then echo "$2" >>"$FAKE/noted.requeued"; exit 0; fi
echo "   NodeAddr=127.0.0.1 NodeHostName=$3 Version=22.05"
""",
}
PYTHON = """
if [ "$1" = - ]; then echo "40001 40002 40003"; exit 0; fi
trap 'exit 130' INT
echo "$*" >"$FAKE/noted.job"
if [ "${FAKE_EXIT:-wait}" != wait ]; then
  until [ -s "$FAKE/noted.length" ]; do sleep 0.02; done
  exit "$FAKE_EXIT"
fi
for _ in $(seq 1500); do sleep 0.02; done
"""
RAY = """
echo "$*" >>"$FAKE/noted.ray"
stat --format=%a "$RAY_AUTH_TOKEN_PATH" "$(dirname "$RAY_AUTH_TOKEN_PATH")" >"$FAKE/noted.modes"
if [ "$(wc --lines <"$FAKE/noted.ray")" -le "${FAKE_FAILURES:-0}" ]; then exit 1; fi
wc --bytes <"$RAY_AUTH_TOKEN_PATH" >"$FAKE/noted.length"
exec sleep 60
"""


@dataclass(frozen=True)
class Slurm:
    """The scripts on disk, and the variables of a job."""

    folder: Path
    job_id: str = field(default_factory=lambda: f"9{os.getpid()}")

    def install(self, stand_ins: bool) -> "Slurm":
        """Write the scripts; with `stand_ins` also a Python and a Ray that only wait."""
        scripts = SCRIPTS | ({"python": PYTHON, "ray": RAY} if stand_ins else {})
        for name, text in scripts.items():
            script = self.folder / name
            script.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
            script.chmod(0o755)
        return self

    def start(self, *job: str, **variables: str) -> subprocess.Popen[str]:
        """Start the script as SLURM would on the first node."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SLURM", "CUDA"))}
        environment = kept | {
            "FAKE": str(self.folder),
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HISTO_RAY_PYTHON": str(self.folder / "python"),
            "SLURM_JOB_ID": self.job_id,
            "SLURM_SUBMIT_DIR": str(ROOT),
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_CPUS_PER_TASK": "2",
            "SLURM_MEM_PER_NODE": "2000",
            "SLURMD_NODENAME": "n1",
        }
        return subprocess.Popen(
            ["bash", str(ROOT / "infra/slurm/ray.sbatch"), *job],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def lines(self, name: str, wait_for: int = 0) -> list[str]:
        """What a script noted; waits until there are so many lines."""
        deadline = time.monotonic() + 30
        while True:
            path = self.folder / f"noted.{name}"
            found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            if len(found) >= wait_for or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def leftovers(self) -> list[Path]:
        """Files that the job should have taken away."""
        return [*ROOT.glob(f".ray-{self.job_id}"), *Path("/tmp").glob(f"hr-{self.job_id}.*")]


def ended(process: "subprocess.Popen[str]", told: signal.Signals | None = None) -> tuple[int, str]:
    """Exit code and output, after a signal if one is given."""
    if told:
        process.send_signal(told)
    output, _ = process.communicate(timeout=200)
    return process.returncode, output
