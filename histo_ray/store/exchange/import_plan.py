"""Plan an import: which layout, whose features, which slides, and what the store has of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from histo_ray.errors import ConfigError, SlideError, StoreError
from histo_ray.slides.barcodes import parse_barcode
from histo_ray.slides.manifest import SAFE_IDS, is_safe_id
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.import_slide import opened
from histo_ray.store.exchange.registry import IMPORT_LAYOUTS, find_import_layout
from histo_ray.store.exchange.source import FeatureSet, ImportLayout, SourceSlide
from histo_ray.store.layout import check_slug
from histo_ray.store.store import Store
from histo_ray.store.verify import check_encoder
from histo_ray.text import count_of, did_you_mean, name_some
from histo_ray.types import UNKNOWN_WEIGHTS, EncoderFacts, PartitionKey, Receipt, Slide

LOOKED_INTO = 50
"""Slides that are opened, at most, to learn the length of an encoder's vectors."""


@dataclass(frozen=True)
class FoundFeatures:
    """The features that are imported."""

    layout: ImportLayout
    features: FeatureSet
    folder: Path
    others: tuple[str, ...]
    """Names of the folder's other encoders."""


@dataclass(frozen=True)
class MatchedSlides:
    """Sources and the slides of the store that they are."""

    pairs: tuple[tuple[SourceSlide, Slide], ...]
    lacking: tuple[Slide, ...]
    """Slides of the manifest without a file."""
    unnamed: tuple[str, ...]
    """Sources that the manifest does not name."""


def find_features(config: ImportConfig) -> FoundFeatures:
    """Find the features of one encoder below the folder.

    Raises:
        ConfigError: None, of several layouts or encoders, or no local folder.
    """
    folder = _local_folder(config.folder, "DIR")
    coords = None if config.coords is None else _local_folder(config.coords, "--coords")
    named = config.layout is not None
    asked = [find_import_layout(config.layout)] if config.layout else IMPORT_LAYOUTS
    try:
        found = {one: sets for one in asked if (sets := one.find(folder, coords, named))}
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror or error})") from None
    if not found:
        layouts = "; ".join(f"{one.name}: {one.reads}" for one in asked)
        raise ConfigError(
            f"{folder}: no features of a known layout below it; name the folder that has them "
            f"({layouts}); name the layout of files that state nothing with --from"
        )
    if len(found) > 1:
        names = ", ".join(layout.name for layout in found)
        raise ConfigError(f"{folder}: features of several layouts ({names}); name one with --from")
    ((layout, sets),) = found.items()
    chosen = choose_set(sets, config.source_encoder, str(folder))
    return FoundFeatures(layout, chosen, folder, tuple(s.encoder for s in sets if s is not chosen))


def choose_set(sets: Sequence[FeatureSet], asked: str | None, folder: str) -> FeatureSet:
    """Choose the features of one encoder. Pure.

    Raises:
        ConfigError: No such encoder, or several and none is named.
    """
    names = [one.encoder for one in sets]
    shown = ", ".join(name or "(without a name)" for name in names)
    if asked is None and len(sets) == 1:
        return sets[0]
    if asked is None:
        raise ConfigError(
            f"{folder}: features of {len(sets)} encoders or folders ({shown}); name one with "
            "--source-encoder, or its own folder"
        )
    fitting = [one for one in sets if one.encoder == asked]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigError(
            f"--source-encoder {asked}: {len(fitting)} folders below {folder} have features of "
            "it, as of tiles of several sizes; name one of these folders"
        )
    raise ConfigError(
        f"--source-encoder {asked}: {folder} has features of {shown}{did_you_mean(asked, names)}"
    )


def match_slides(sources: Iterable[SourceSlide], manifest: Sequence[Slide] | None) -> MatchedSlides:
    """Match sources and slides of a manifest, by slide_id or by the name of the slide's file. Pure.

    Args:
        sources: All that the folder has.
        manifest: Its slides; None: each source is a slide, of the patient in its TCGA barcode.
    """
    if manifest is None:
        return MatchedSlides(tuple((one, _name_slide(one.name)) for one in sources), (), ())
    by_name = {PurePosixPath(slide.path).stem: slide for slide in manifest if slide.path}
    by_name |= {slide.slide_id: slide for slide in manifest}
    pairs, unnamed = [], []
    for source in sources:
        slide = by_name.get(source.name)
        if slide is None:
            unnamed.append(source.name)
        else:
            pairs.append((source, slide))
    there = {slide.slide_id for _, slide in pairs}
    lacking = tuple(slide for slide in manifest if slide.slide_id not in there)
    return MatchedSlides(tuple(pairs), lacking, tuple(unnamed))


def restrict_slides(matched: MatchedSlides, asked: Sequence[str]) -> MatchedSlides:
    """Those of some slides that are asked for by slide_id. Pure.

    Args:
        matched: All of them.
        asked: None of them: all slides.

    Raises:
        ConfigError: One is not among them.
    """
    if not asked:
        return matched
    known = [
        *(slide.slide_id for _, slide in matched.pairs),
        *(s.slide_id for s in matched.lacking),
    ]
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"--slide {name}: not among the slides that are there "
                f"({name_some(known)}){did_you_mean(name, known)}"
            )
    pairs = tuple((source, slide) for source, slide in matched.pairs if slide.slide_id in asked)
    lacking = tuple(slide for slide in matched.lacking if slide.slide_id in asked)
    return MatchedSlides(pairs, lacking, matched.unnamed)


def _name_slide(name: str) -> Slide:
    barcode = parse_barcode(name)
    if barcode is None:
        return Slide(name, "", name)
    return Slide(name, "", barcode.patient, barcode.site)


def check_names(pairs: Iterable[tuple[SourceSlide, Slide]]) -> dict[str, str]:
    """What is wrong with slides as partitions of a store, by the name of the source. Pure."""
    problems: dict[str, str] = {}
    taken: dict[str, str] = {}
    for source, slide in pairs:
        if not is_safe_id(slide.slide_id):
            problems[source.name] = (
                f"slide_id {slide.slide_id!r} is not safe as a file name; use {SAFE_IDS}: give it "
                "another one in a --manifest, in the row whose path has this name"
            )
        first = taken.setdefault(slide.slide_id, source.name)
        if first != source.name:
            problems[source.name] = f"is slide {slide.slide_id}, as {first} is; leave one out"
    return problems


def describe_encoder(
    config: ImportConfig, found: FoundFeatures, store: Store, imported: Mapping[str, Receipt]
) -> EncoderFacts:
    """What receipts say of the encoder; length and type are the store's, or the first slide's.

    Raises:
        ConfigError: No slide tells the length of its vectors.
        StoreError: The name is in use for other vectors.
    """
    name = check_slug("encoder", config.encoder)
    if store.root.child(f"models/{name}").kind():
        raise StoreError(
            f"encoder {name}: store {store.root.path} has a model of that name (models/{name}), "
            "whose own features would mix with imported ones; give another --encoder"
        )
    known = next(iter(imported.values()), None)
    if known is None:
        dim, dtype = _learn_shape(found)
    else:
        dim, dtype = known.encoder.dim, known.encoder.dtype
    about = EncoderFacts(
        name=name,
        request=f"{found.layout.name}:{found.features.encoder or 'unnamed'}",
        architecture="unknown",
        weights_sha256=config.weights_sha256 or UNKNOWN_WEIGHTS,
        dim=dim,
        input_px=0,
        mean=(0.0, 0.0, 0.0),
        std=(0.0, 0.0, 0.0),
        interpolation="unknown",
        pool="unknown",
        dtype=config.dtype or ("float16" if dtype == "float16" else "float32"),
        precision="unknown",
        device="unknown",
        batch_norm_folded=False,
        contract_broken="",
        imported_from=found.layout.name,
    )
    check_encoder(store.root, about)
    return about


def _learn_shape(found: FoundFeatures) -> tuple[int, str]:
    """Length and type of the vectors of the first slide that has any.

    Raises:
        ConfigError: No slide can be opened, or none tells.
    """
    empty: tuple[int, str] | None = None
    problem = "no slide"
    for slide in found.features.slides[:LOOKED_INTO]:
        try:
            with opened(found.layout, slide) as tiles:
                shape, dtype = tiles.vectors.shape, tiles.vectors.dtype
        except SlideError as error:
            problem = str(error)
            continue
        if shape[0] and shape[1] and dtype.kind == "f":
            return shape[1], np.dtype(dtype.newbyteorder("=")).name
        if len(shape) > 1 and shape[1]:
            empty = empty or (shape[1], np.dtype(dtype).name)
        problem = f"{slide.name} holds {shape[0]} vectors of {dtype}"
    if empty is not None:
        return empty
    raise ConfigError(
        f"{found.folder}: none of the first {min(LOOKED_INTO, len(found.features.slides))} slides "
        f"has vectors that can be imported ({problem})"
    )


class StoredImports(NamedTuple):
    """What a store has of an encoder from earlier imports."""

    receipts: dict[str, Receipt]
    """By slide; of one that is there in several tilings, the newest."""
    damaged: frozenset[str]
    """Slides with a partition that cannot be read."""


def list_imported(store: Store, encoder: str) -> StoredImports:
    """List what a store has of an encoder from earlier imports."""
    found: dict[str, Receipt] = {}
    damaged: set[str] = set()

    def note(key: PartitionKey, error: StoreError) -> None:
        damaged.add(key.slide_id)

    keys = store.list_keys(encoder)
    for key, receipt in store.each_receipt(keys, note) if keys else ():
        known = found.get(key.slide_id)
        if receipt.imported and (known is None or known.created_at <= receipt.created_at):
            found[key.slide_id] = receipt
    return StoredImports(found, frozenset(damaged))


def note_features(found: FoundFeatures, matched: MatchedSlides) -> list[str]:
    """Lines for the user on what was found, and what of it is left out. Pure."""
    encoder = found.features.encoder
    named = f" of encoder {encoder}" if encoder else ""
    slides = count_of(len(found.features.slides), "slide")
    others = f" (also there: {name_some(found.others)})" if found.others else ""
    lines = [f"{slides} in the layout of {found.layout.name}{named}{others}"]
    if matched.unnamed:
        lines.append(
            f"{count_of(len(matched.unnamed), 'slide')} not in the manifest and left out: "
            f"{name_some(matched.unnamed)}"
        )
    return lines


def _local_folder(path: str, what: str) -> Path:
    if "://" in path:
        raise ConfigError(f"{what} {path}: features are read from a local folder; copy it here")
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(f"{what} {path}: no such folder; check the path")
    return folder
