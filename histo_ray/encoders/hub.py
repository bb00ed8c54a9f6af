"""Fetch single files of a model hub; errors are one line, with the remedy."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants, errors

from histo_ray.encoders.download import can_reach
from histo_ray.errors import ConfigError

WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names that repositories give their weights; the first one that is there is taken."""


def fetch_weights(repository: str, encoder: str) -> Path:
    """Bring the weights of a repository onto this machine; else as `fetch_file`."""
    return _fetch_first(
        repository,
        WEIGHTS_FILES,
        encoder,
        "choose another, or save them as safetensors and add ?file=PATH.safetensors (or .pth)",
    )


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
    return _fetch_first(
        repository, (filename,), encoder, "add ?arch=<timm name>, or choose another encoder"
    )


def find_file(repository: str, filename: str) -> Path | None:
    """A file of a repository in the local cache; None if it is not there. Asks no hub."""
    repo, _, revision = repository.partition("@")
    try:
        found = huggingface_hub.try_to_load_from_cache(
            repo_id=repo, filename=filename, revision=revision or None
        )
    except errors.HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def fetch_beside(repository: str, filename: str) -> None:
    """Bring a further file of a repository here if it has one and the hub answers; never fails."""
    if find_file(repository, filename) is None:
        with suppress(ConfigError):
            fetch_file(repository, filename, repository)


def _fetch_first(repository: str, filenames: Sequence[str], encoder: str, remedy: str) -> Path:
    """The first of `filenames` that is in the cache, else the first that the hub has."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line says it all
    repo, _, revision = repository.partition("@")
    asked: dict[str, Any] = {"repo_id": repo, "revision": revision or None}
    try:
        for filename in filenames:
            cached = huggingface_hub.try_to_load_from_cache(filename=filename, **asked)
            if isinstance(cached, str):
                return Path(cached)
        if not is_reachable():
            raise ConfigError(unreachable(repo, encoder))
        for filename in filenames[:-1]:
            try:
                return Path(huggingface_hub.hf_hub_download(filename=filename, **asked))
            except errors.LocalEntryNotFoundError:  # no network, which says nothing of the file
                raise
            except errors.EntryNotFoundError:
                continue
        return Path(huggingface_hub.hf_hub_download(filename=filenames[-1], **asked))
    except (errors.GatedRepoError, errors.RepositoryNotFoundError):
        raise ConfigError(
            f"encoder {encoder!r}: the hub gives no access to {repo}; check the name, accept the "
            "licence on its page and set HF_TOKEN, or download the weights elsewhere and add "
            "?file=PATH.safetensors (or .pth)"
        ) from None
    except errors.LocalEntryNotFoundError:
        raise ConfigError(unreachable(repo, encoder)) from None
    except errors.EntryNotFoundError:
        raise ConfigError(
            f"encoder {encoder!r}: {repo} has no {' and no '.join(filenames)}; {remedy}"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigError(
            f"encoder {encoder!r}: {repo} has no revision {revision!r}; correct what stands after "
            "the @, or leave it out"
        ) from None
    except errors.HFValidationError as error:
        raise ConfigError(
            f"encoder {encoder!r}: {repo!r} cannot be a repository ({_one_line(error)}); write "
            "hf-hub:ORG/NAME"
        ) from None
    except _transport_errors() as error:
        raise ConfigError(f"{unreachable(repo, encoder)} ({_one_line(error)})") from None


def unreachable(repo: str, encoder: str) -> str:
    """The message for a hub that cannot be reached, with its remedy."""
    return (
        f"encoder {encoder!r}: {repo} is not in the local cache, and the hub cannot be reached; "
        "connect (with HF_TOKEN for a gated repository), or download the weights elsewhere and add "
        "?file=PATH.safetensors (or .pth)"
    )


def is_reachable() -> bool:
    """Whether the hub answers, or a proxy stands before it."""
    return can_reach(constants.ENDPOINT)


def _transport_errors() -> tuple[type[BaseException], ...]:
    """The client's own base of HTTP errors, whichever library it uses, and the system's."""
    return (errors.HfHubHTTPError.__mro__[1], OSError)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
