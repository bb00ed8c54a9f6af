"""Two workers in processes of their own, over gloo: they stop together, or end together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from histo_ray.finetune.agreement import check_same_weights, find_differing, take_first
from histo_ray.finetune.worker_group import Solo


@pytest.mark.slow
def test_two_workers_stop_together_and_end_together_where_they_differ(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    module = [sys.executable, "-m", "tests.finetune.two_workers"]
    workers = [
        subprocess.Popen(
            [*module, str(rank), str(tmp_path / "meeting")],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in (0, 1)
    ]
    try:
        texts = [worker.communicate(timeout=250)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0]
    first, second = (json.loads(text) for text in texts)
    assert first == second
    assert first["held-out"]["epochs"] < 6  # out of patience, by the first worker's figures
    assert "after epoch 2 workers 1 hold other weights than worker 0" in first["weights"]["error"]
    assert "workers 1 found another checkpoint than worker 0" in first["checkpoint"]["error"]
    assert not any("\n" in found.get("error", "") for found in first.values())


def test_one_worker_agrees_with_itself() -> None:
    cpu = torch.device("cpu")
    assert take_first((0.1, 2.0), Solo(), cpu) == [0.1, 2.0]
    assert find_differing((1, 2, 3), Solo(), cpu) == []
    check_same_weights(torch.nn.Linear(2, 3), 1, Solo(), cpu)
