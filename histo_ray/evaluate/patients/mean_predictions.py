"""Out-of-fold predictions of an evaluation of patients, mean over its repeats."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.learn.targets.class_codings import Output
from histo_ray.storage.seal import check_stream
from histo_ray.store.tables import TableFolder, damaged

Floats = npt.NDArray[np.float64]
_COLUMNS = ("encoder", "target", "patient_id", "predicted")
_CLASS, _HEAD = "class", "head_output"
_BETWEEN = "\x1f"
"""Between a target and its class; a control character, which no name has in it."""


def mean_predictions(
    folder: TableFolder, encoder: str, outputs: Sequence[Output], patients: Sequence[str]
) -> Floats:
    """Average the out-of-fold predictions of each patient over repeats.

    Memory holds the result and a batch of rows, however many repeats there are.

    Args:
        folder: Of the run.
        encoder: Whose predictions.
        outputs: (T,) targets, or classes of them.
        patients: (P,) ids.

    Returns:
        (P, T); nan where a patient has no label, and so no prediction.

    Raises:
        StoreError: The table is not there, or damaged.
    """
    shape = (len(patients), len(outputs))
    classes = any(output.label for output in outputs)
    columns = (*_COLUMNS, *((_CLASS, _HEAD) if classes else ()))
    names = [_join(output.target, output.label) for output in outputs]
    sums, counts = np.zeros(shape), np.zeros(shape)
    path = f"{folder.folder}/predictions.parquet"
    try:
        with folder.root.child(path).open() as file:
            if check_stream(file) == "damaged":
                raise damaged(path)
            file.seek(0)
            for batch in pq.ParquetFile(file).iter_batches(columns=list(columns)):
                table = pa.table(batch)
                own = table.filter(pc.equal(table["encoder"], encoder))
                rows = _number(own["patient_id"], patients)
                labels = own["target"].cast(pa.string())
                if classes:
                    labels = pc.binary_join_element_wise(labels, own[_CLASS], _BETWEEN)
                places = _number(labels, names)
                known = (rows >= 0) & (places >= 0)
                at = rows[known], places[known]
                said = own[_HEAD if classes else "predicted"].to_numpy()
                np.add.at(sums, at, said[known].astype(np.float64))
                np.add.at(counts, at, 1)
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such table; evaluate again") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(path, error) from None
    return np.asarray(np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0))


def _join(target: str, label: str) -> str:
    return f"{target}{_BETWEEN}{label}" if label else target


def _number(texts: pa.ChunkedArray, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Place of each text among `names`; -1 where it is none of them."""
    found = pc.index_in(texts.cast(pa.string()), value_set=pa.array(names, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)
