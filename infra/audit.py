"""Known vulnerabilities of the packages in requirements.lock: `make audit`.

pip-audit asks OSV (https://osv.dev), which collects advisories on Python packages. Exit code 0:
none known; 1: some, which are listed; 3: nobody could be asked, which `--offline-is-fine` makes 0.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

CLEAN, VULNERABLE, NOT_ASKED = 0, 1, 3
TIMEOUT_S = 300


def main() -> int:
    """Ask, and say what came of it in a line or a line a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", nargs="+", help="the command that runs pip-audit")
    parser.add_argument("--lock", default="requirements.lock")
    parser.add_argument("--offline-is-fine", action="store_true")
    args = parser.parse_args()
    found = ask([*args.tool, "-s", "osv", "-r", args.lock, "--require-hashes", "--disable-pip"])
    if isinstance(found, str):
        print(f"audit: nobody could be asked ({found}), so nothing is known of the packages")
        return CLEAN if args.offline_is_fine else NOT_ASKED
    lines = describe(found)
    print("\n".join(lines))
    return VULNERABLE if len(lines) > 1 else CLEAN


def ask(command: list[str]) -> list[dict[str, Any]] | str:
    """The packages with their advisories, as pip-audit gives them; why not, if it does not."""
    options = ["-f", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except (ValueError, KeyError):
        return (done.stderr.strip().splitlines() or ["no answer"])[-1][:160]
    unknown = [package for package in packages if "vulns" not in package]
    if len(unknown) == len(packages):
        return str(unknown[0].get("skip_reason")) if unknown else "no packages in the lock"
    return packages


def describe(packages: list[dict[str, Any]]) -> list[str]:
    """A line on all, and one for each advisory. Pure."""
    asked = [package for package in packages if "vulns" in package]
    lines = [
        f"{package['name']} {package['version']}: {vuln['id']}"
        f" (mended in {', '.join(vuln['fix_versions']) or 'no version yet'})"
        for package in asked
        for vuln in package["vulns"]
    ]
    return [f"audit: {len(asked)} of {len(packages)} packages, {len(lines)} advisories", *lines]


if __name__ == "__main__":
    sys.exit(main())
