"""A tissue evaluation in words: tables and sentences for a person. Pure."""

from typing import Any

from histo_ray.report.format_numbers import format_p


def describe_run(note: dict[str, Any]) -> list[str]:
    """What `run.json` says, as lines for a person. Pure."""
    folds, classes = note["folds"], note["classes"]
    lines = [note["remark"], ""] if note.get("remark") else []
    for split, by_name in note["summary"].items():
        tiles = note["sets"]["tiles" if split == "cv" else "test_tiles"]
        how = f"{folds['repeats']} x {folds['n_folds']}-fold cross-validation"
        how = how if split == "cv" else "external test set, heads trained on all tiles"
        lines += [f"{tiles['name']}: {tiles['tiles']} tiles, {how}, head {note['head']}", ""]
        width = max(len("encoder"), *map(len, by_name))
        wide = [max(6, len(name)) for name in classes]
        names = "  ".join(f"{name:>{w}}" for name, w in zip(classes, wide, strict=True))
        lines.append(f"{'encoder':<{width}}  accuracy  balanced  recall: {names}")
        for name, found in by_name.items():
            recalls = "  ".join(
                f"{recall:>{w}.3f}" for recall, w in zip(found["recalls"], wide, strict=True)
            )
            lines.append(
                f"{name:<{width}}  {found['accuracy']:>8.4f}  {found['balanced_accuracy']:>8.4f}  "
                f"        {recalls}"
            )
        lines.append("")
        rows = [row for row in note["comparisons"] if row["split"] == split]
        lines += [describe_comparison(row) for row in rows]
        sentences = [write_sentence(row, note) for row in rows if row["metric"] == "accuracy"]
        lines += ["", *sentences, ""] if sentences else []
    lines += [f"Beware: {warning}." for warning in note["warnings"]]
    return lines


def describe_comparison(row: dict[str, Any]) -> str:
    """One comparison as a line. Pure."""
    what = f"{row['metric']} {row['label']}".strip()
    text = (
        f"{row['encoder_b']} - {row['encoder_a']}, {what}: {row['difference']:+.4f} "
        f"[{row['low']:+.4f}, {row['high']:+.4f}]"
    )
    if row["p_corrected"] is None:
        return text
    q = f", q = {format_p(row['q_corrected'])}" if row["metric"] == "recall" else ""
    return f"{text}, p = {format_p(row['p_corrected'])}{q}"


def write_sentence(row: dict[str, Any], note: dict[str, Any]) -> str:
    """The sentence that a paper would print of one comparison in accuracy. Pure."""
    scores = note["summary"][row["split"]]
    a, b = (scores[row[key]]["accuracy"] for key in ("encoder_a", "encoder_b"))
    text = (
        f"Accuracy was {100 * b:.1f} % with {row['encoder_b']} and {100 * a:.1f} % with "
        f"{row['encoder_a']} (difference {100 * row['difference']:+.1f} points, 95 % bootstrap "
        f"interval over {row['drawn']}s {100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
    )
    if row["p_corrected"] is None:
        why = "too few groups for a test" if row["split"] == "cv" else "external test set"
        return f"{text}; {why})."
    return (
        f"{text}; corrected resampled t-test P = {format_p(row['p_corrected'])}; a plain t-test, "
        f"which takes folds for independent, would say {format_p(row['p_plain'])})."
    )


def write_single_sentence(encoder: str, split: str, note: dict[str, Any]) -> str:
    """What can be said of an encoder that is compared with none. Pure."""
    folds, found = note["folds"], note["summary"][split][encoder]
    how = f"{folds['repeats']} x {folds['n_folds']}-fold cross-validation"
    return (
        f"Accuracy was {100 * found['accuracy']:.1f} % with {encoder}, balanced accuracy "
        f"{100 * found['balanced_accuracy']:.1f} % "
        f"({how if split == 'cv' else 'external test set'})."
    )
