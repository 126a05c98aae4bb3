"""Names of tasks, and questions of one's own as a task of lm-evaluation-harness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host.errors import UserError
from host.json_reader import parse_json
from host.regular_file import open_regular

__all__ = ["PAPER", "task_list"]

PAPER = ("arc_easy", "arc_challenge", "hellaswag", "winogrande", "boolq", "wikitext")
"""What ``paper`` stands for: the five zero-shot tasks of the paper's section 4, and WikiText-2, by the harness's
names."""
_CURE = 'each line must be like {"question": "1 + 2 =", "choices": ["3", "4"], "answer": 0}'


def _local(path: Path) -> dict[str, Any]:
    """Return the task of a file of questions, one in each line.

    Raises
    ------
    UserError
        When there is no such file, or a line is no question.
    """
    with open_regular(path, "give a file of questions, one in each line") as file:
        lines = file.read().splitlines()
    count = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        question = parse_json(line, f"line {number} of {path}", _CURE)
        question["question"].text()
        choices = [choice.text() for choice in question["choices"].elements()]
        question["answer"].whole(0, len(choices) - 1)
        count += 1
    if not count:
        raise UserError(f"{path} has no questions: {_CURE}")
    return {"task": path.stem, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path.absolute())}},
            "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{question}}",
            "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}", "metric_list": [{"metric": "acc"}]}


def task_list(names: Sequence[str]) -> list[str | dict[str, Any]]:
    """Return tasks as the harness takes them: ``paper`` stands for :data:`PAPER`, and what ends in ``.jsonl`` is a file
    of questions.

    Raises
    ------
    UserError
        As :func:`_local`.
    """
    every = [each for name in names for each in (PAPER if name == "paper" else (name,))]
    return [_local(Path(name)) if name.endswith(".jsonl") else name for name in dict.fromkeys(every)]
