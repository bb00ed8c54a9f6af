"""What a run still has to do, without Ray."""

from dataclasses import replace
from pathlib import Path

import pytest

from histo_ray.config import ExtractConfig
from histo_ray.extract.resume import plan_agenda
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.slides.manifest import read_manifest
from histo_ray.store import receipt_cache
from histo_ray.store.store import open_store, peek_store
from histo_ray.types import Slide
from tests.made_up import facts_of, rows_of

COUNT = receipt_cache.LEAST + 4


def lay_out(folder: Path) -> tuple[ExtractConfig, list[Slide]]:
    """`COUNT` slides, all stored under encoder `e`; S1 without tiles."""
    config = ExtractConfig(
        manifest=str(folder / "slides.csv"), store=str(folder / "s"), encoder=("e",)
    )
    lines = ["slide_id,path"]
    for number in range(COUNT):
        (folder / f"S{number}.svs").write_bytes(bytes([number]) * 3)
        lines.append(f"S{number},S{number}.svs")
    Path(config.manifest).write_text("\n".join(lines))
    slides = read_manifest(config.manifest)
    store = open_store(config.store, create=True)
    for slide in slides:
        facts = facts_of(
            slide.slide_id,
            tiling=config.tiling.fingerprint(),
            patient_id=slide.patient_id,
            empty_reason="no tissue" if slide.slide_id == "S1" else "",
        )
        mark = {"fingerprint": fingerprint_file(slide.path)}
        facts = replace(facts, slide=facts.slide.model_copy(update=mark))
        store.commit(facts.key, facts, rows_of(0 if facts.empty_reason else 2))
    return config, slides


def test_what_is_stored_is_skipped_and_the_rest_is_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", -(10**10))
    config, slides = lay_out(tmp_path)
    (tmp_path / "S2.svs").write_bytes(b"another slide")
    late = Slide("late", str(tmp_path / "S3.svs"), "late")
    for _ in range(2):  # from the receipts, then from the catalogue
        agenda = plan_agenda([*slides, late], ["e"], open_store(config.store), config)
        assert [(work.slide_id, work.encoders) for work in agenda.todo] == [("late", ("e",))]
        told = {row.slide_id: (row.outcome, row.reason, row.n_tiles) for row in agenda.rows}
        assert len(told) == COUNT
        assert told["S0"] == ("skipped", "already stored", 2)
        assert told["S1"] == ("empty", "no tissue", 0)
        assert told["S2"][0] == "failed"
        assert told["S2"][1].startswith("the slide's file has changed since it was stored; --repl")

        assert (tmp_path / "s" / "cache" / "catalogue").is_dir()


def test_a_damaged_partition_is_named_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", -(10**10))
    config, slides = lay_out(tmp_path)
    (cut,) = Path(config.store).glob("embeddings/*/*/S3.parquet")
    cut.write_bytes(cut.read_bytes()[:40])
    for some in (slides, slides[:5]):  # by a listing, and by a look at each
        agenda = plan_agenda(some, ["e"], open_store(config.store), config)
        told = {row.slide_id: (row.outcome, row.reason) for row in agenda.rows}
        assert (agenda.todo, len(told)) == ([], len(some))
        assert told["S3"][0] == "failed"
        assert "S3.parquet" in told["S3"][1]
        assert told["S3"][1].endswith("--replace-changed extracts it again")
        assert [name for name, (outcome, _) in told.items() if outcome == "failed"] == ["S3"]
    again = config.model_copy(update={"replace_changed": True})
    agenda = plan_agenda(slides, ["e"], open_store(config.store), again)
    assert [work.slide_id for work in agenda.todo] == ["S3"]


def test_vectors_of_another_arithmetic_are_told_and_made_anew_on_request(tmp_path: Path) -> None:
    config, slides = lay_out(tmp_path)  # stored in float32
    store = open_store(config.store)

    def look(**changes: object) -> tuple[set[str], set[str]]:
        asked = config.model_copy(update=changes)
        agenda = plan_agenda(slides, ["e"], store, asked)
        todo = {work.slide_id for work in agenda.todo}
        return todo, {row.reason for row in agenda.rows if row.outcome == "skipped"}

    assert look(precision="float32", replace_changed=True) == (set(), {"already stored"})
    assert look(precision="bfloat16") == (set(), {"already stored, in float32"})
    todo, kept = look(precision="bfloat16", replace_changed=True)
    assert (len(todo), kept) == (COUNT - 1, set())  # S1 has no vectors


def test_a_look_at_a_store_writes_nothing_and_opens_no_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_cache, "SETTLED_NS", -(10**10))
    config, slides = lay_out(tmp_path)
    (tmp_path / "S2.svs").write_bytes(b"another slide")
    before = sorted(tmp_path.rglob("*"))
    store = peek_store(config.store)
    agenda = plan_agenda(slides, ["e", "f"], store, config, open_files=False)
    assert [work.encoders for work in agenda.todo] == [("f",)] * COUNT
    assert {row.outcome for row in agenda.rows} == {"skipped", "empty"}
    assert sorted(tmp_path.rglob("*")) == before


def test_a_corrected_manifest_needs_no_extraction_and_is_written_down(tmp_path: Path) -> None:
    config, slides = lay_out(tmp_path)
    store = open_store(config.store)
    lines = ["slide_id,path,case_id,center"]
    lines += [f"{s.slide_id},{s.slide_id}.svs,p{n // 2},bern" for n, s in enumerate(slides)]
    Path(config.manifest).write_text("\n".join(lines))
    agenda = plan_agenda(read_manifest(config.manifest), ["e"], store, config)
    assert agenda.todo == []
    assert {row.outcome for row in agenda.rows} == {"skipped", "empty"}
    (note,) = agenda.notes
    assert note.startswith(f"{COUNT} slides have another patient than before (as S0: S0, now p0)")
    store.write_run("20260101T080000-a", agenda.rows)
    patients = store.patients("e")
    assert patients["slide_ids"].tolist()[:2] == [("S0",), ("S2", "S3")]
    assert set(patients["sites"]) == {("bern",)}
    again = plan_agenda(read_manifest(config.manifest), ["e"], store, config)
    assert again.notes == ()


def test_a_store_with_tilings_of_earlier_tissue_detection_says_so(tmp_path: Path) -> None:
    config, slides = lay_out(tmp_path)
    store = open_store(config.store)
    (older,) = config.tiling.older_fingerprints()
    assert older != config.tiling.fingerprint()
    for name, encoder in (("S0", "e"), ("S3", "e"), ("S4", "f"), ("elsewhere", "e")):
        facts = facts_of(name, encoder, tiling=older)
        store.commit(facts.key, facts, rows_of(2))
    agenda = plan_agenda(slides, ["e"], store, config)
    (note,) = agenda.notes
    assert note.startswith(f"the store has 2 partitions of these slides in tiling {older}")
    assert f"this run writes tiling {config.tiling.fingerprint()} beside them" in note
    assert {row.outcome for row in agenda.rows} == {"skipped", "empty"}
    every = config.model_copy(update={"tissue": "none"})  # nothing was detected, nothing changed
    assert plan_agenda(slides, ["e"], store, every).notes == ()
