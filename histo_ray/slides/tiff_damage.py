"""What tifffile raises for a file that is not as it should be."""

import logging
import struct
import zlib

import tifffile

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters of it is raised

DAMAGE = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,  # of which imagecodecs' errors are children
    ZeroDivisionError,
    struct.error,
    zlib.error,
)
