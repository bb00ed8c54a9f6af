"""Fetch weights that have a URL and no repository; a missing network is found in seconds."""

import os
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants

from histo_ray.encoders.request import WEIGHTS_SUFFIXES
from histo_ray.errors import ConfigError

CONNECT_TIMEOUT_S = 4.0
_HASH = re.compile(r"-([0-9a-f]{8,})\.[a-z]+$")
"""First digits of the SHA-256 in a file's name, as torch writes them."""


def fetch_url(url: str, encoder: str) -> Path:
    """Bring one file into torch's own cache, the place where timm looks too.

    A file already there wins and needs no network. A new one appears whole or not at all, and
    its SHA-256 is checked where the name holds some of it.

    Args:
        url: Where a weights file is.
        encoder: Name of the encoder, for messages.

    Returns:
        The file in `torch.hub.get_dir()/checkpoints`.

    Raises:
        ConfigError: No network, no such file, not the bytes its name promises, or not weights.
    """
    name = Path(urlsplit(url).path).name
    if not name.lower().endswith(WEIGHTS_SUFFIXES):
        raise ConfigError(
            f"encoder {encoder!r}: timm has its weights only as {url}, and weights are read from "
            f"{', '.join(WEIGHTS_SUFFIXES)}; convert them to safetensors once and add "
            "?file=PATH.safetensors"
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    if not can_reach(url):
        raise ConfigError(_unreachable(url, path, encoder))
    found = _HASH.search(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), found and found.group(1), progress=False)
    except OSError as error:
        problem = " ".join(str(error).split())[:200]
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise ConfigError(f"{_unreachable(url, path, encoder)} ({problem})") from None
    except RuntimeError as error:
        raise ConfigError(
            f"encoder {encoder!r}: {url} arrived damaged ({error}); try again, or download it "
            "elsewhere and add ?file=PATH.pth"
        ) from None
    return path


def can_reach(url: str) -> bool:
    """Whether its host answers, found out in seconds: clients retry for half a minute."""
    if constants.HF_HUB_OFFLINE:
        return False
    parts = urlsplit(url)
    if urllib.request.getproxies().get(parts.scheme) or os.environ.get("ALL_PROXY"):
        return True  # the proxy resolves names for us
    address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    try:
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _unreachable(url: str, path: Path, encoder: str) -> str:
    return (
        f"encoder {encoder!r}: its weights are not on this machine ({path}), and {url} cannot be "
        "reached; connect, or download the file elsewhere and put it there, or name it with "
        "?file=PATH.safetensors (or .pth)"
    )
