"""Which module finds the tiles of a format that has one. One line each."""

from collections.abc import Callable

from histo_ray.slides.direct.dicom_layout import read_dicom
from histo_ray.slides.direct.layout import Layout
from histo_ray.slides.direct.leica_layout import read_leica
from histo_ray.slides.direct.ndpi_layout import read_ndpi
from histo_ray.slides.direct.philips_layout import read_philips
from histo_ray.slides.direct.vendor_tiff import KnownSlide
from histo_ray.slides.direct.ventana_layout import read_ventana

LAYOUTS: dict[str, Callable[[str, KnownSlide], Layout]] = {
    "dicom": read_dicom,
    "hamamatsu": read_ndpi,
    "leica": read_leica,
    "philips": read_philips,
    "ventana": read_ventana,
}
"""By OpenSlide's name for the maker: given a local path and the slide by OpenSlide, finds the
tiles or raises `UnrecognisedError`. Plain TIFFs and SVS are read by `tiff_layout`."""
