"""Provenance on the page: runs, encoders, labels, folds, seeds and versions."""

import json
from collections.abc import Sequence

from pyarrow import ArrowException

from histo_ray.errors import StoreError
from histo_ray.evaluate.evaluation_record import TileSetRecord
from histo_ray.evaluate.tiles.groups_record import GroupsRecord
from histo_ray.report.evaluations import (
    OtherEvaluation,
    ShownEvaluation,
    TargetEvaluation,
    TileEvaluation,
)
from histo_ray.report.page_blocks import Card, Cards, Column, Section, Table
from histo_ray.store.layout import is_imported
from histo_ray.store.models import ModelCard, locate_models, read_card
from histo_ray.store.store import open_store
from histo_ray.text import count_of

_SHORT = 16
"""Digits of a digest that a table shows; the folded listing has all."""


def write_provenance(
    store: str, runs: list[ShownEvaluation], others: Sequence[OtherEvaluation] = ()
) -> Section:
    """Write the section, and name the runs that are not shown."""
    section = Section("what", "What was run")
    cards = []
    for run in runs:
        facts = _tissue_facts(run) if isinstance(run, TileEvaluation) else _outcome_facts(run)
        said = [(name, text) for name, text in [*facts, *_common_facts(run)] if text]
        title = f"{run.record.task.capitalize()}: {run.run_id}"
        cards.append(Card(title, said, _list_settings(run)))
    section.blocks += [_tabulate_encoders(store, runs), Cards(cards)]
    if others:
        section.blocks.append(_tabulate_others(store, others))
    return section


def _tabulate_others(store: str, others: Sequence[OtherEvaluation]) -> Table:
    columns = [
        *(Column(head, number=False) for head in ("run", "task", "when (UTC)", "encoders")),
        Column("repeats"),
        Column("folds"),
    ]
    rows = [
        [
            other.run_id,
            other.task,
            f"{other.record.created:%Y-%m-%d %H:%M}" if other.record.created_at else "–",
            ", ".join(getattr(other.record, "encoders", {})),
            f"{other.record.folds.repeats:,}",
            f"{other.record.folds.n_folds:,}",
        ]
        for other in others
    ]
    note = (
        f"This page shows the newest run of each task, or those named. Another: histo-ray report "
        f"{store} --run {others[0].run_id}; --run again for more beside it."
    )
    title = f"{count_of(len(others), 'other run')} in this store, not shown"
    return Table("other-runs", title, columns, rows, note=note)


def describe_origin(card: ModelCard | None, request: str) -> str:
    """Describe where an encoder's weights come from. Pure.

    Args:
        card: The card of an encoder that was published into the store; None for any other.
        request: What the encoder was asked for as.
    """
    if card is None:
        return "random weights, never trained" if request.startswith("random:") else "off the shelf"
    trained_on = count_of(sum(card.data.train.values()), "tile")
    text = f"{card.base.name}, fine-tuned on {card.data.name}"
    text += f" ({trained_on}, {len(card.classes)} classes), {card.created[:10]}"
    accuracy = card.metrics.accuracy
    return text + (f"; accuracy {accuracy:.3f} on held-out tiles" if accuracy is not None else "")


def _find_origin(store: str, encoder: str, request: str) -> str:
    try:
        return describe_origin(read_card(locate_models(store), encoder), request)
    except StoreError:
        return "published into the store; its card cannot be read"


def _tabulate_encoders(store: str, runs: list[ShownEvaluation]) -> Table:
    seen: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for row in _encoder_rows(store, run):
            tasks = seen.setdefault((row[0], row[3]), [*row, ""])
            tasks[-1] = ", ".join(filter(None, [tasks[-1], run.record.task]))
            for at, cell in enumerate(row):
                tasks[at] = tasks[at] or cell
    columns = [
        Column(head, number=False, about=about)
        for head, about in (
            ("encoder", "Its name in the store"),
            ("asked for as", ""),
            ("origin", "From the card of a published encoder"),
            ("weights (SHA-256)", f"First {_SHORT} digits; the settings below have all"),
            ("vector", "Length of an embedding"),
            ("tiles of slides", "Edge and resolution asked for, and the tiling's fingerprint"),
            ("partitions", "Slides in the snapshot"),
            ("tasks", ""),
        )
    ]
    return Table("encoders", "Encoders", columns, list(seen.values()))


def _encoder_rows(store: str, run: ShownEvaluation) -> list[list[str]]:
    rows = []
    if isinstance(run, TileEvaluation):
        for name, by_set in run.record.encoders.items():
            tissue = next(iter(by_set.values()))
            origin = _find_origin(store, name, tissue.request)
            weights = tissue.weights_sha256[:_SHORT]
            rows.append([name, tissue.request, origin, weights, "", "", ""])
        return rows
    for name, found in run.record.encoders.items():
        origin = _find_origin(store, name, found.request)
        if is_imported(found.tiling):
            origin = "imported from another tool"
        tiling = f"{_describe_tiling(store, name, found.tiling)}{found.tiling}"
        dim = f"{found.dim:,}" if found.dim else ""
        count = f"{found.partitions:,}" if found.partitions else ""
        weights = found.weights_sha256[:_SHORT]
        rows.append([name, found.request, origin, weights, dim, tiling, count])
    return rows


def describe_tilings(store: str, run: TargetEvaluation) -> dict[str, str]:
    """Describe how tiles were cut, by encoder; empty where a receipt does not say it."""
    return {
        name: _describe_tiling(store, name, found.tiling).removesuffix("; ")
        for name, found in run.record.encoders.items()
    }


def _describe_tiling(store: str, encoder: str, tiling: str) -> str:
    """Describe a tiling by one receipt: `224 px at 0.5 mpp, tissue otsu; `, or nothing."""
    if not tiling:
        return ""
    try:
        opened = open_store(store)
        keys = opened.list_keys(encoder, tiling)
        facts = opened.read_receipt(min(keys)).tiling.settings if keys else {}
    except (StoreError, OSError, ArrowException):
        return ""
    if not {"tile_px", "mpp", "tissue"} <= facts.keys():
        return ""
    stain = facts.get("stain", "none")
    stained = "" if stain == "none" else f", {stain}"
    return f"{facts['tile_px']} px at {facts['mpp']:g} mpp, tissue {facts['tissue']}{stained}; "


def _tissue_facts(run: TileEvaluation) -> list[tuple[str, str]]:
    sets = run.record.sets
    return [
        ("tiles" if key == "tiles" else "external tiles", _describe_set(found))
        for key, found in sets.items()
    ] + [("head", run.record.head), ("groups", _describe_groups(run.record.groups))]


def _describe_groups(groups: GroupsRecord) -> str:
    """Describe what kept tiles together; nothing of runs that do not say it."""
    if not groups.groups:
        return "none" if groups.source else ""
    where = f"column {groups.column}" if groups.column else groups.source
    return f"{groups.groups} ({where}){_digest(groups.sha256)}"


def _describe_set(found: TileSetRecord) -> str:
    text = f"{found.name}, {count_of(found.tiles, 'tile')}, {len(found.classes)} classes"
    return f"{text}{_digest(found.sha256)}"


def _digest(sha256: str) -> str:
    return f" (SHA-256 {sha256[:_SHORT]}…)" if sha256 else ""


def _outcome_facts(run: TargetEvaluation) -> list[tuple[str, str]]:
    labels = run.record.labels
    chosen = [
        " / ".join(str(value) for value in configuration.model_dump().values() if value)
        for configuration in run.record.configurations
    ]
    size = f"{count_of(labels.patients, 'patient')} x {count_of(labels.targets, run.words.target)}"
    return [
        ("labels", f"{labels.path}, {size}{_digest(labels.sha256)}" if labels.path else ""),
        ("transform", labels.transform),
        ("noted", "; ".join(labels.notes)),
        ("tried", "; ".join(chosen[:20]) + (" …" if len(chosen) > 20 else "")),
    ]


def _common_facts(run: ShownEvaluation) -> list[tuple[str, str]]:
    record = run.record
    folds = record.folds
    kept = f", a {folds.kept_together} is never split" if folds.kept_together else ""
    seeds = [str(seed) for seed in folds.seeds]
    if len(seeds) > 6:
        seeds = [*seeds[:3], "…", seeds[-1]]
    seconds = record.seconds
    duration = f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:g} s"
    when = f"{record.created:%Y-%m-%d %H:%M} {record.created.tzname()}" if record.created_at else ""
    return [
        ("folds", f"{folds.repeats} repeats of {folds.n_folds} folds{kept}{_digest(folds.sha256)}"),
        ("seeds", ", ".join(seeds)),
        ("when", f"{when}, took {duration}" if when else ""),
        ("versions", ", ".join(f"{name} {number}" for name, number in record.versions.items())),
        ("remark", record.remark),
    ]


def _list_settings(run: ShownEvaluation) -> str:
    """List encoders with full digests, and all settings, as they stand in run.json."""
    kept = {"labels", "folds", "encoders", "settings", "configurations", "head", "sets", "versions"}
    kept |= {"groups", "test_groups", "random_folds", "baseline_version"}
    exclude = {"labels": {"dropped"}}
    settings = run.record.model_dump(mode="json", include=kept, exclude=exclude, exclude_unset=True)
    return json.dumps(settings, indent=1, ensure_ascii=False)
