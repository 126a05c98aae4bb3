"""Names of tasks, and files of questions."""

import json
from pathlib import Path

import pytest

from host.errors import UserError
from host.evaluate.evaluate import _absent, _rows, evaluate
from host.evaluate.tasks import PAPER, task_list

QUESTION = {"question": "1 + 2 =", "choices": ["3", "4"], "answer": 0}


def test_the_papers_tasks_have_one_name() -> None:
    assert task_list(["paper"]) == list(PAPER)
    assert task_list(["boolq", "paper", "piqa"]) == ["boolq", "arc_easy", "arc_challenge", "hellaswag", "winogrande",
                                                     "wikitext", "piqa"]


def test_a_file_of_questions_is_a_task(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text(f"{json.dumps(QUESTION)}\n\n{json.dumps(QUESTION)}\n")
    task, = task_list([str(path)])
    assert isinstance(task, dict)
    assert (task["task"], task["dataset_kwargs"]) == ("sums", {"data_files": {"test": str(path)}})


@pytest.mark.parametrize(("text", "message"), [
    ("", "has no questions: each line must be like"), ("nonsense", "line 1 of .*sums.jsonl"),
    (json.dumps(QUESTION | {"answer": 2}), "line 1 of .*answer"), (json.dumps({"question": "1"}), "choices")])
def test_what_is_no_question_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        task_list([str(path)])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no folder of a model"):
        evaluate(tmp_path, ["paper"], None, 1)


def test_rows_are_the_metrics_of_the_results() -> None:
    found = _rows("small", {
        "results": {"sums": {"alias": "sums", "acc,none": 0.5, "acc_stderr,none": 0.1},
                    "text": {"alias": "text", "word_perplexity,none": 20.0, "word_perplexity_stderr,none": "N/A"}},
        "n-samples": {"sums": {"original": 9, "effective": 4}, "text": {"original": 2, "effective": 2}}})
    assert [(row.task, row.metric, row.value, row.error, row.samples) for row in found] == [
        ("sums", "acc", 0.5, 0.1, 4), ("text", "word_perplexity", 20.0, None, 2)]


def test_a_lack_of_network_is_told_from_faults() -> None:
    outer = ValueError("no")
    outer.__cause__ = ConnectionError("Couldn't reach 'x' on the Hub")
    assert _absent(outer)
    assert not _absent(ValueError("a wrong shape"))
