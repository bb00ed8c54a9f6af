"""Items of TRIPOD+AI in words of our own, and the question that only people can answer.

Collins GS, Moons KGM, Dhiman P, et al. 2024, TRIPOD+AI statement, BMJ 385:e078378, doi
10.1136/bmj-2023-078378: 27 items with 52 sub-items. What is asked stands there in full; the topics
here are short paraphrases.
"""

from typing import NamedTuple

CITATION = (
    "TRIPOD+AI: Collins GS, Moons KGM, Dhiman P, et al. BMJ 2024;385:e078378, "
    "https://doi.org/10.1136/bmj-2023-078378"
)
DEVELOPMENT, EVALUATION, BOTH = "D", "E", "D;E"


class ChecklistItem(NamedTuple):
    """One sub-item."""

    number: str
    """As `12c`."""
    section: str
    topic: str
    """What is to be reported, in a few words."""
    applies: str
    """`D`: of the development of a model alone, `E`: of its evaluation alone, `D;E`: of both."""
    question: str
    """What the store cannot know; empty: it knows all of it, where it knows anything."""


def _section(name: str, *items: tuple[str, str, str, str]) -> tuple[ChecklistItem, ...]:
    return tuple(ChecklistItem(number, name, *rest) for number, *rest in items)


_D, _E, _B = DEVELOPMENT, EVALUATION, BOTH

ITEMS: tuple[ChecklistItem, ...] = (
    *_section(
        "Title and abstract",
        ("1", "Title: development or evaluation, population, outcome", _B,
         "Which patients is the model for? Put population and outcome into the title."),
        ("2", "Abstract, by the checklist for abstracts", _B,
         "Is there a structured abstract that follows TRIPOD+AI for Abstracts?"),
    ),
    *_section(
        "Introduction",
        ("3a", "Healthcare context and rationale, existing models", _B,
         "Is the model diagnostic or prognostic, why is it needed, and which models exist?"),
        ("3b", "Target population, purpose, users, place in care", _B,
         "Who would use it, for whom, and at which point of care?"),
        ("3c", "Known health inequalities", _B,
         "Which inequalities between sociodemographic groups are known for this disease?"),
        ("4", "Objectives: development, evaluation or both", _B,
         "Which hypothesis was fixed before the data were seen?"),
    ),
    *_section(
        "Methods",
        ("5a", "Sources of data, rationale, representativeness", _B,
         "Is it a trial, a cohort, routine care or a registry; why these data, and whom do they "
         "represent?"),
        ("5b", "Dates of accrual and follow-up", _B,
         "When were the first and the last patient included, and when did follow-up end?"),
        ("6a", "Setting, number and location of centres", _B,
         "What kind of care do the sites give, and where are they?"),
        ("6b", "Eligibility criteria", _B,
         "Which patients were eligible, before any of the technical exclusions listed here?"),
        ("6c", "Treatments received", _B,
         "Which treatments came before the slide was made, and do they bear on the outcome?"),
        ("7", "Pre-processing and quality checks, alike across groups", _B,
         "Were slides prepared and scanned alike for all sociodemographic groups?"),
        ("8a", "Outcome: definition, time horizon, assessment, rationale", _B,
         "How and when was the outcome assessed (assay, caller, cut-off), and why was it chosen?"),
        ("8b", "Outcome assessors, where assessment is subjective", _B,
         "If somebody judged the outcome: who, with which qualification?"),
        ("8c", "Blinding of the outcome's assessment", _B,
         "Was the outcome assessed without knowledge of the slides' features?"),
        ("9a", "Choice of initial predictors, pre-selection", _D, ""),
        ("9b", "Predictors: definition, how and when measured, blinding", _B,
         "Which stain, section and scanner, and how long before or after the outcome?"),
        ("9c", "Predictor assessors, where measurement is subjective", _B, ""),
        ("10", "Sample size: how arrived at, whether sufficient", _B,
         "How was the number of patients decided on, and was it calculated?"),
        ("11", "Missing data", _B, "Why are labels or slides missing: at random, or not?"),
        ("12a", "How the data were used and partitioned", _D, ""),
        ("12b", "Handling of predictors: form, scaling, transformation", _D, ""),
        ("12c", "Type of model, building steps, tuning, internal validation", _D,
         "Why this type of model?"),
        ("12d", "Heterogeneity between clusters: how quantified", _B, ""),
        ("12e", "Measures and plots of performance, comparison of models", _B, ""),
        ("12f", "Model updating after evaluation: methods", _E, ""),
        ("12g", "How predictions were calculated in evaluation", _E, ""),
        ("13", "Class imbalance: methods, recalibration", _B, ""),
        ("14", "Fairness: approaches and rationale", _B,
         "Which groups should the model serve equally, and what was done for that?"),
        ("15", "Output of the model, thresholds", _D,
         "If calls are made: which threshold, and why that one?"),
        ("16", "Differences between development and evaluation data", _B,
         "Do setting, eligibility or the outcome's assay differ between the two cohorts?"),
        ("17", "Ethical approval and consent", _B,
         "Which committee approved the study, and how did patients consent?"),
    ),
    *_section(
        "Open science",
        ("18a", "Funding and role of funders", _B, "Who paid, and what part did they have?"),
        ("18b", "Conflicts of interest", _B, "Which interests have the authors to declare?"),
        ("18c", "Protocol", _B, "Where is the protocol, or was none prepared?"),
        ("18d", "Registration", _B, "Where is the study registered, or is it not?"),
        ("18e", "Availability of data", _B, "Who can have slides, labels and features, and how?"),
        ("18f", "Availability of code", _B, "Where is the code of this study (commit, archive)?"),
    ),
    *_section(
        "Patient and public involvement",
        ("19", "Patient and public involvement", _B, "Were patients involved, and in what?"),
    ),
    *_section(
        "Results",
        ("20a", "Flow of participants, with and without the outcome", _B,
         "If outcomes come with time: how long was follow-up?"),
        ("20b", "Characteristics, by source, with missing data", _B,
         "What are age, sex, stage and treatment, overall and by site?"),
        ("20c", "Comparison with the development data", _E,
         "How do demographics and outcome compare with the development cohort?"),
        ("21", "Participants and events in each analysis", _B, ""),
        ("22", "The full model, so that others can predict with it", _D,
         "On which terms can others have the model and the encoder's weights?"),
        ("23a", "Performance with confidence intervals, key subgroups", _B, ""),
        ("23b", "Heterogeneity of performance between clusters", _B, ""),
        ("24", "Results of model updating", _E, ""),
    ),
    *_section(
        "Discussion",
        ("25", "Interpretation, fairness, previous studies", _B,
         "What do the results mean beside earlier studies, and for whom?"),
        ("26", "Limitations", _B, "What else limits the study, and in which direction?"),
        ("27a", "Poor or missing input data in use", _D,
         "What should happen where a slide is blurred, small or missing?"),
        ("27b", "User interaction and expertise needed", _D,
         "Who would choose the slide, and what must they know?"),
        ("27c", "Next steps, applicability, generalisability", _B,
         "What has to be shown before the model could be used?"),
    ),
)  # fmt: skip
