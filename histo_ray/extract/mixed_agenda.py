"""Work of a run whose encoders have several tilings: one pass over a slide serves all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace

from histo_ray.config import ExtractConfig
from histo_ray.encoders.tile_groups import EncoderGroup
from histo_ray.extract.resume import Agenda, Marks, plan_agenda
from histo_ray.extract.subject import TiledSlide
from histo_ray.extract.work import SubjectWork
from histo_ray.store.store import Store
from histo_ray.types import RunRow, Slide


def plan_groups(
    slides: Sequence[Slide],
    groups: Sequence[EncoderGroup],
    store: Store | None,
    *,
    open_files: bool = True,
) -> Agenda:
    """Compare a manifest with a store, once for each tiling.

    Args:
        slides: The manifest.
        groups: Encoders of slides, by their tiling.
        store: Where partitions are; None if there is no store yet.
        open_files: Whether slides and masks are looked into.

    Returns:
        What is to do. With several tilings a slide has one work for each that it lacks something
        of, and these follow each other.
    """
    marks: Marks = {}
    agendas = []
    for group in groups:
        config = group.settings
        if not isinstance(config, ExtractConfig):
            raise TypeError("tile sets have one tiling")
        agendas.append(
            plan_agenda(slides, group.names, store, config, open_files=open_files, marks=marks)
        )
    if len(groups) == 1:
        return agendas[0]
    largest = max(group.settings.tile_px for group in groups)
    todo: dict[str, list[SubjectWork]] = {slide.slide_id: [] for slide in slides}
    rows: dict[str, list[RunRow]] = {slide.slide_id: [] for slide in slides}
    for at, (group, agenda) in enumerate(zip(groups, agendas, strict=True)):
        for work in agenda.todo:
            todo[work.slide_id].append(_of_group(work, group, at, largest))
        for row in agenda.rows:
            rows[row.slide_id].append(replace(row, tiling=group.tiling))
    return Agenda(
        [work for of_slide in todo.values() for work in of_slide],
        [row for of_slide in rows.values() for row in of_slide],
        tuple(dict.fromkeys(note for agenda in agendas for note in agenda.notes)),
        sum((agenda.kept for agenda in agendas), Counter()),
    )


def _of_group(work: SubjectWork, group: EncoderGroup, at: int, largest_px: int) -> SubjectWork:
    """Work on one slide for the encoders of one group."""
    slide, config = work.subject, group.settings
    if not isinstance(slide, Slide) or not isinstance(config, ExtractConfig):
        raise TypeError("tile sets have one tiling")
    values = {field.name: getattr(slide, field.name) for field in fields(Slide)}
    return SubjectWork(
        TiledSlide(**values, tiling=config.tiling, group=at),
        work.encoders,
        group=at,
        weight=(config.tile_px / largest_px) ** 2,
        broken=group.broken,
        tiling=group.tiling,
    )
