"""Every process that a plan asks for finds a node, as Ray would place it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.config import PLACEMENT, ExtractConfig, parse_settings
from histo_ray.errors import ConfigError
from histo_ray.extract.node_labels import has_labels
from histo_ray.extract.observer import digested_settings
from histo_ray.extract.resources import Node, Workers, plan_workers, share_of_newcomer
from histo_ray.extract.shares import SHARES

GIB = 2**30


def config(**settings: object) -> ExtractConfig:
    values = {"manifest": "m.csv", "store": "s", "encoder": ("imgnet2048",), **settings}
    return parse_settings(ExtractConfig, values, "run.toml")


@dataclass
class Raylet:
    """What is free on a node, in the whole numbers that Ray counts in."""

    node: Node
    cpu: int = field(init=False)
    gpus: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.cpu = round(self.node.cpus * SHARES)
        whole = int(self.node.gpus)
        part = round((self.node.gpus - whole) * SHARES)
        self.gpus = [SHARES] * whole + [part] * (part > 0)

    def take(self, cpus: float, gpus: float) -> bool:
        """Whether a process had a place here; less than a GPU is a share of one."""
        cpu, gpu = round(cpus * SHARES), round(gpus * SHARES)
        fitting = [at for at, free in enumerate(self.gpus) if free >= gpu]
        if self.cpu < cpu or (gpu and not fitting):
            return False
        self.cpu -= cpu
        if gpu:
            self.gpus[min(fitting, key=lambda at: self.gpus[at])] -= gpu  # the fullest that fits
        return True


def count_unplaced(
    nodes: Sequence[Node], workers: Workers, asked: ExtractConfig, seed: int = 0
) -> int:
    """Place all in some order, each on some node that Ray may choose: those without a place."""
    rng = np.random.default_rng(seed)
    raylets = [Raylet(node) for node in nodes]
    readers = [
        (workers.reader_cpus, 0.0, [raylet for raylet in raylets if raylet.node.node_id == where])
        for place in workers.reader_places
        for where in [place.node_id] * place.count
    ]
    allowed = [
        raylet
        for raylet in raylets
        if has_labels(raylet.node, asked.encoder_label)
        and (not workers.encoder_gpus or asked.accelerator_type in (None, raylet.node.accelerator))
    ]
    encoders = [
        (workers.encoder_cpus, workers.encoder_gpus, [raylet])
        for place in workers.encoder_places
        for raylet in allowed
        if raylet.node.node_id == place.node_id
        for _ in range(place.count)
    ] or [(workers.encoder_cpus, workers.encoder_gpus, allowed)] * workers.encoders
    assert (len(readers), len(encoders)) == (workers.readers, workers.encoders)
    requests = readers + encoders
    unplaced = 0
    for at in rng.permutation(len(requests)):
        cpus, gpus, where = requests[at]
        order = rng.permutation(len(where))
        unplaced += not any(where[one].take(cpus, gpus) for one in order)
    return unplaced


def node_lists(gpus: st.SearchStrategy[float]) -> st.SearchStrategy[list[Node]]:
    """Nodes of a cluster, the first with at least one GPU."""
    cpus = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 7.5, 8.0, 16.0, 64.0])
    cores = st.builds(lambda count: (count, 0.0), cpus)
    cards = st.tuples(cpus, gpus)
    pairs = st.tuples(cards, st.lists(st.one_of(cores, cards), max_size=5))
    return pairs.map(
        lambda pair: [
            Node(cpu, gpu, GIB, node_id=f"n{at}", labels={"zone": "ab"[at % 2]}, accelerator="L4")
            for at, (cpu, gpu) in enumerate([pair[0], *pair[1]])
        ]
    )


@given(
    nodes=node_lists(st.sampled_from([1.0, 2.0, 4.0, 8.0])),
    encoders=st.one_of(st.none(), st.integers(1, 40)),
    readers=st.one_of(st.none(), st.integers(1, 60)),
    seed=st.integers(0, 99),
)
def test_every_process_of_a_run_on_gpus_finds_a_node(
    nodes: list[Node], encoders: int | None, readers: int | None, seed: int
) -> None:
    asked = config(encoder_workers=encoders, readers=readers)
    if sum(node.cpus for node in nodes) < 1:
        return
    workers = plan_workers(nodes, asked)
    assert workers.encoders == encoders or encoders is None
    assert workers.readers == readers or readers is None
    assert workers.encoder_gpus > 0
    assert count_unplaced(nodes, workers, asked, seed) == 0


@given(
    nodes=node_lists(st.sampled_from([0.0, 1.0, 2.0])),
    on_cpu=st.booleans(),
    labels=st.sampled_from([("a", "b"), ("a", None), (None, "b"), ("a", "!b"), ("in(a,b)", "b")]),
    readers=st.one_of(st.none(), st.integers(1, 60)),
    seed=st.integers(0, 99),
)
def test_every_process_finds_a_node_with_the_labels_that_it_needs(
    nodes: list[Node],
    on_cpu: bool,
    labels: tuple[str | None, str | None],
    readers: int | None,
    seed: int,
) -> None:
    encode, read = ((f"zone={text}",) if text else () for text in labels)
    asked = config(
        device="cpu" if on_cpu else "auto", encoder_label=encode, reader_label=read, readers=readers
    )
    try:
        workers = plan_workers(nodes, asked)
    except ConfigError:  # there is no node or no core of that kind
        return
    places = {place.node_id for place in workers.reader_places}
    assert all(has_labels(node, read) for node in nodes if node.node_id in places)
    assert count_unplaced(nodes, workers, asked, seed) == 0


def test_twelve_encoders_on_eight_gpus_all_have_a_place() -> None:
    nodes = [Node(32, 8, GIB, node_id="n")]
    workers = plan_workers(nodes, config(encoder_workers=12))
    assert (workers.encoders, workers.encoder_gpus) == (12, 0.5)
    assert count_unplaced(nodes, workers, config()) == 0


def test_readers_take_spare_cores_of_gpu_nodes_before_cpu_nodes() -> None:
    nodes = [Node(16, 0, GIB, node_id=f"c{at}") for at in range(2)]
    nodes += [Node(8, 2, GIB, node_id=f"g{at}") for at in range(2)]

    def dealt(readers: int) -> list[tuple[str, int]]:
        workers = plan_workers(nodes, config(readers=readers))
        return sorted((place.node_id, place.count) for place in workers.reader_places)

    assert dealt(5) == [("g0", 3), ("g1", 2)]
    assert dealt(15) == [("c0", 2), ("c1", 1), ("g0", 6), ("g1", 6)]


def test_a_share_of_a_gpu_that_is_stated_is_kept() -> None:
    nodes = [Node(32, 2, GIB, node_id="n"), Node(4, 0.5, GIB, node_id="m")]
    workers = plan_workers(nodes, config(encoder_gpus=0.25))
    assert (workers.encoders, workers.encoder_gpus) == (10, 0.25)
    assert count_unplaced(nodes, workers, config()) == 0
    with pytest.raises(ConfigError, match=r"0\.6: 2\.5 GPUs hold 2 such encoders, not 3; lower it"):
        plan_workers(nodes, config(encoder_gpus=0.6, encoder_workers=3))


MIXED = [
    Node(8, 2, GIB, node_id="old", accelerator="V100"),
    Node(8, 4, GIB, node_id="new", accelerator="A100", labels={"pool": "spot"}),
    Node(32, 0, GIB, node_id="cores", labels={"pool": "cpu"}),
]


def test_encoders_stay_on_the_accelerators_asked_for_and_readers_on_their_nodes() -> None:
    asked = config(accelerator_type="A100", reader_label=["pool=cpu"])
    workers = plan_workers(MIXED, asked)
    assert (workers.encoders, workers.encoder_cpus) == (4, 1)
    assert [(place.node_id, place.count) for place in workers.reader_places] == [("cores", 32)]
    assert count_unplaced(MIXED, workers, asked) == 0
    share = share_of_newcomer(Node(8, 2, GIB, accelerator="V100"), workers, asked)
    assert (share.encoders, share.readers) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"accelerator_type": "H100"}, "H100: no node of the cluster has it; use A100 or V100"),
        ({"encoder_label": ["pool=gpu"]}, "pool=gpu: no node .* there are pool=cpu, pool=spot"),
        ({"reader_label": ["disk=fast"]}, "--reader-label disk=fast: .* no such labels"),
        ({"device": "cuda", "encoder_label": ["pool=cpu"]}, "no GPU with these labels"),
    ],
)
def test_nodes_that_are_not_there_are_named(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        plan_workers(MIXED, config(**settings))


@pytest.mark.parametrize("text", ["pool", "=spot", "pool=", "pool=in()", "po ol=a", "pool=-a"])
def test_a_label_that_ray_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be KEY=VALUE, KEY=!VALUE, KEY=in\(A,B\)"):
        config(encoder_label=[text])


def test_settings_of_placement_change_no_digest_of_runs_that_leave_them_out() -> None:
    plain, placed = config(), config(accelerator_type="A100", encoder_label=["pool=a"])
    assert digested_settings(plain) == plain.model_dump(mode="json", exclude=set(PLACEMENT))
    assert set(digested_settings(placed)) - set(digested_settings(plain)) == {
        "accelerator_type",
        "encoder_label",
    }


def test_labels_are_met_as_ray_has_it() -> None:
    spot, bare = MIXED[1], MIXED[0]
    assert has_labels(spot, ["pool=spot"])
    assert has_labels(spot, ["pool=in(cpu, spot)"])
    assert not has_labels(spot, ["pool=!spot"])
    assert not has_labels(spot, ["pool=!in(spot,cpu)"])
    assert not has_labels(bare, ["pool=spot"])
    assert has_labels(bare, ["pool=!spot"])


@given(nodes=node_lists(st.sampled_from([1.0, 4.0])), newcomer=st.integers(0, 5))
def test_processes_for_a_node_that_joins_fit_it(nodes: list[Node], newcomer: int) -> None:
    asked = config()
    if sum(node.cpus for node in nodes) < 1:
        return
    node = nodes[newcomer % len(nodes)]
    share = share_of_newcomer(node, plan_workers(nodes, asked), asked)
    assert count_unplaced([node], share, asked) == 0
