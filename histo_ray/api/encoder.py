"""`hr.load_encoder`: a request to an encoder that is ready to run."""

from collections.abc import Sequence
from pathlib import Path

from histo_ray.encoders.base import Device, Engine, Precision
from histo_ray.encoders.load import LoadedEncoder
from histo_ray.encoders.load import load_encoder as load_resolved
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.remote_code import trust_code


def load_encoder(
    request: str,
    *,
    store: str | Path | None = None,
    encoder_table: Sequence[str | Path] = (),
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    engine: Engine = "torch",
    trust_remote_code: str | None = None,
) -> LoadedEncoder:
    """Load an encoder, ready to run.

    Args:
        request: As `--encoder` takes it: a name with an entry, `hf-hub:org/name`, a timm name, a
            file of weights, or the name of an encoder that was published into `store`.
        store: Folder or URI of the store to look published encoders up in.
        encoder_table: TOML files with encoders of your own.
        device: Where it runs; `auto`: the GPU if this process sees one.
        precision: Arithmetic; `auto`: float32 on CPU, float16 on GPU.
        threads: CPU threads that encode side by side; None: a core each.
        engine: What runs the network; `openvino`: on CPU only, an extra to be installed.
        trust_remote_code: Commit (40 digits) of the encoder's repository whose Python code may run.

    Returns:
        The encoder: `.encode(tiles)` takes (N, height, width, 3) uint8 RGB tiles and returns their
        (N, `.dim`) float32 embeddings; `.spec` says what it was made for.

    Raises:
        ConfigError: Unknown request, weights that cannot be had, or no such device.

    Examples:
        >>> import numpy as np
        >>> import histo_ray as hr
        >>> encoder = hr.load_encoder("random:resnet10t?seed=0&px=64", device="cpu")
        >>> encoder.encode(np.zeros((3, 64, 64, 3), np.uint8)).shape
        (3, 512)
    """
    tables = tuple(str(path) for path in encoder_table)
    spec = resolve(request, tables, None if store is None else str(store))
    (spec,) = trust_code([spec], () if trust_remote_code is None else (trust_remote_code,))
    return load_resolved(spec, device=device, precision=precision, threads=threads, engine=engine)
