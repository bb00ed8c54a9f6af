"""The demo: from synthetic slides to features, three evaluated tasks and a report."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from histo_ray.api.report_heatmaps import heatmaps_of
from histo_ray.cluster.run_extract import run_extract
from histo_ray.cluster.session import ray_session
from histo_ray.config import ExtractConfig
from histo_ray.demo.other_site import fit_predictor, validate_elsewhere
from histo_ray.demo.patient_tasks import REMARK, evaluate_patient_tasks
from histo_ray.demo.pictures import draw_pictures
from histo_ray.demo.tissue_task import BASE, TUNED, compare_encoders, fine_tune
from histo_ray.errors import ConfigError
from histo_ray.extract.recorder import RunSummary
from histo_ray.report.page import summarise, write_report
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.store import Store, open_store
from histo_ray.synth.cohort import CohortSize, write_demo_cohort
from histo_ray.synth.other_site import write_other_site
from histo_ray.synth.patient_writer import write_demo_patients
from histo_ray.synth.tile_writer import write_demo_tiles
from histo_ray.types import Slide

ENCODERS = (BASE, TUNED)
TILES_A_CLASS = 60
PATIENTS = 36
PATIENTS_SMALL = 15
ELSEWHERE = 16
"""Patients of the other site."""
ELSEWHERE_SMALL = 12
SETTINGS_FILE = "demo.json"
"""What a demo was made with; its folder is known by it."""
SEEN_PX = 64
"""Input size of the demo's network: tiles of 224 px at 0.5 mpp are shrunk to it."""
SEEN_MPP = 0.5 * 224 / SEEN_PX
COUNTS_SQL = """select slide_id, encoder, count(*) as tiles, round(avg(tissue), 2) as tissue
from embeddings where slide_id like 'SYN-0%' group by all order by all"""
ALIKE_SQL = """with means as (
  select encoder, slide_id, place, avg(value) as value
  from (select encoder, slide_id, unnest(embedding::FLOAT[]) as value,
               generate_subscripts(embedding, 1) as place
        from embeddings where slide_id like 'SYN-0%')
  group by all),
vectors as (
  select encoder, slide_id, list(value order by place) as mean from means group by all)
select a.encoder, a.slide_id, arg_max(b.slide_id, s) as most_alike, round(max(s), 4) as cosine
from (select a, b, list_cosine_similarity(a.mean, b.mean) as s
      from vectors a join vectors b on a.encoder = b.encoder and a.slide_id <> b.slide_id)
group by all order by all"""


class DemoResult(NamedTuple):
    """Files that a demo made, and what its pages say; all of it from SYNTHETIC data."""

    store: str
    report: str
    other_store: str
    other_report: str
    pictures: list[str]
    findings: list[str]
    tile_auroc: float
    """AUROC of the heat map's scores for what was drawn, 0..1."""
    synthetic: bool = True


def run_demo(out: Path, *, small: bool, seed: int, say: Callable[[str], None]) -> DemoResult:
    """Run the demo in folder `out`; run again, it goes on there, and its store is kept.

    Args:
        out: Folder to make.
        small: Smaller slides, fewer patients.
        seed: Of the synthetic slides.
        say: Called with what is done next.

    Raises:
        ConfigError: `out` holds something else.
        KeyboardInterrupt: It was interrupted; what is done stays done.
    """
    began = time.monotonic()
    _claim_folder(out, {"small": int(small), "seed": seed})
    store_folder = str(out / "store")
    say(f"demo: drawing SYNTHETIC slides and labelled tiles into {out} (no patient's tissue)")
    size: CohortSize = "small" if small else "normal"
    shown = write_demo_cohort(out / "slides", seed=seed, size=size)
    files = write_demo_patients(out / "patients", seed, PATIENTS_SMALL if small else PATIENTS, size)
    elsewhere = write_other_site(
        out / "other-site", seed, ELSEWHERE_SMALL if small else ELSEWHERE, size
    )
    manifest = _join_manifests(out / "slides.csv", shown, files.manifest)
    count = TILES_A_CLASS // (2 if small else 1)
    train_tiles, test_tiles = (
        write_demo_tiles(out / f"tiles-{part}", count, seed + number, SEEN_PX, SEEN_MPP, group)
        for number, (part, group) in enumerate((("learned", "SYN-A"), ("compared", "SYN-B")))
    )
    with ray_session("local"):
        fine_tune(train_tiles, store_folder, epochs=1 if small else 4, say=say)
        config = ExtractConfig(
            manifest=str(manifest), store=store_folder, encoder=ENCODERS, batch_size=16
        )
        say("demo: extracting slides with both encoders from one read of each slide")
        say(f"  histo-ray extract --manifest {manifest} --store {config.store} \\")
        say("    " + " ".join(f"--encoder '{request}'" for request in ENCODERS))
        summary = run_extract(config)
        if summary.interrupted:
            raise KeyboardInterrupt
        slides = read_manifest(str(shown))
        _tell_outcomes(slides, summary)
        compare_encoders(test_tiles, store_folder, repeats=2 if small else 10, say=say)
        predictor = fit_predictor(files, store_folder, REMARK, say, small=small)
        evaluate_patient_tasks(files, store_folder, ENCODERS, say, small=small)
    other_store = str(out / "store-other-site")
    truth = validate_elsewhere(
        elsewhere, predictor, store_folder, other_store, out / "pictures", say
    )
    store = open_store(config.store)
    checked, problems = store.verify()
    print(f"\nstore verify: {checked} partitions checked, {len(problems)} problems")
    _ask(store, config.store)
    pictures = draw_pictures(out / "pictures", slides, config, summary, store, say)
    print("\nPictures:")
    for path in (truth.picture, *pictures):
        print(f"  {path}")
    report = write_report(
        config.store, out / "report.html", find_heatmaps=heatmaps_of(config.store)
    )
    external = write_report(other_store, out / "report-other-site.html")
    say(f"demo: done in {time.monotonic() - began:.0f} s; ask the store yourself, for example")
    say(f"  .venv/bin/histo-ray store ls --slides {config.store}")
    print("\nReports (SYNTHETIC data throughout):")
    findings: list[str] = []
    for page, folder in ((report, store_folder), (external, other_store)):
        print(f"  {page}")
        for finding in summarise(folder):
            findings.append(f"{finding.task}: {finding.sentence}")
            print(f"    {finding.task}: {finding.sentence}")
    print(
        f"    heat maps: AUROC {truth.tile_auroc:.3f} of the tiles' scores for what was drawn "
        f"(1 is perfect); look at {truth.picture}"
    )
    return DemoResult(
        store=store_folder,
        report=str(report),
        other_store=other_store,
        other_report=str(external),
        pictures=[str(path) for path in (truth.picture, *pictures)],
        findings=findings,
        tile_auroc=float(truth.tile_auroc),
    )


def _join_manifests(joint: Path, *manifests: Path) -> Path:
    """Join several manifests into one beside their folders."""
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in manifests]
    for table, path in zip(tables, manifests, strict=True):
        table["path"] = f"{path.parent.name}/" + table["path"]
    pd.concat(tables).fillna("").to_csv(joint, index=False)
    return joint


def _tell_outcomes(slides: list[Slide], summary: RunSummary) -> None:
    print("What became of every slide (synthetic; one broken and one empty on purpose):")
    rows = {row.slide_id: row for row in summary.rows}
    for slide in slides:
        row = rows.pop(slide.slide_id)
        print(f"  {row.outcome:<7} {row.slide_id}  {row.n_tiles:>4} tiles  {row.reason}".rstrip())
    for outcome, count in Counter(row.outcome for row in rows.values()).items():
        tiles = sum(row.n_tiles for row in rows.values() if row.outcome == outcome)
        print(f"  {outcome:<7} {count} slides of synthetic patients, {tiles} tiles")


def _ask(store: Store, folder: str) -> None:
    for title, query in (("How many tiles?", COUNTS_SQL), ("Which slides look alike?", ALIKE_SQL)):
        one_line = " ".join(query.split())
        print(f'\n{title}\n.venv/bin/histo-ray store sql {folder} "{one_line}"')
        print(store.sql(query).df().to_string(index=False))


def _claim_folder(out: Path, settings: dict[str, int]) -> None:
    """Make the demo's folder, or go on in one that a demo of the same settings has made.

    Raises:
        ConfigError: It is a file, or holds something else; nothing in it is touched.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: that is a file; name a folder")
    note = out / SETTINGS_FILE
    if out.exists() and any(out.iterdir()):
        if not note.is_file():
            raise ConfigError(
                f"--out {out}: the folder holds something else than a demo of this version; name "
                "another one, or remove it"
            )
        if json.loads(note.read_text(encoding="utf-8")) != settings:
            raise ConfigError(
                f"--out {out}: the folder holds a demo of another --small or --seed, and perhaps "
                "results of yours in its store; name another folder, or remove it"
            )
    out.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(settings), encoding="utf-8")
