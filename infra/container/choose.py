"""Chooses packages for the image; the standard library and `packaging` are all it needs.

`choose.py lock VARIANT FILE` prints the lock file without what the variant gets elsewhere,
`choose.py torch VARIANT FILE` those packages by exact version, and
`choose.py unused PYPROJECT` the names of installed packages that histo_ray does not need to run.
"""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

TORCH = ("torch", "torchvision")
CUDA = ("nvidia-", "cuda-", "triton")
"""First letters of the packages that carry CUDA."""
KEPT = ("pip", "setuptools", "wheel", "boto3")
"""Not needed by histo_ray: pip by the image, boto3 by `ray up` on AWS."""


def choose_lock(text: str, variant: str) -> str:
    """A lock file for `pip --require-hashes`; `cpu` leaves out torch and CUDA."""
    entries = re.findall(r"^\S.*(?:\n[ \t]+.*)*\n?", text, re.MULTILINE)
    return "".join(e for e in entries if variant != "cpu" or not _has_cuda(_name(e)))


def choose_torch(text: str) -> str:
    """`name==version` of torch's packages in a lock file."""
    pins = re.findall(r"^([a-z]\S*==[^\s;\\]+)", text, re.MULTILINE)
    return "".join(f"{pin}\n" for pin in pins if pin.split("==")[0] in TORCH)


def choose_unused(pyproject: str) -> list[str]:
    """Installed packages that neither the project's dependencies nor theirs name."""
    from packaging.requirements import Requirement  # installed by then

    left = [Requirement(text) for text in tomllib.loads(pyproject)["project"]["dependencies"]]
    left += [Requirement(name) for name in KEPT]
    seen: set[tuple[str, str]] = set()
    while left:
        wanted = left.pop()
        for extra in ("", *wanted.extras):
            key = (_canonical(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                requires = metadata.requires(wanted.name) or []
            except metadata.PackageNotFoundError:  # of another platform or Python
                continue
            needs = [Requirement(text) for text in requires]
            left += [n for n in needs if n.marker is None or n.marker.evaluate({"extra": extra})]
    used = {name for name, _ in seen} | {"histo-ray"}
    return sorted({_canonical(d.metadata["Name"]) for d in metadata.distributions()} - used)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(entry: str) -> str:
    return entry.split("==")[0].strip()


def _has_cuda(name: str) -> bool:
    return name in TORCH or name.startswith(CUDA)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    content = Path(rest[-1]).read_text(encoding="utf-8")
    if what == "lock":
        sys.stdout.write(choose_lock(content, rest[0]))
    elif what == "torch":
        sys.stdout.write(choose_torch(content))
    else:
        sys.stdout.write("".join(f"{name}\n" for name in choose_unused(content)))
