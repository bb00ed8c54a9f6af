"""Tables of an evaluation of labels: those of all patients' tasks, of every kind together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.cohort.cohort_table import tabulate_cohort
from histo_ray.cohort.patient_folds import tabulate_outcome_folds
from histo_ray.evaluate.patients.added_value import TABLE as ADDED
from histo_ray.evaluate.patients.added_value import (
    correlate_rows,
    tabulate_added,
    take_encoders,
)
from histo_ray.evaluate.patients.left_out_sites import tabulate_sites
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_tables import (
    decode_predictions,
    iterate_scores,
    name_head,
    read_predictions,
)
from histo_ray.evaluate.patients.prediction_blocks import (
    EncoderPieces,
    EncoderPredictions,
    open_pieces,
)
from histo_ray.evaluate.patients.review_tables import score_reviews, tabulate_reviews
from histo_ray.evaluate.patients.scored_plan import score_predictions
from histo_ray.learn.statistics import adjust_p
from histo_ray.learn.targets.class_folds import take_classes
from histo_ray.learn.targets.class_tables import tabulate_classes, tabulate_confusion
from histo_ray.learn.targets.endpoint import LEVEL, tabulate_endpoints
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.learn.targets.target_tables import compare_encoders, tabulate_targets
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.schema import arrow_schema, optional_names
from histo_ray.store.tables import TableFolder

Tables = dict[str, pa.Table]


class LabelPart(NamedTuple):
    """Columns of one kind."""

    plan: PatientPlan
    matrix: TargetMatrix
    pieces: TableFolder
    """Pieces that its units left behind."""


def write_label_tables(folder: TableFolder, parts: Sequence[LabelPart]) -> Tables:
    """Write every table of a run; all but the predictions are returned.

    q-values are over all columns of an encoder, or pair of encoders, whatever their kinds.
    """
    opened = [
        open_pieces(part.pieces, part.plan.configurations, part.matrix, part.plan.truth.layout)
        for part in parts
    ]
    found = [read_predictions(own) for own in opened]
    each = [_tabulate_part(*one) for one in zip(parts, opened, found, strict=True)]
    if len(parts) == 1:  # scores of several kinds have no mean by site or subgroup
        plan = parts[0].plan
        decoded = decode_predictions(plan, found[0])
        own = {slides.encoder: decoded[slides.encoder] for slides in plan.found}
        each[0] |= tabulate_reviews(plan, [score_reviews(plan, plan.truth, own)])
    names = dict.fromkeys(name for one in each for name in one)
    tables = {name: _join(name, [one[name] for one in each if name in one]) for name in names}
    tables["targets"] = _correct(tables["targets"], ("encoder",), "p_chance", "q_chance")
    tables["comparisons"] = _correct_pairs(tables["comparisons"])
    if ADDED in tables:
        tables[ADDED] = _correct(tables[ADDED], ("encoder",), "p_added", "q_added")
    tables["cohort"] = tabulate_cohort(parts[0].plan.patients.cohort)
    schema = arrow_schema("outcome_predictions", optional=optional_names("outcome_predictions"))
    rows = (
        table
        for part, read in zip(parts, found, strict=True)
        for table in iterate_predictions(part, read)
    )
    folder.write("predictions", rows, schema, plain=("predicted", "head_output"))
    for name, table in tables.items():
        folder.write(name, [table], table.schema)
    return tables


def _tabulate_part(
    part: LabelPart,
    opened: Mapping[str, EncoderPieces],
    found: Mapping[str, EncoderPredictions],
) -> Tables:
    plan = part.plan
    truth, people = plan.truth, plan.patients.cohort.patients
    decoded = decode_predictions(plan, found)
    scores = score_predictions(plan, truth, decoded)
    encoders, added = take_encoders(plan, scores), correlate_rows(plan, truth, decoded)
    return {
        "scores": pa.concat_tables(iterate_scores(truth, opened, scores)),
        "targets": tabulate_targets(truth, scores),
        "endpoints": tabulate_endpoints(truth, encoders),
        "comparisons": compare_encoders(truth, encoders),
        "folds": tabulate_outcome_folds(plan.folds, people, truth.targets, plan.patients.groups),
        "classes": tabulate_classes(truth, decoded, plan.config.resamples, plan.config.seed),
        "confusion": tabulate_confusion(truth, decoded),
        **tabulate_sites(plan, decoded),
        **tabulate_added(plan, scores, added),
    }


def _join(name: str, tables: Sequence[pa.Table]) -> pa.Table:
    """Join the rows of all kinds; nan in columns that only others have."""
    names = list(dict.fromkeys(column for table in tables for column in table.column_names))
    fields = {field.name: field for table in tables for field in table.schema}
    full = []
    for table in tables:
        for column in names:
            if column not in table.column_names:
                nothing = pa.array(np.full(len(table), np.nan), pa.float64())
                table = table.append_column(fields[column], nothing)
        full.append(table.select(names).replace_schema_metadata(None))
    return pa.concat_tables(full)


def _correct_pairs(table: pa.Table) -> pa.Table:
    """Adjust the P values of comparisons; `q_found` is over columns that both encoders predict."""
    pair = ("encoder_a", "encoder_b")
    table = _correct(table, pair, "p_corrected", "q_corrected")
    table = _correct(table, pair, "p_both", "q_both")
    both = table["q_both"].to_numpy() < LEVEL
    among = np.where(both, table["p_corrected"].to_numpy(), np.nan)
    return _correct(
        table.append_column("p_among", pa.array(among)), pair, "p_among", "q_found"
    ).drop(["p_among"])


def _correct(table: pa.Table, keys: tuple[str, ...], p: str, q: str) -> pa.Table:
    """Adjust P by Benjamini-Hochberg over all columns that share `keys`."""
    names = list(zip(*(table[key].to_pylist() for key in keys), strict=True))
    values = table[p].to_numpy()
    adjusted = np.full(len(values), np.nan)
    for name in dict.fromkeys(names):
        rows = np.array([one == name for one in names], bool)
        adjusted[rows] = adjust_p(values[rows])
    at = table.column_names.index(q)
    return table.set_column(at, table.schema.field(q), pa.array(adjusted))


def iterate_predictions(
    part: LabelPart, found: Mapping[str, EncoderPredictions]
) -> Iterator[pa.Table]:
    """Yield every out-of-fold prediction, an encoder and target at a time.

    Of several classes each has a row: whether the patient is of it, and its probability.
    """
    truth, people = part.plan.truth, np.array(part.plan.patients.cohort.patients, object)
    schema = arrow_schema("outcome_predictions", optional=optional_names("outcome_predictions"))
    for encoder, one in found.items():
        poolings = np.array([c.pooling for c in one.configurations], object)
        heads = np.array([name_head(c) for c in one.configurations], object)
        decoded = truth.layout.decode(one.assembled)
        for target, (own, probabilities) in enumerate(take_classes(truth, decoded)):
            outputs = _outputs_of_classes(truth, one.assembled, target)
            first = truth.layout.output_slices[target].start
            labels, classes = own.values[:, 0], _name_classes(truth, target)
            for number, name in enumerate(classes):
                sides = labels if not name else np.where(np.isnan(labels), np.nan, labels == number)
                repeat, row = np.nonzero((own.fold_ids[0] >= 0) & ~np.isnan(sides))
                predicted = probabilities[repeat, row, number]
                kept = ~np.isnan(predicted)
                repeat, row, predicted = repeat[kept], row[kept], predicted[kept]
                fold = own.fold_ids[0][repeat, row]
                chosen = one.selected[:, repeat, fold, first].argmax(0)
                columns: dict[str, object] = {
                    "task": pa.repeat(truth.task, len(row)),
                    "target": pa.repeat(truth.targets[target], len(row)),
                    "encoder": pa.repeat(encoder, len(row)),
                    "patient_id": people[row],
                    "repeat": repeat.astype(np.int32),
                    "fold": fold.astype(np.int32),
                    "truth": sides[row].astype(np.float32),
                    "predicted": predicted.astype(np.float32),
                    "pooling": poolings[chosen],
                    "head": heads[chosen],
                    "class": pa.repeat(name, len(row)),
                    "head_output": outputs[repeat, row, number].astype(np.float32),
                }
                yield pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _name_classes(truth: TargetTruth, target: int) -> tuple[str, ...]:
    """Names of the classes that have rows of their own; one empty name where none has."""
    return truth.classes[target] if truth.layout.coding is not None else ("",)


def _outputs_of_classes(
    truth: TargetTruth, assembled: npt.NDArray[np.float32], target: int
) -> npt.NDArray[np.float32]:
    """What heads said of each class, (R, P, K); 1 for the lowest of ordered classes."""
    layout = truth.layout
    own = assembled[..., layout.output_slices[target]]
    coding = layout.coding
    if coding is None:
        return own
    count = len(truth.classes[target])
    found = np.ones((*own.shape[:2], count), np.float32)
    found[..., list(coding.list_outputs(count))] = own
    return found
