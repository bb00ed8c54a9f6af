"""Out-of-fold predictions of an evaluation of patients, mean over its repeats."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histo_ray.errors import StoreError
from histo_ray.storage.seal import check_stream
from histo_ray.store.tables import TableFolder, damaged

Floats = npt.NDArray[np.float64]
_COLUMNS = ("encoder", "target", "patient_id", "predicted")


def mean_predictions(
    folder: TableFolder, encoder: str, targets: Sequence[str], patients: Sequence[str]
) -> Floats:
    """Average the out-of-fold predictions of each patient over repeats.

    Memory holds the result and a batch of rows, however many repeats there are.

    Args:
        folder: Of the run.
        encoder: Whose predictions.
        targets: (T,) names.
        patients: (P,) ids.

    Returns:
        (P, T); nan where a patient has no label, and so no prediction.

    Raises:
        StoreError: The table is not there, or damaged.
    """
    shape = (len(patients), len(targets))
    sums, counts = np.zeros(shape), np.zeros(shape)
    path = f"{folder.folder}/predictions.parquet"
    try:
        with folder.root.child(path).open() as file:
            if check_stream(file) == "damaged":
                raise damaged(path)
            file.seek(0)
            for batch in pq.ParquetFile(file).iter_batches(columns=list(_COLUMNS)):
                table = pa.table(batch)
                own = table.filter(pc.equal(table["encoder"], encoder))
                rows = _number(own["patient_id"], patients)
                columns = _number(own["target"], targets)
                known = (rows >= 0) & (columns >= 0)
                at = rows[known], columns[known]
                np.add.at(sums, at, own["predicted"].to_numpy()[known].astype(np.float64))
                np.add.at(counts, at, 1)
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such table; evaluate again") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(path, error) from None
    return np.asarray(np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0))


def _number(texts: pa.ChunkedArray, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Place of each text among `names`; -1 where it is none of them."""
    found = pc.index_in(texts.cast(pa.string()), value_set=pa.array(names, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)
