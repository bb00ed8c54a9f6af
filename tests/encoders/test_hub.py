import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import errors
from safetensors.torch import save_file

from histo_ray.encoders.hub import fetch_file, fetch_weights
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError

REVISION = "0" * 40


def point_client(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Do what HF_ENDPOINT does in a new process."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and a hub nobody listens for."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    point_client(monkeypatch, "http://127.0.0.1:9")
    # no token of the developer's own goes to the test server
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def fill_cache(cache: Path, repository: str, config: dict[str, Any] | None) -> Path:
    """Lay a repository into the cache as the hub's client does."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION, encoding="utf-8")
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    if config is not None:
        (snapshot / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return snapshot


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """A hub that gives every question the same answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("request_text", ["resnet18", "uni2-h", "h0-mini", "hf-hub:lab/net"])
def test_without_a_network_it_fails_at_once_in_one_line(
    cache: Path, request_text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"cannot be reached.*HF_TOKEN.*\?file=") as caught:
        load_encoder(resolve(request_text), device="cpu")
    assert time.monotonic() - start < 6
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_user_who_went_offline_is_told_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="cannot be reached"):
        fetch_file("lab/net", "model.safetensors", "net")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "GatedRepo", r"the hub gives no access to lab/net.*set HF_TOKEN"),
        (401, "RepoNotFound", r"the hub gives no access to lab/net.*check the name"),
        (401, "", r"lab/net"),
        (
            404,
            "EntryNotFound",
            r"lab/net has no model\.safetensors and no pytorch_model\.bin.*\?file=",
        ),
        (404, "RevisionNotFound", r"no revision"),
        (404, "", r"lab/net"),
    ],
)
def test_a_hub_that_refuses_is_reported_with_the_remedy(
    cache: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str, says: str
) -> None:
    with answering(status, code) as endpoint:
        point_client(monkeypatch, endpoint)
        with pytest.raises(ConfigError, match=says) as caught:
            fetch_weights("lab/net", "net")
    assert "\n" not in str(caught.value)


def test_a_cached_repository_loads_offline_with_its_own_configuration(cache: Path) -> None:
    config = {
        "architecture": "resnet10t",
        "model_args": {"num_classes": 3},
        "pretrained_cfg": {
            "input_size": [3, 64, 64],
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "interpolation": "bilinear",
        },
    }
    snapshot = fill_cache(cache, "lab/net", config)
    network = timm.create_model("resnet10t", pretrained=False, num_classes=0)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    encoder = load_encoder(resolve("hf-hub:lab/net"), device="cpu")
    spec = encoder.spec
    assert (spec.architecture, spec.input_px, spec.dim) == ("resnet10t", 64, 512)
    assert (spec.mean, spec.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert spec.interpolation == "bilinear"
    assert encoder.weights_sha256 == digest_weights(network.state_dict())


def test_a_repository_of_pickled_tensors_loads_offline(cache: Path) -> None:
    snapshot = fill_cache(cache, "lab/net", {"architecture": "resnet10t"})
    network = timm.create_model("resnet10t", pretrained=False, num_classes=0)
    torch.save(network.state_dict(), snapshot / "pytorch_model.bin")
    encoder = load_encoder(resolve("hf-hub:lab/net"), device="cpu")
    assert encoder.weights_sha256 == digest_weights(network.state_dict())


def test_safetensors_win_where_a_repository_has_both(cache: Path) -> None:
    snapshot = fill_cache(cache, "lab/net", None)
    (snapshot / "pytorch_model.bin").write_bytes(b"not to be opened")
    (snapshot / "model.safetensors").write_bytes(b"ours")
    assert fetch_weights("lab/net", "net").name == "model.safetensors"


@pytest.mark.parametrize(
    ("safetensors_error", "asked"),
    [
        (errors.RemoteEntryNotFoundError, ["model.safetensors", "pytorch_model.bin"]),
        (errors.LocalEntryNotFoundError, ["model.safetensors"]),
    ],
)
def test_the_pickle_is_asked_for_only_where_the_hub_says_there_is_no_other_file(
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    safetensors_error: type[Exception],
    asked: list[str],
) -> None:
    found: list[str] = []

    def download(repo_id: str, filename: str, revision: str | None) -> str:
        found.append(filename)
        if filename == "model.safetensors":
            raise safetensors_error.__new__(safetensors_error)
        return f"/cache/{filename}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with answering(404, "EntryNotFound") as endpoint:
        point_client(monkeypatch, endpoint)
        if len(asked) == 2:
            assert fetch_weights("lab/net", "net") == Path("/cache/pytorch_model.bin")
        else:
            with pytest.raises(ConfigError, match="cannot be reached"):
                fetch_weights("lab/net", "net")
    assert found == asked


def test_a_repository_that_is_not_timms_is_refused(cache: Path) -> None:
    fill_cache(cache, "lab/net", {"model_type": "dinov2"})
    with pytest.raises(ConfigError, match=r"lab/net names no timm architecture"):
        load_encoder(resolve("hf-hub:lab/net"), device="cpu")
