"""What the page of a slide says, as HTML; every text from the store is escaped. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from histo_ray.text import count_of
from histo_ray.types import PartitionKey
from histo_ray.view.addresses import Addresses
from histo_ray.view.neighbours import Neighbours
from histo_ray.view.tile_numbers import TileNumbers
from histo_ray.view.viewed_store import ViewedSlide

THUMB_PX = 96


def describe_slide(slide: ViewedSlide) -> str:
    """Facts of a slide in one line."""
    facts, tiling = slide.receipt.slide, slide.receipt.tiling
    parts = [count_of(len(slide.rows), "tile")]
    if facts.patient_id:
        parts.insert(0, f"patient {facts.patient_id}")
    if min(facts.size_px) > 0:
        parts.append(f"{facts.size_px[0]:,} x {facts.size_px[1]:,} px")
    if facts.mpp[0]:
        parts.append(f"{facts.mpp[0]:.4g} mpp")
    if tiling.realised_mpp[0]:
        parts.append(f"tiles at {tiling.realised_mpp[0]:.3g} mpp")
    if slide.receipt.empty_reason:
        parts.append(slide.receipt.empty_reason)
    return "  ·  ".join(parts)


def write_legend(numbers: TileNumbers, colours: Sequence[str]) -> str:
    """Swatch, name and share of each class; of numbers, what they are."""
    note = f"<div style='color:#5c6773'>{escape(numbers.note)}</div>"
    if not numbers.classes:
        return note
    known = numbers.values[np.isfinite(numbers.values)].astype(int)
    shares = np.bincount(known, minlength=len(numbers.classes)) / max(1, len(known))
    rows = [
        f"<div><span style='display:inline-block;width:14px;height:14px;background:{colour};"
        f"vertical-align:-2px'></span> {escape(name)} {share:.1%}</div>"
        for name, colour, share in zip(numbers.classes, colours, shares, strict=True)
    ]
    return note + "".join(rows)


def write_tile(
    slide: ViewedSlide,
    tile_id: int,
    numbers: Mapping[str, TileNumbers],
    addresses: Addresses,
    problem: str,
) -> str:
    """Picture and numbers of a tile."""
    x, y = slide.coords[tile_id].tolist()
    rows = [
        ("place", f"{x:,}, {y:,} px"),
        ("tissue", f"{slide.rows.tissue[tile_id]:.1%}"),
        ("focus", f"{slide.rows.focus[tile_id]:.4g}"),
    ]
    for name, overlay in numbers.items():
        value = overlay.values[tile_id]
        if name in ("tissue", "focus"):
            continue
        if overlay.classes and np.isfinite(value):
            rows.append((name, overlay.classes[int(value)]))
        else:
            rows.append((name, f"{value:.4g}"))
    cells = "".join(
        f"<tr><td style='color:#5c6773;padding-right:10px;vertical-align:top'>{escape(name)}</td>"
        f"<td>{escape(value)}</td></tr>"
        for name, value in rows
    )
    if problem:
        picture = f"<p>No picture: {escape(problem)}</p>"
    else:
        url = addresses.tile(slide.key, tile_id, 1024)
        picture = (
            f"<a href='{escape(url)}' target='_blank' rel='noopener'><img class='tile' "
            f"src='{escape(url)}' alt='tile {tile_id}' "
            "style='width:100%;max-width:320px;display:block;border:1px solid #d8dde3'></a>"
        )
    return f"<b>Tile {tile_id}</b>{picture}<table>{cells}</table>"


def write_neighbours(
    slide: ViewedSlide, tile_id: int, found: Neighbours, overlay: str, addresses: Addresses
) -> str:
    """The most similar tiles, each a link to its slide."""
    if found.problem:
        return f"<b>Most similar tiles</b><div>{escape(found.problem)}</div>"
    origin: dict[str, str | int] = {"from_slide": slide.slide_id, "from_tile": tile_id}
    cards = []
    for tile in found.tiles:
        key = PartitionKey(slide.key.encoder, slide.key.tiling, tile.slide_id)
        link = addresses.page(key, {"tile": tile.tile_id, "overlay": overlay, **origin})
        picture = addresses.tile(key, tile.tile_id, THUMB_PX)
        cards.append(
            f"<a class='neighbour' href='{escape(link)}' style='width:{THUMB_PX}px;color:#1c4fa3;"
            f"font-size:12px;overflow-wrap:anywhere'><img src='{escape(picture)}' alt='no picture' "
            f"loading='lazy' style='width:{THUMB_PX}px;height:{THUMB_PX}px;display:block;"
            f"background:#eceff2'>{escape(tile.slide_id)}<br>tile {tile.tile_id}, "
            f"{tile.similarity:.3f}</a>"
        )
    return (
        f"<b>Most similar tiles</b> <span style='color:#5c6773'>cosine, {escape(found.searched)}"
        f"</span><div style='display:flex;flex-wrap:wrap;gap:8px;margin-top:4px'>"
        f"{''.join(cards)}</div>"
    )
