"""The container's recipe, and the helper that chooses its packages."""

import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from infra.container import choose, healthcheck
from tests.infra.files import INFRA, LOCK, ROOT, locked_version

RECIPE = (INFRA / "container" / "Dockerfile").read_text(encoding="utf-8")
LOGICAL = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", RECIPE, flags=re.MULTILINE))
STEPS = [line.split(None, 1) for line in LOGICAL.splitlines() if line.strip()]
KNOWN = {"ARG", "CMD", "COPY", "ENV", "FROM", "HEALTHCHECK", "RUN", "USER", "WORKDIR"}


def test_every_line_is_an_instruction_that_docker_knows() -> None:
    assert {word for word, _ in STEPS} == KNOWN


def test_the_only_base_is_pinned_by_digest() -> None:
    bases = [words.split()[0] for word, words in STEPS if word == "FROM"]
    stages = {words.split()[2] for word, words in STEPS if word == "FROM"}
    bases = [base.replace("${VARIANT}", variant) for base in bases for variant in ("cpu", "cuda")]
    foreign = sorted({base for base in bases if base not in stages})
    assert len(foreign) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", foreign[0])


def test_the_image_is_built_in_stages_and_the_last_one_installs_no_python_package() -> None:
    last = LOGICAL[LOGICAL.rindex("\nFROM ") :]
    assert LOGICAL.count("\nFROM ") + LOGICAL.startswith("FROM ") >= 3
    assert "pip install" not in last
    assert "COPY --from=packages" in last


def test_python_packages_are_installed_with_hashes() -> None:
    for command in re.findall(r"pip install[^&;]*", LOGICAL):
        without = "--torch-backend cpu" in command  # the one that the recipe's head explains
        assert without or "--require-hashes" in command, command


def test_it_runs_as_a_user_who_is_not_root_and_says_whether_it_is_well() -> None:
    words = [word for word, _ in STEPS]
    assert [rest for word, rest in STEPS if word == "USER"] == ["1000:1000"]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")
    assert words.count("HEALTHCHECK") == 1


def test_what_is_copied_exists_and_the_builder_is_sent_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    sent = {line[1:] for line in ignored if line.startswith("!")}
    for word, rest in STEPS:
        if word != "COPY" or "--from" in rest:
            continue
        sources = [part for part in rest.split()[:-1] if not part.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            parents = {source, *map(str, Path(source).parents)}
            assert parents & sent, f".dockerignore leaves out {source}"


def environment_of(variant: str) -> dict[str, str]:
    """What the last stage of a variant sets, with all stages that it is made of."""
    stages: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for word, rest in STEPS:
        if word == "FROM":
            words = rest.replace("${VARIANT}", variant).split()
            here = stages[words[2]] = dict(stages.get(words[0], {}))
        elif word == "ENV":
            here.update(re.findall(r'(\w+)="?([^"\s]+)"?', rest))
    return here


def test_only_the_cuda_variant_asks_for_gpus_and_a_driver_for_its_cuda() -> None:
    assert not [name for name in environment_of("cpu") if name.startswith("NVIDIA_")]
    asked = environment_of("cuda")
    assert asked["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert asked["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    major = locked_version("nvidia-cuda-runtime").split(".")[0]
    assert asked["NVIDIA_REQUIRE_CUDA"] == f"cuda>={major}.0"
    assert environment_of("cpu")["PYTHONPATH"] == asked["PYTHONPATH"] == "/opt/histo-ray"


def test_a_variant_is_stated_before_the_first_stage_and_taken_by_those_that_use_it() -> None:
    first = [word for word, _ in STEPS].index("FROM")
    assert ["ARG", "VARIANT=cuda"] in STEPS[:first]
    assert STEPS[first:].count(["ARG", "VARIANT"]) == 1


def test_no_secret_is_named_in_the_recipe() -> None:
    assert not re.search(r"token|password|secret|access_key", LOGICAL, re.IGNORECASE)


def test_python_is_one_that_the_project_takes() -> None:
    found = re.search(r"FROM python:(\d+)\.(\d+)", RECIPE)
    assert found
    assert (int(found[1]), int(found[2])) >= (3, 11)


def test_cuda_takes_the_lock_file_as_it_is() -> None:
    assert choose.choose_lock(LOCK, "cuda") == LOCK


def test_cpu_leaves_out_torch_and_cuda_and_nothing_else() -> None:
    chosen = choose.choose_lock(LOCK, "cpu")
    pattern = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)
    left_out = set(pattern.findall(LOCK)) - set(pattern.findall(chosen))
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= left_out
    assert all(re.match(r"torch$|torchvision$|triton$|nvidia-|cuda-", name) for name in left_out)
    assert "torchstain" not in left_out
    assert chosen.count("--hash=") < LOCK.count("--hash=")


def test_cpu_gets_torch_in_the_versions_of_the_lock_file() -> None:
    pins = choose.choose_torch(LOCK).split()
    assert pins == [f"{name}=={locked_version(name)}" for name in ("torch", "torchvision")]


def test_tools_of_tests_leave_the_image_and_what_runs_stays() -> None:
    unused = set(choose.choose_unused((ROOT / "pyproject.toml").read_text()))
    assert {"pytest", "mypy", "ruff", "moto", "hypothesis"} <= unused
    kept = {"ray", "torch", "timm", "openslide-bin", "aiohttp", "boto3", "packaging", "pyarrow"}
    assert not kept & unused


class Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/well" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_health_is_what_the_agent_says() -> None:
    server = HTTPServer(("127.0.0.1", 0), Agent)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = f"http://127.0.0.1:{server.server_port}"
        is_well = healthcheck.is_well
        assert is_well(f"{place}/well")
        assert not is_well(f"{place}/ill")
    finally:
        server.shutdown()
        server.server_close()
    assert not is_well(f"{place}/well")


def test_a_container_is_a_node_if_a_raylet_runs_in_it(tmp_path: Path) -> None:
    is_node = healthcheck.is_node
    for number, name in (("1", "tini"), ("7", "python")):
        (tmp_path / number).mkdir()
        (tmp_path / number / "comm").write_text(f"{name}\n")
    assert not is_node(tmp_path)
    (tmp_path / "7" / "comm").write_text("raylet\n")
    assert is_node(tmp_path)
