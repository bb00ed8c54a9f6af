"""The record of an evaluation as lines for a terminal, and as JSON with its sentences. Pure."""

from pydantic import JsonValue

from histo_ray.evaluate.evaluation_record import EvaluationRecord, PatientRecord, TissueRecord
from histo_ray.report.caveat_words import write_caveats
from histo_ray.report.targets.target_words import describe_patients, write_sentences
from histo_ray.report.tissue.tissue_words import describe_tissue


def describe_record(record: EvaluationRecord) -> list[str]:
    """Describe an evaluation as lines for a terminal."""
    if isinstance(record, PatientRecord):
        return describe_patients(record)
    assert isinstance(record, TissueRecord)  # noqa: S101 - there is no third
    return describe_tissue(record)


def dump_with_words(record: EvaluationRecord) -> dict[str, JsonValue]:
    """Dump a record as JSON, with its sentences.

    Returns:
        The record; `warnings` holds its caveats as sentences, and `sentences`, of patients, those
        that a paper would print.
    """
    content: dict[str, JsonValue] = record.model_dump(mode="json")
    content["warnings"] = list(write_caveats(record))
    if isinstance(record, PatientRecord):
        content["sentences"] = list(write_sentences(record))
    return content
