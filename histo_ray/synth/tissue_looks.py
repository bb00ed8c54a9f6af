"""How a synthetic tissue looks: numbers a pathologist would name. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TissueLook:
    """Everything that sets one synthetic tissue apart from another; sizes in microns."""

    name: str
    gland_fraction: float = 0.5
    """Share of the places for a gland or nest that hold one."""
    gland_spacing_um: float = 130.0
    """Distance between such places."""
    lumen_fraction: float = 1.0
    """Share of them that are glands with a lumen; the others are solid nests."""
    epithelium_um: float = 24.0
    """Height of the epithelium around a lumen."""
    mucin: float = 0.2
    """0..1: how pale and vacuolated the cytoplasm is."""
    nuclear_size_um: float = 8.0
    """Mean diameter of an epithelial nucleus."""
    nuclear_density: float = 1.0
    """Crowding of the epithelial nuclei; 1 leaves about half a nucleus between two."""
    pleomorphism: float = 0.15
    """Relative spread of nuclear size; also makes shapes irregular."""
    vesicular: float = 0.2
    """0..1: pale centre and nucleolus of epithelial nuclei."""
    lymphocyte_fraction: float = 0.1
    """Share of the stroma that is full of lymphocytes."""
    lymphocyte_patch_um: float = 110.0
    """About half the width of one crowd of them."""
    adipose_fraction: float = 0.05
    """Share of the stroma that is fat."""
    fibrosis: float = 0.5
    """0..1: from loose, pale to dense, coarse stroma."""
    haematoxylin: float = 1.0
    """Amount of the nuclear stain."""
    eosin: float = 1.0
    """Amount of the counterstain."""
    haematoxylin_tint: float = 0.0
    """0 purple (Macenko's vector) .. 1 blue (Ruifrok's)."""
    eosin_tint: float = 0.0
    """0 salmon (Macenko's vector) .. 1 magenta (Ruifrok's)."""


GLANDULAR = TissueLook(
    "glandular", gland_fraction=0.9, mucin=0.5, haematoxylin_tint=0.2, eosin_tint=0.2
)
SOLID = TissueLook(
    "solid",
    gland_fraction=0.95,
    gland_spacing_um=190.0,
    lumen_fraction=0.08,
    mucin=0.0,
    nuclear_size_um=10.0,
    nuclear_density=1.15,
    pleomorphism=0.3,
    vesicular=0.7,
    lymphocyte_fraction=0.06,
    adipose_fraction=0.0,
    fibrosis=0.3,
    haematoxylin=1.1,
    eosin=0.85,
    haematoxylin_tint=0.1,
    eosin_tint=0.45,
)
INFLAMED = TissueLook(
    "inflamed",
    gland_fraction=0.3,
    gland_spacing_um=120.0,
    nuclear_size_um=7.0,
    lymphocyte_fraction=0.4,
    adipose_fraction=0.16,
    fibrosis=0.9,
    haematoxylin=1.15,
    eosin=1.2,
    haematoxylin_tint=0.75,
    eosin_tint=0.15,
)
LOOKS = {look.name: look for look in (GLANDULAR, SOLID, INFLAMED)}
