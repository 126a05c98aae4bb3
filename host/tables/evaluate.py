"""Rows of ``host evaluate``: what lm-evaluation-harness says of a folder."""

from host.tables.row import Row, column

__all__ = ["EvaluateRow"]


class EvaluateRow(Row):
    """One metric of one task."""

    VIEW = ("model", "task", "metric", "value", "error", "samples")
    LABEL = "{model} {task} {metric}"

    model: str = column("model", doc="The folder.")
    task: str = column("task", doc="The task, by its name in the harness.")
    metric: str = column("metric", doc="The metric, by its name in the harness.")
    value: float = column("value", ".4f", doc="The metric's value.")
    error: float | None = column("±", ".4f", doc="Its standard error, where the harness knows one.")
    samples: int = column("samples", ",d", unit="samples", doc="Questions or texts of the task.")
