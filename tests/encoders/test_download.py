import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest
import timm
import torch

from histo_ray.encoders.download import fetch_url
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError

XCEPTION = "xception-43020ad28.pth"
"""What timm calls the weights behind `imgnet2048`."""


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's own cache of weights, empty."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub" / "checkpoints"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_weights_known_by_url_load_from_torchs_cache_without_network(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    full = timm.create_model("legacy_xception", pretrained=False)
    checkpoints.mkdir(parents=True)
    old = {k: v for k, v in full.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(old, checkpoints / XCEPTION, _use_new_zipfile_serialization=False)
    encoder = load_encoder(resolve("imgnet2048"), device="cpu")
    bare = {k: v for k, v in full.state_dict().items() if not k.startswith("fc.")}
    assert encoder.weights_sha256 == digest_weights(bare)
    assert (encoder.dim, encoder.spec.architecture) == (2048, "legacy_xception.tf_in1k")


def test_offline_it_says_where_to_put_the_file_at_once(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    start = time.monotonic()
    says = rf"'imgnet2048': .*{checkpoints}.*https://.*{XCEPTION} cannot be reached.*\?file=.*\.pth"
    with pytest.raises(ConfigError, match=says) as caught:
        load_encoder(resolve("imgnet2048"), device="cpu")
    assert time.monotonic() - start < 6
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_host_that_does_not_listen_is_found_out_at_once(checkpoints: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"cannot be reached.*\?file="):
        fetch_url("http://127.0.0.1:9/w.pth", "net")
    assert time.monotonic() - start < 6
    assert not checkpoints.exists()


def test_a_file_is_fetched_once_and_whole(checkpoints: Path, tmp_path: Path) -> None:
    content = b"weights" * 1000
    name = f"net-{hashlib.sha256(content).hexdigest()[:9]}.pth"
    (tmp_path / name).write_bytes(content)
    with serving(tmp_path) as root:
        path = fetch_url(f"{root}/{name}?download=1", "net")
    assert path == checkpoints / name
    assert path.read_bytes() == content
    assert fetch_url(f"{root}/{name}", "net") == path  # the server has gone
    assert list(checkpoints.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("net-00000000.pth", r"arrived damaged.*\?file="),
        ("none.pth", r"404.*"),
        ("net.pth.tar", r"weights only as http.* are read from \.safetensors, "),
    ],
)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(
    checkpoints: Path, tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "net-00000000.pth").write_bytes(b"other bytes")
    with serving(tmp_path) as root, pytest.raises(ConfigError, match=says) as caught:
        fetch_url(f"{root}/{name}", "net")
    assert "\n" not in str(caught.value)
    assert not checkpoints.exists() or not list(checkpoints.iterdir())
