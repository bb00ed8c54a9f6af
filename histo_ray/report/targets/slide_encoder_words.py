"""What a slide encoder saw of the patients that are evaluated, in words. Pure."""

from histo_ray.evaluate.caveats import Caveat
from histo_ray.text import name_some


def write_slide_encoder_saw(one: Caveat) -> str:
    """Write the caveat of a slide encoder that was fitted on patients that are evaluated."""
    name, method = one.values["slide_encoder"], one.values["method"]
    if one.values["patients"] is None:
        return (
            f"slide encoder {name} ({method}) keeps no hashes of the patients that it was fitted "
            "on, so nobody can tell whether these were among them"
        )
    whom = (
        f"{one.number('patients')} of the {one.number('total')} patients "
        f"({name_some(one.names('names'))})"
    )
    if one.values["supervised"]:
        return (
            f"slide encoder {name} ({method}) was trained on labels of {whom}: its scores flatter, "
            "and say nothing of new patients"
        )
    return (
        f"slide encoder {name} ({method}) was fitted on slides of {whom}, test parts included: "
        "without labels, but it saw their tiles; fit it on other patients to be free of that"
    )
