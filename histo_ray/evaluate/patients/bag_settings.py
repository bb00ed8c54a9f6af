"""Settings of evaluations on patients that may train heads on bags of tiles, too."""

from pydantic import Field

from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.learn.mil.networks.registry import network_names


class BagConfig(PatientConfig):
    """One comparison of encoders, by heads on patients' vectors or on bags."""

    mil: tuple[str, ...] = Field(
        default=(),
        description="KEY=VALUE of the MIL head, as network=clam (networks: "
        f"{', '.join(network_names())}) or members=1; KEY=VALUE,VALUE searches both (on Ray by "
        "ASHA within each training part)",
    )
    bag_tiles: int = Field(
        default=2000, ge=1, description="most tiles of a patient that MIL sees, drawn with --seed"
    )
