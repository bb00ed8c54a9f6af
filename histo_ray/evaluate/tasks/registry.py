"""The registry of tasks. To add one: a file with a `Task` object, and a line here."""

from histo_ray.evaluate.tasks import expression, label, mutation, survival, tissue
from histo_ray.evaluate.tasks.base import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        tissue.TASK,
        expression.TASK,
        mutation.TASK,
        label.TASK,
        survival.TASK,
    )
}
"""By name, in the order of the help and of the report."""
