"""Labels of patients from columns of a label file, or of the manifest that a store keeps."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from histo_ray.labels.column_labels import open_column_file, open_manifest_columns, read_columns
from histo_ray.labels.column_wishes import ColumnWishes
from histo_ray.labels.label_table import LabelTable
from histo_ray.store.manifest_columns import read_manifest_columns
from histo_ray.store.store import open_store

if TYPE_CHECKING:
    from histo_ray.evaluate.tasks.label import LabelConfig


def read_labels(
    config: "LabelConfig",
    known: Collection[str],
    wishes: Mapping[str, ColumnWishes] | None = None,
) -> LabelTable:
    """Read the columns that are asked for.

    Args:
        config: Of the label task.
        known: Patients that the store knows.
        wishes: What is known of the columns in place of what the settings say: then columns that
            are not there are left out.

    Raises:
        ConfigError: They cannot be read, or nobody can tell what they hold.
    """
    store = open_store(config.store)
    frame = store.slides()
    slides = dict(zip(frame["slide_id"].tolist(), frame["patient_id"].tolist(), strict=True))
    if config.labels:
        rows = open_column_file(config, known, slides)
    else:
        rows = open_manifest_columns(read_manifest_columns(store.root), slides, config.store)
    return read_columns(rows, wishes or config.wishes, lenient=wishes is not None)
