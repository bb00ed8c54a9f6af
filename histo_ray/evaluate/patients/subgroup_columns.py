"""Groups of patients that scores are given by: sites, and columns of a label file or manifest."""

from collections.abc import Collection
from dataclasses import dataclass

from histo_ray.cohort.join import Cohort
from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.labels.group_columns import read_group_columns
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.text import count_of

SITE = "site"
"""Column of groups that comes from the manifest, or from TCGA barcodes."""


@dataclass(frozen=True)
class Subgroups:
    """Columns that patients are grouped by."""

    columns: dict[str, tuple[str, ...]]
    """(P,) group of each patient by column; empty: in none. `site` comes first where there are two
    or more."""
    asked: tuple[str, ...] = ()
    """Columns of `--subgroup`."""
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the groups that were asked for; empty: none were."""
        own = {name: self.columns[name] for name in self.asked}
        return digest(own) if own else ""


def read_subgroups(cohort: Cohort, config: PatientConfig, known: Collection[str]) -> Subgroups:
    """Group patients by site, and by the columns of the settings.

    Args:
        cohort: Patients that are evaluated.
        config: `subgroup`, and `subgroup_file` or `labels`.
        known: Patients of the store; they tell which layout a table has.

    Raises:
        ConfigError: No such column, or one that makes no groups of these patients.
    """
    sites = list_sites(cohort)
    columns = {SITE: sites} if len(set(sites) - {""}) > 1 else {}
    asked = tuple(name for name in config.subgroup if name != SITE)
    if SITE in config.subgroup and SITE not in columns:
        raise ConfigError(
            "--subgroup site: fewer than two sites are known of these patients; give a column "
            "`site` in the manifest, or leave it out"
        )
    settings = (
        LabelSettings(labels=config.subgroup_file, id_column=config.subgroup_id_column)
        if config.subgroup_file
        else config
    )
    notes: list[str] = []
    for column in read_group_columns(settings, asked, known):
        groups = tuple(map(column.group_of, cohort.patients))
        found = set(groups) - {""}
        if len(found) < 2:
            value = f" ({found.pop()})" if found else ""
            raise ConfigError(
                f"--subgroup {column.name}: the {count_of(len(groups), 'patient')} that are "
                f"evaluated have {'one value' if value else 'no value'}{value} of it in "
                f"{settings.labels}; name a column by which they differ"
            )
        without = groups.count("")
        notes += column.notes
        if without:
            notes.append(f"column {column.name}: {count_of(without, 'patient')} in no group")
        columns[column.name] = groups
    return Subgroups(columns, asked, tuple(notes))


def list_sites(cohort: Cohort) -> tuple[str, ...]:
    """Site of each patient, (P,); empty: unknown, or several."""
    return tuple(sites[0] if len(sites) == 1 else "" for sites in cohort.sites)
