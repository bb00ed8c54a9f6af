"""Fetches single files of a model hub, and says in one line why it cannot."""

import logging
import os
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from histo_ray.errors import ConfigError

CONNECT_TIMEOUT_S = 4.0


def fetch_file(repository: str, filename: str, encoder: str) -> Path:
    """Bring one file of a repository onto this machine.

    A copy in the local cache wins: the weights behind a name must not change between runs, and
    the processes of a run need no network then.

    Args:
        repository: `org/name` or `org/name@revision`.
        filename: The file's path in it.
        encoder: Name of the encoder, for messages.

    Returns:
        The file in the hub's local cache.

    Raises:
        ConfigError: No network, no access, no such repository or file.
    """
    import huggingface_hub
    from huggingface_hub import errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line says it all
    repo, _, revision = repository.partition("@")
    asked: dict[str, Any] = {"repo_id": repo, "filename": filename, "revision": revision or None}
    try:
        cached = huggingface_hub.try_to_load_from_cache(**asked)
        if isinstance(cached, str):
            return Path(cached)
        _check_reachable(repo, encoder)
        return Path(huggingface_hub.hf_hub_download(**asked))
    except (errors.GatedRepoError, errors.RepositoryNotFoundError):
        raise ConfigError(
            f"encoder {encoder!r}: no access to the weights in {repo}, access wanted; check the "
            "name, accept the licence on its page and set HF_TOKEN, or download them elsewhere "
            "and add ?file=PATH.safetensors"
        ) from None
    except errors.LocalEntryNotFoundError:
        raise ConfigError(unreachable(repo, encoder)) from None
    except errors.EntryNotFoundError:
        raise ConfigError(
            f"encoder {encoder!r}: {repo} has no {filename}, weights as safetensors wanted (we "
            "load no pickle); convert them once, with safetensors.torch.save_file(torch.load("
            "path, weights_only=True), 'w.safetensors'), and add ?file=PATH.safetensors"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigError(
            f"encoder {encoder!r}: {repo} has no revision {revision!r}, one wanted; mend the name"
        ) from None
    except errors.HFValidationError as error:
        raise ConfigError(f"encoder {encoder!r}: {_one_line(error)}; mend the name") from None
    except _transport_errors() as error:
        raise ConfigError(f"{unreachable(repo, encoder)} ({_one_line(error)})") from None


def unreachable(repo: str, encoder: str) -> str:
    """What to say, and to do, when there is no way to the hub."""
    return (
        f"encoder {encoder!r}: the hub cannot be reached and {repo} is not in the local cache, "
        "weights wanted; connect (HF_TOKEN for gated ones), or download them elsewhere and add "
        "?file=PATH.safetensors"
    )


def is_reachable() -> bool:
    """Whether the hub answers, or a proxy stands before it."""
    try:
        _check_reachable("the hub", "")
    except ConfigError:
        return False
    return True


def _check_reachable(repo: str, encoder: str) -> None:
    """Fail in seconds without a network: the hub's own client retries for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConfigError(unreachable(repo, encoder))
    url = urlsplit(constants.ENDPOINT)
    if urllib.request.getproxies().get(url.scheme) or os.environ.get("ALL_PROXY"):
        return  # the proxy resolves names for us
    address = (url.hostname or "", url.port or (80 if url.scheme == "http" else 443))
    try:
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        raise ConfigError(unreachable(repo, encoder)) from None


def _transport_errors() -> tuple[type[BaseException], ...]:
    """The client's own base of HTTP errors, whichever library it uses, and the system's."""
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError.__mro__[1], OSError)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
