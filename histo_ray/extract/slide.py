"""One slide from file to partition, without Ray: open, mask, grid, batches, vectors, partition.

`extract_slide` is the whole story in a few lines. `in_process` and
Ray's actors run the same pieces (`plan_slide`, `read_block`, `encode_block`, `partition_facts`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.encoders.base import Encoder
from histo_ray.encoders.encode_pass import TilePass
from histo_ray.errors import SlideError
from histo_ray.extract.loading import encoder_facts
from histo_ray.extract.loading import stored_name as stored_name
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.store.location import Location
from histo_ray.store.measures import MeasureReceipt, measures_path, write_measures
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import Store
from histo_ray.tiles.artefacts import measure_artefacts, overview_mpp
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.pixels import FoundTissue, fit_slide_stain, locate_tissue, read_batch
from histo_ray.tiles.quality import measure_focus
from histo_ray.tiles.segmenters import state_segmenter
from histo_ray.tiles.stain import StainFit, normalise
from histo_ray.types import (
    EncoderFacts,
    Floats,
    LevelRead,
    Receipt,
    Slide,
    SlideFacts,
    TileGrid,
    TileRows,
    TilingFacts,
)


@dataclass(frozen=True)
class SubjectPlan:
    """All that is known of a slide or tile set before its first tile is read."""

    slide: SlideFacts
    tiling: TilingFacts
    grid: TileGrid
    level_read: LevelRead | None
    """How tiles are read from a pyramid; None for tiles that are given as files."""
    empty_reason: str
    """Why the grid is empty, if it is; else empty."""
    stain: StainFit | None = None
    """How its tiles' stain is normalised, if at all."""
    texts: Mapping[str, npt.NDArray[np.str_]] = field(default_factory=dict)
    """(N,) of each optional column that its partitions have: `label`, `group`."""
    measures: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """(N,) `ink` and `fold`; empty where tissue was not found on an overview."""
    overview_mpp: tuple[float, float] = (0.0, 0.0)
    """(x, y) microns per px of that overview; 0 without."""


@dataclass(frozen=True)
class TileBlock:
    """Pixels and focus of some consecutive tiles of one slide."""

    pixels: npt.NDArray[np.uint8]
    """(n, tile_px, tile_px, 3) RGB."""
    focus: npt.NDArray[np.float32]
    """(n,) variance of the Laplacian."""


def open_manifest_slide(
    slide: Slide,
    fallback_mpp: float | None,
    reader: str = "auto",
    cache: SlideCache | None = None,
) -> OpenedSlide:
    """Open a manifest's slide with the mpp that the manifest or the flag gives."""
    return open_slide(
        slide.path,
        slide_id=slide.slide_id,
        mpp=slide.mpp,
        fallback_mpp=fallback_mpp,
        reader=reader,
        cache=cache,
    )


def slide_cache(config: ExtractConfig) -> SlideCache:
    """Cache of remote slides that have to be on this machine."""
    folder = None if config.cache_dir is None else Path(config.cache_dir).expanduser()
    return SlideCache(folder, config.cache_gb)


def plan_slide(
    opened: OpenedSlide, slide: Slide, tiling: TilingConfig, found: FoundTissue | None = None
) -> SubjectPlan:
    """Find the tissue of an opened slide and lay its grid.

    Args:
        opened: The slide.
        slide: Its row of the manifest.
        tiling: Tiles asked for.
        found: What `locate_tissue` has found for the same settings of tissue; None: not yet.

    Raises:
        SlideError: No mpp, too coarse, unreadable, or not bright-field.
    """
    pyramid = opened.pyramid
    level_read = choose_level(pyramid, tiling.mpp, tiling.tile_px)
    mask, reason, mask_digest = found or locate_tissue(opened, tiling)
    grid = plan_tiles(pyramid, mask, tiling)
    if not len(grid) and not reason:
        reason = (
            f"no tile of {tiling.tile_px} px at {tiling.mpp:g} mpp lies inside the slide and is "
            f"at least {tiling.min_tissue:.0%} tissue"
        )
    stain = fit_slide_stain(opened, grid, level_read, tiling)
    level_mpp = [m * d for m, d in zip(pyramid.mpp, level_read.downsample, strict=True)]
    realised = [m * e / tiling.tile_px for m, e in zip(level_mpp, level_read.extent, strict=True)]
    facts = SlideFacts(
        slide_id=slide.slide_id,
        patient_id=slide.patient_id,
        site=slide.site,
        path=slide.path,
        fingerprint=opened.fingerprint,
        size_px=pyramid.size,
        mpp=(pyramid.mpp.x, pyramid.mpp.y),
        mpp_source=pyramid.mpp_source,
        reader=opened.reader,
        vendor=opened.vendor,
        levels_left_out=opened.levels_left_out,
        tissue_share=None if mask is None else round(mask.tissue_share, 6),
        ink_share=None if mask is None or mask.ink_share is None else round(mask.ink_share, 6),
    )
    tiling_facts = TilingFacts(
        fingerprint=tiling.fingerprint(),
        settings=tiling.model_dump(mode="json"),
        level=level_read.level,
        downsample=level_read.downsample,
        side=grid.side,
        realised_mpp=(realised[0], realised[1]),
        tissue_method=tiling.tissue,
        tissue_digest=mask_digest,
        stain_fit=None if stain is None else asdict(stain),
        segmenter=state_segmenter(tiling.tissue, tiling.mask_classes),
    )
    return SubjectPlan(
        facts,
        tiling_facts,
        grid,
        level_read,
        "" if len(grid) else reason,
        stain,
        measures={} if mask is None else measure_artefacts(mask, pyramid, grid),
        overview_mpp=(0.0, 0.0) if mask is None else overview_mpp(mask, pyramid),
    )


def keep_measures(root: Location, plan: SubjectPlan, replace: bool) -> None:
    """Write what was measured of the tiles of a plan, once a tiling, before its partitions appear.

    Args:
        root: The store.
        plan: Of a slide whose partition is about to be written.
        replace: Whether partitions are written anew, so this is, too.
    """
    if not plan.measures:
        return
    slide, tiling = plan.slide, plan.tiling.fingerprint
    if not replace and root.child(measures_path(tiling, slide.slide_id)).kind():
        return
    receipt = MeasureReceipt(
        slide_id=slide.slide_id,
        fingerprint=slide.fingerprint,
        tiling=tiling,
        overview_mpp=plan.overview_mpp,
    )
    write_measures(root, receipt, plan.grid.coords, plan.measures)


INK_CAVEAT = 0.1
"""Share of the stained area above which pen ink is remarked on."""


def ink_remark(slide: SlideFacts) -> str:
    """Remark on a slide where pen ink is more than `INK_CAVEAT` of what is stained; else empty."""
    tissue, ink = slide.tissue_share or 0.0, slide.ink_share or 0.0
    if ink <= INK_CAVEAT * (tissue + ink):
        return ""
    return (
        f"pen ink covers {ink:.1%} of the slide and tissue {tissue:.1%}: ink is left out, and so "
        "is the tissue below it; see the slide with `histo-ray plan --pictures DIR`, and give a "
        "mask (--tissue) if that is not ink"
    )


def read_block(
    opened: OpenedSlide,
    plan: SubjectPlan,
    tile_px: int,
    span: range,
    into: npt.NDArray[np.uint8] | None = None,
) -> TileBlock:
    """Read the tiles of `span` (tile_ids), measure their focus, then normalise their stain.

    Args:
        opened: The slide.
        plan: Its plan.
        tile_px: Edge of a tile.
        span: Which tiles.
        into: Memory for their pixels, (n, tile_px, tile_px, 3) uint8; None: of their own.

    Raises:
        SlideError: The file cannot be read there.
    """
    if plan.level_read is None:
        raise ValueError(f"{plan.grid.slide_id}: its tiles are files of their own")
    batch = read_batch(opened, plan.grid, plan.level_read, tile_px, span.start, span.stop, into)
    focus = measure_focus(batch.pixels)
    if plan.stain is not None:
        batch.pixels[:] = normalise(batch.pixels, plan.stain)
    return TileBlock(batch.pixels, focus)


def encode_block(
    encoder: Encoder, pixels: npt.NDArray[np.uint8] | TilePass, batch_size: int, dtype: str
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Encode tiles in the store's precision, and find vectors that are not finite.

    Args:
        encoder: Loaded encoder.
        pixels: (n, tile_px, tile_px, 3) uint8 RGB, or n tiles that other encoders take, too.
        batch_size: Tiles in each call of the encoder; the last call is padded to it, so a vector
            does not depend on its neighbours.
        dtype: `float16` or `float32`.

    Returns:
        (n, D) vectors and (n,) bool, true where a value is not finite in `dtype`.
    """
    tiles = pixels if isinstance(pixels, TilePass) else TilePass([pixels])
    with np.errstate(over="ignore"):  # an overflow is reported, row by row, below
        vectors = tiles.encode_with(encoder, batch_size).astype(dtype)
    return vectors, ~np.isfinite(vectors).all(axis=1)


def nonfinite_problem(facts: EncoderFacts, tile_id: int) -> str:
    """Problem of a slide that an encoder could not encode, in words.

    Args:
        facts: The encoder: a plugin's own numbers call for another remedy than a rounding of ours.
        tile_id: The first such tile.
    """
    found = f"encoder {facts.name}: not a finite {facts.dtype} vector for tile {tile_id}; the slide"
    narrow = facts.dtype == "float16"
    if facts.plugin:
        larger = " (a number beyond 65,504 is stored with --dtype float32)" if narrow else ""
        return (
            f"{found} is left out of the store; encode() of the plugin {facts.plugin} must return "
            f"finite numbers for every tile: correct it there{larger}"
        )
    remedies = ["--precision float32"] if facts.precision != "float32" else []
    remedies += ["--dtype float32"] if narrow else []
    remedy = f"try {' or '.join(remedies)}" if remedies else "check its weights, mean and std"
    return f"{found} is left out of the store; {remedy}"


def partition_facts(plan: SubjectPlan, encoder: EncoderFacts, run_id: str) -> PartitionFacts:
    """Receipt of one partition, but for what is counted while writing."""
    return PartitionFacts(
        slide=plan.slide,
        tiling=plan.tiling,
        encoder=encoder,
        run_id=run_id,
        empty_reason=plan.empty_reason,
        text_columns=tuple(plan.texts),
    )


def extract_slide(
    slide: Slide,
    config: ExtractConfig,
    encoders: Sequence[Encoder],
    store: Store,
    run_id: str = "local",
) -> list[Receipt]:
    """Extract one slide with some encoders, in this process; each encoder reads the slide anew.

    Raises:
        SlideError: The slide cannot be used; nothing of it is in the store.
        ConfigError: The settings break an encoder's contract.
    """
    receipts = []
    batch_size = config.batch_size or 32
    cache = slide_cache(config)
    with open_manifest_slide(slide, config.slide_mpp, config.slide_reader, cache) as opened:
        plan = plan_slide(opened, slide, config.tiling)
        for encoder in encoders:
            facts = encoder_facts(
                encoder, config, config.dtype, allow_contract_break=config.allow_contract_break
            )
            partition = partition_facts(plan, facts, run_id)
            rows = _encode_rows(opened, plan, encoder, facts, batch_size)
            keep_measures(store.root, plan, replace=False)
            receipts.append(store.commit(partition.key, partition, rows, format=config.format))
    return receipts


def _encode_rows(
    opened: OpenedSlide, plan: SubjectPlan, encoder: Encoder, facts: EncoderFacts, batch_size: int
) -> Iterator[TileRows]:
    grid, tile_px = plan.grid, plan.tiling.settings["tile_px"]
    for start in range(0, len(grid), batch_size):
        span = range(start, min(start + batch_size, len(grid)))
        block = read_block(opened, plan, tile_px, span)
        vectors, bad = encode_block(encoder, block.pixels, batch_size, facts.dtype)
        if bad.any():
            raise SlideError(
                grid.slide_id,
                nonfinite_problem(facts, start + int(bad.argmax())),
            )
        rows = slice(span.start, span.stop)
        yield TileRows(grid.coords[rows], grid.tissue[rows], block.focus, vectors)
