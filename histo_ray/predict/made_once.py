"""Folders of tables below `predictions/` that are found done, or made once."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.predict.external.prediction_record import PREDICTIONS, RECORD_VERSION, MadeRecord
from histo_ray.store.claim import hold_claim
from histo_ray.store.layout import check_slug
from histo_ray.store.location import Location
from histo_ray.store.tables import PIECES, TableFolder

R = TypeVar("R", bound=MadeRecord)
Say = Callable[[str], None]
RECORD = "run"


def open_predictions(root: Location, predictor: str, run: str) -> TableFolder:
    """Folder of one predictor's predictions, whether or not it is there."""
    return TableFolder(root, f"{PREDICTIONS}/{check_slug('predictor', predictor)}/{run}")


def make_once(folder: TableFolder, kind: type[R], say: Say, work: Callable[[], R]) -> R:
    """Make the tables of a folder, unless they are there; never twice at once.

    A process that comes second waits, and finds them done. If the first one dies, it goes on with
    the pieces that are there.

    Args:
        folder: Of the tables.
        kind: Model of its record.
        say: Called with a line where somebody else works on it, or it is done already.
        work: Writes all tables and returns the record, which is written here, last.

    Raises:
        StoreError: The record that is there is damaged, or of something else.
    """
    name = folder.folder.removeprefix(f"{PREDICTIONS}/")
    done = read_record(folder, kind)
    if done is not None:
        say(f"{name} is done already; nothing was computed")
        return done

    def tell_holder(holder: str) -> None:
        say(f"{name} is being made by {holder}; waiting for it")

    with hold_claim(folder.root, name.replace("/", "-"), tell_holder, wait=True):
        done = read_record(folder, kind)
        if done is not None:
            return done
        record = work()
        folder.write_note(RECORD, record.model_dump(mode="json"))
        folder.delete(PIECES)
    return record


def read_record(folder: TableFolder, kind: type[R]) -> R | None:
    """Read the record of a folder; None if its tables are not whole.

    Raises:
        StoreError: It is damaged, of something else, or of a newer version.
    """
    content = folder.read_note(RECORD)
    if content is None:
        return None
    path = f"{folder.folder}/{RECORD}.json"
    found = content.get("record_version")
    if isinstance(found, int) and found > RECORD_VERSION:
        raise StoreError(
            f"{path} has the record version {found}, and this histo-ray reads versions up to "
            f"{RECORD_VERSION}; upgrade histo-ray"
        )
    try:
        record = kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"{path} is no such record ({where}: {first['msg'].lower()}); delete its folder, and "
            "the same command makes it again"
        ) from None
    if record.run_id != folder.folder.rpartition("/")[2]:
        raise StoreError(f"{path} is of {record.run_id!r}; rename the folder back, or delete it")
    return record
