"""Bad inputs, and what the program says to each in one line.

`python -m benchmarks.bad_inputs` makes them all in a temporary folder, runs the commands as
processes, and prints the table of docs/reliability.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from testing.bad_inputs import RANDOM, SLIDES, BadSlide, list_commands, write_slide


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for bad in list_commands():
            code, lines = _run(bad.arguments)
            rows.append((bad.what, _shown(bad.arguments), lines, code))
        assert not Path("ran").exists(), "the pickle was run"
        rows += [
            (what, "the same manifest with all of these", [said], 1) for what, said in slides()
        ]
    print("| | input | command | what is printed | exit |\n|---|---|---|---|---|")
    for number, (what, command, lines, code) in enumerate(rows, 1):
        said = " ".join(lines).replace(name + "/", "").replace("|", "\\|")
        print(f"| {number} | {what} | `{command}` | {said} | {code} |")


def slides() -> list[tuple[str, str]]:
    """Run one extraction of all bad slides, and one for each mask; what each ends with."""
    found = []
    for mask in sorted({slide.mask for slide in SLIDES}):
        some = [slide for slide in SLIDES if slide.mask == mask]
        code, reasons = _extract(some, mask)
        assert code == 1, reasons
        found += [(slide.what, reasons[slide.name]) for slide in some]
    return found


def _extract(some: list[BadSlide], mask: str) -> tuple[int, dict[str, str]]:
    rows = [f"{Path(s.name).stem},{write_slide(s)},0.5" for s in some]
    Path("all.csv").write_text("\n".join(["slide_id,path,mpp", *rows]), encoding="utf-8")
    options = []
    if mask:
        stem, suffix = Path(mask).stem, Path(mask).suffix
        options = ["--tissue", str(Path(f"{{slide_id}}{suffix}").absolute())]
        assert stem == Path(some[0].name).stem
    done = _call(["plan", "--manifest", "all.csv", "--store", "none", "--encoder", RANDOM,
                  "--tile-px", "64", "--json", *options])  # fmt: skip
    said = {row["slide_id"]: row["reason"] for row in json.loads(done.stdout)["rows"]}
    return done.returncode, {slide.name: said[Path(slide.name).stem] for slide in some}


def _call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "histo_ray", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _run(arguments: list[str]) -> tuple[int, list[str]]:
    done = _call(arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("histo-ray ")]
    return done.returncode, lines


def _shown(arguments: list[str]) -> str:
    return " ".join(f"'{word}'" if set(word) & set("?& {") else word for word in arguments)


if __name__ == "__main__":
    main()
