"""Formats that no reader here reads, and slides without their other files.

Each is named with what reads it. A picture inside such a file must not be taken for the slide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_BFCONVERT = "convert it to a pyramidal OME-TIFF with Bio-Formats' bfconvert or with QuPath"
_HEAD_BYTES = 512


@dataclass(frozen=True)
class _Format:
    """A format that is recognised and not read."""

    name: str
    remedy: str = _BFCONVERT


_CZI = _Format("a Zeiss CZI of a kind that OpenSlide does not read")
_LIF = _Format("a Leica LIF, which OpenSlide does not read")
_ND2 = _Format("a Nikon ND2, which OpenSlide does not read")
_ZVI = _Format("a Zeiss ZVI, which OpenSlide does not read")
_OIR = _Format("an Olympus OIR or OIB, which OpenSlide does not read")
_IMS = _Format("an Imaris file, which OpenSlide does not read")
_ETS = _Format("the pixel file of an Olympus VSI, which OpenSlide does not read")
_LSM = _Format("a Zeiss LSM stack, which is no slide")
_ISYNTAX = _Format(
    "a Philips iSyntax, which OpenSlide does not read",
    "export it as TIFF with Philips' software, or convert it with isyntax-to-tiff or bfconvert",
)
_JP2 = _Format(
    "a JPEG 2000 image, which is not read as a file of its own",
    "convert it to a pyramidal TIFF, for example with `vips tiffsave --tile --pyramid`",
)
_JXR = _Format(
    "a JPEG XR image, which OpenSlide does not read",
    "convert it to a TIFF with JxrDecApp, or export the slide anew as a pyramidal TIFF",
)
_VENDOR_ONLY = _Format(
    "a scanner's own format, which OpenSlide does not read",
    "convert it to SVS or a pyramidal TIFF with the scanner's software",
)

_SUFFIXES = {
    ".czi": _CZI,
    ".lif": _LIF,
    ".nd2": _ND2,
    ".zvi": _ZVI,
    ".oir": _OIR,
    ".oib": _OIR,
    ".ims": _IMS,
    ".ets": _ETS,
    ".lsm": _LSM,
    ".isyntax": _ISYNTAX,
    ".i2syntax": _ISYNTAX,
    ".jp2": _JP2,
    ".jpx": _JP2,
    ".j2k": _JP2,
    ".j2c": _JP2,
    ".jxr": _JXR,
    ".wdp": _JXR,
    ".hdp": _JXR,
    ".kfb": _VENDOR_ONLY,
    ".sdpc": _VENDOR_ONLY,
    ".tmap": _VENDOR_ONLY,
    ".mds": _VENDOR_ONLY,
    ".mdsx": _VENDOR_ONLY,
}
_MAGIC = {
    b"ZISRAWFILE": _CZI,
    b"\x70\0\0\0": _LIF,
    b"\xda\xce\xbe\x0a": _ND2,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _ZVI,
    b"\0\0\0\x0cjP  ": _JP2,
    b"\xff\x4f\xff\x51": _JP2,
    b"II\xbc\x01": _JXR,
    b"\x89HDF\r\n\x1a\n": _IMS,
    b"<DataObject": _ISYNTAX,
}
_SCANNERS = {
    ".svs": "an Aperio SVS",
    ".ndpi": "a Hamamatsu NDPI",
    ".scn": "a Leica SCN",
    ".bif": "a Ventana BIF",
    ".svslide": "a Sakura slide",
}
"""What OpenSlide knows whole; of a cut one a first image may be left, which is not the slide."""


def describe_foreign(local: str, path: str, *, allow_scanner_suffix: bool = False) -> str:
    """What a file is that is read by nothing here, and what to do; empty for no known format.

    Args:
        local: Where the file is.
        path: What the user calls it: its suffix counts.
        allow_scanner_suffix: Whether a file under a scanner's suffix may be another format: one
            that OpenSlide takes for a TIFF without a maker, or for which a reader was named.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _WITH_OTHER_FILES:
        return _WITH_OTHER_FILES[suffix](Path(local), PurePosixPath(path))
    with Path(local).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    known = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    known = known or _SUFFIXES.get(suffix)
    if known is not None:
        return f"it is {known.name}; {known.remedy}"
    if head[128:132] == b"DICM" or suffix in (".dcm", ".dicom"):
        return (
            "OpenSlide does not take this DICOM file for a slide: it reads VL Whole Slide "
            "Microscopy images, not reports, annotations or images of other kinds; name a file of "
            "the slide itself"
        )
    if suffix in _SCANNERS and not allow_scanner_suffix:
        return (
            f"OpenSlide does not find {_SCANNERS[suffix]} in it: the file is damaged, cut short or "
            "another format under this name; copy the file again, or leave the slide out"
        )
    return ""


def describe_companions(local: str, path: str) -> str:
    """What else a slide that OpenSlide recognises and cannot open may lack; empty if nothing."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".vms", ".vmu"):
        return _describe_hamamatsu(Path(local), PurePosixPath(path))
    return ""


def _describe_vsi(local: Path, path: PurePosixPath) -> str:
    folder = f"_{path.stem}_"
    there = (local.parent / f"_{local.stem}_").is_dir()
    where = f"{folder}/stackN/frame_t.ets" + ("" if there else ", and that folder is not beside it")
    return (
        f"an Olympus VSI holds a preview only; its slide lies in {where}. OpenSlide reads neither; "
        f"{_BFCONVERT}{'' if there else ' where the folder is'}"
    )


def _describe_mrxs(local: Path, path: PurePosixPath) -> str:
    folder = local.with_suffix("")
    if not folder.is_dir():
        found = f"its slide lies in the folder {path.stem}, which is not beside it"
        return f"{found}; copy the folder to where the .mrxs file is"
    if not (folder / "Slidedat.ini").is_file():
        found = f"its folder {path.stem} has no Slidedat.ini"
        return f"{found}; copy the whole folder again"
    return (
        f"OpenSlide does not find a MIRAX slide in it and its folder {path.stem}; copy both again, "
        "or leave the slide out"
    )


def _describe_hamamatsu(local: Path, path: PurePosixPath) -> str:
    missing = []
    for line in local.read_bytes()[: 2**20].decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        name = value.strip()
        names_file = key.strip().lower().startswith(("imagefile", "mapfile", "optimisationfile"))
        if names_file and name and not (local.parent / name).is_file():
            missing.append(name)
    if missing:
        return (
            f"a Hamamatsu {path.suffix[1:].upper()} names its images, and {len(missing)} of them "
            f"are not beside it ({', '.join(missing[:3])}); copy them to where the file is"
        )
    return (
        f"OpenSlide does not find a Hamamatsu {path.suffix[1:].upper()} slide in it; copy it and "
        "the images that it names again, or leave the slide out"
    )


_WITH_OTHER_FILES: dict[str, Callable[[Path, PurePosixPath], str]] = {
    ".vsi": _describe_vsi,
    ".mrxs": _describe_mrxs,
    ".vms": _describe_hamamatsu,
    ".vmu": _describe_hamamatsu,
}
