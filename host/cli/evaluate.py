"""The command that evaluates a folder with lm-evaluation-harness."""

from pathlib import Path
from typing import Annotated

import typer

from host.cli.options import names
from host.cli.reporting import reports
from host.folders import report_folder

__all__ = ["evaluate"]


@reports
def evaluate(folder: Annotated[Path, typer.Argument(help="A compressed folder, or any folder of a model.")],
             tasks: Annotated[str, typer.Option(help="Tasks, separated by blanks: names of lm-evaluation-harness, "
                                                     "files of questions that end in .jsonl, or paper for the paper's "
                                                     "five and WikiText-2.")] = "paper",
             limit: Annotated[int, typer.Option(min=0, help="Samples of each task at most; 0 for all.")] = 0,
             batch: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 8) -> None:
    """Evaluate a compressed folder with lm-evaluation-harness, as transformers loads it."""
    from host.evaluate.evaluate import evaluate as measure
    from host.report.writer import finish

    report = report_folder("evaluate")
    chosen = names("tasks", tasks, "--tasks paper")
    results = measure(folder, chosen, limit or None, batch)
    finish(report, {"folder": folder.name, "tasks": list(chosen), "limit": limit or None}, results,
           f"{folder.name} under lm-evaluation-harness")
