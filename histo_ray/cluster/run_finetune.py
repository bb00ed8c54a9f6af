"""Fine-tuning by a group of workers on Ray, each of which runs the plain loop."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NotRequired, TypedDict

import torch
import torch.distributed as dist
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from histo_ray.cluster.gloo_interface import NodeAddressConfig
from histo_ray.cluster.session import ray_session
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.extract.node_labels import choose_accelerated, choose_labelled, parse_labels
from histo_ray.extract.resources import Node
from histo_ray.extract.shares import SHARES, largest_share
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import (
    FinetunePlan,
    FinetuneResult,
    claim_name,
    conclude,
    make_job,
    plan_finetune,
    work,
)
from histo_ray.finetune.job import ReportProgress, TrainingProgress
from histo_ray.finetune.publish_encoder import check_name
from histo_ray.finetune.worker_group import ProcessGroup, Solo
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.models import ModelCard

MAX_FAILURES = 3
"""A group that lost a worker is started again this often, from the last checkpoint."""
POLL_S = 1.0

Notify = Callable[[str], None]


class GroupShape(TypedDict):
    """Workers of a group and what each of them gets: arguments of Ray's `ScalingConfig`."""

    num_workers: int
    use_gpu: bool
    resources_per_worker: dict[str, float]
    accelerator_type: NotRequired[str]
    label_selector: NotRequired[dict[str, str]]


def run_finetune(
    config: FinetuneConfig,
    report: ReportProgress = lambda progress: None,
    notify: Notify = lambda text: None,
) -> FinetuneResult:
    """Fine-tune by a group of workers; `finetune.finetune_run.finetune` does it in this process.

    Args:
        config: What to do.
        report: Called with how far training is.
        notify: Called with a line on what begins.

    Raises:
        ConfigError: Settings, tiles, base or name cannot be used, or no cluster is there.
        StoreError: The store is none.
        HistoRayError: Workers died more often than is accepted.
    """
    check_shipped(config)
    with claim_name(config):
        return _finetune(config, report, notify)


def _finetune(config: FinetuneConfig, report: ReportProgress, notify: Notify) -> FinetuneResult:
    """Plan, train with a group of workers, and publish."""
    notify(f"reading {config.tiles}")
    plan = plan_finetune(config)
    fingerprint = make_job(plan)[0].fingerprint(config.workers)
    card = check_name(config.store, config.name, fingerprint)
    if card is not None:
        return FinetuneResult(card, was_there=True)
    with ray_session(config.address) as nodes, tempfile.TemporaryDirectory() as folder:
        shape = plan_group(config, nodes)
        notify(
            f"{len(plan.train_rows)} tiles of {len(plan.tileset.classes)} classes to train on, "
            f"{len(plan.held_out_rows)} to evaluate on; {config.workers} workers"
        )
        _run_group(plan, shape, folder, report)
    return FinetuneResult(_published(config, fingerprint), was_there=False)


def plan_group(config: FinetuneConfig, nodes: list[Node]) -> GroupShape:
    """Choose what each worker of the group gets, so that all find a place at once. Pure.

    Raises:
        ConfigError: The cluster has fewer GPUs or CPUs than workers, or none with the labels or the
            kind of accelerator asked for.
    """
    nodes = choose_labelled(nodes, config.node_label, "--node-label")
    with_gpus = [node for node in nodes if node.gpus >= 1]
    takes_gpus = config.device == "auto" and (with_gpus or config.accelerator_type)
    use_gpu = config.device == "cuda" or bool(takes_gpus)
    if use_gpu:
        nodes = choose_accelerated(with_gpus, config.accelerator_type)
    gpus = [int(node.gpus) for node in nodes]
    cores = [int(node.cpus) for node in nodes]
    have, what = (sum(gpus), "GPUs") if use_gpu else (sum(cores), "CPUs")
    if have < config.workers:
        raise ConfigError(
            f"--workers {config.workers} is more than the cluster's {have} {what}; lower it to "
            f"at most {have}"
        )
    threads = _share_cores(config, cores, gpus if use_gpu else None)
    shape: GroupShape = {
        "num_workers": config.workers,
        "use_gpu": use_gpu,
        "resources_per_worker": {"CPU": threads, **({"GPU": 1} if use_gpu else {})},
    }
    if use_gpu and config.accelerator_type:
        shape["accelerator_type"] = config.accelerator_type
    if config.node_label:
        shape["label_selector"] = parse_labels(config.node_label)
    return shape


def _share_cores(config: FinetuneConfig, cores: list[int], gpus: list[int] | None) -> float:
    """CPUs of each worker: the most with which every worker has a place on one node.

    Raises:
        ConfigError: As many as the settings state have none.
    """
    rooms = [count * SHARES for count in cores]
    share = largest_share(rooms, config.workers, gpus, max(rooms, default=0))
    threads = share // SHARES or share / SHARES  # whole ones, but for nodes of more GPUs than cores
    if config.threads is None:
        return threads
    if config.threads > threads:
        raise ConfigError(
            f"--threads {config.threads}: the nodes have no room for {config.workers} workers of "
            f"so many; lower it to at most {threads:g}, or --workers"
        )
    return config.threads


def _run_group(plan: FinetunePlan, shape: GroupShape, folder: str, report: ReportProgress) -> None:
    """Run the group to its end, and pass its progress on."""
    progress = Queue(actor_options={"num_cpus": 0})
    trainer = TorchTrainer(
        _train_in_group,
        train_loop_config={"plan": plan, "progress": progress},
        torch_config=NodeAddressConfig(),
        scaling_config=ScalingConfig(**shape),  # type: ignore[misc]  # of Train v2
        run_config=RunConfig(
            name=f"finetune-{plan.config.name}",
            storage_path=folder,
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
            worker_runtime_env={"env_vars": ENVIRONMENT},  # type: ignore[call-arg]  # of Train v2
        ),
    )
    with ThreadPoolExecutor(1) as thread:
        fitted = thread.submit(trainer.fit)
        while not fitted.done():
            try:
                report(TrainingProgress(*progress.get(timeout=POLL_S)))
            except Empty:
                continue
    progress.shutdown()
    try:
        fitted.result()
    except TrainingFailedError as error:
        raise _explain(error) from error


def _train_in_group(task: dict[Any, Any]) -> None:  # Ray's type
    """One worker, from loading the base to publishing: `plan`, and `progress`, a queue of Ray."""
    plan: FinetunePlan = task["plan"]
    config = plan.config
    job, classifier = make_job(plan)
    if check_name(config.store, config.name, job.fingerprint(config.workers)) is not None:
        return  # published, and then another worker was lost
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    compute = Compute("cuda" if device.type == "cuda" else "cpu", config.threads, config.precision)
    group = ProcessGroup() if dist.is_initialized() else Solo()

    def report(progress: TrainingProgress) -> None:
        if group.rank == 0:
            task["progress"].put(tuple(progress))

    outcome = work(plan, job, classifier, compute, report, group)
    if group.rank == 0:
        device_text = f"{group.size} x {compute.describe()}"
        conclude(plan, job, outcome, config.workers, device_text)


def _published(config: FinetuneConfig, fingerprint: str) -> ModelCard:
    card = check_name(config.store, config.name, fingerprint)
    if card is None:
        raise HistoRayError(
            f"{config.name}: the workers ended, but {config.store} does not hold the encoder; "
            "check that all nodes see the store under this path"
        )
    return card


def _explain(error: BaseException) -> HistoRayError:
    """Find our own error inside Ray's, or describe Ray's in one line."""
    failures = getattr(error, "worker_failures", {})
    for inner in failures.values():
        cause = getattr(inner, "cause", inner)
        if isinstance(cause, HistoRayError):
            return cause
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return HistoRayError(
        f"workers were lost more than {MAX_FAILURES} times ({lines[-1].strip()[:200]}); Ray's "
        "logs say more, and the same command goes on from the checkpoint"
    )
