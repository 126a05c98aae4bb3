"""A folder under lm-evaluation-harness: a compressed one through the plug-in, or any other."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from host.checkpoint.container import is_compressed
from host.errors import UserError
from host.evaluate.tasks import task_list
from host.tables.evaluate import EvaluateRow

__all__ = ["evaluate"]

_OFFLINE = ("couldn't reach", "couldn't find", "cannot find", "offline", "connection", "max retries",
            "name resolution", "cannot send a request", "doesn't exist on the hub")
"""Words of the exceptions that data sets raise which are not there and cannot be had."""


def _rows(model: str, results: Mapping[str, Any]) -> list[EvaluateRow]:
    """Return a row for each metric in the harness's results. A metric's key is its name, a comma, and its filter's."""
    rows = []
    for task, found in results["results"].items():
        samples = results["n-samples"].get(task, {}).get("effective", 0)
        for key, value in found.items():
            metric, _, kind = key.partition(",")
            if not kind or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            error = found.get(f"{metric}_stderr,{kind}")
            rows.append(EvaluateRow(model=model, task=task, metric=metric, value=float(value), samples=int(samples),
                                    error=float(error) if isinstance(error, (int, float)) else None))
    return rows


def _known(names: Sequence[Any], manager: Any) -> None:
    """Refuse names of tasks that the harness does not know. UserError."""
    known = set(manager.all_tasks)
    if unknown := [name for name in names if isinstance(name, str) and name not in known]:
        raise UserError(f"lm-evaluation-harness has no task {unknown[0]}: `lm_eval ls tasks` lists those that it has; "
                        "questions of your own are a file that ends in .jsonl")


def _absent(error: BaseException) -> bool:
    """Return whether an exception, or one that caused it, says that something cannot be had from the network."""
    text = f"{type(error).__name__} {error}".lower()
    cause = error.__cause__ or error.__context__
    return any(word in text for word in _OFFLINE) or (cause is not None and _absent(cause))


def evaluate(folder: Path, names: Sequence[str], limit: int | None, batch: int) -> list[EvaluateRow]:
    """Return what the harness measures.

    Parameters
    ----------
    folder : Path
        A compressed folder, whose weights are decoded once when it is loaded, or any other that transformers loads.
    names : sequence of str
        Tasks as :func:`host.evaluate.tasks.task_list` takes them.
    limit : int or None
        Samples of each task at most; None for all.
    batch : int
        Samples at a time.

    Raises
    ------
    UserError
        When the folder is no model, a task is unknown, or a task's data set is not there and cannot be downloaded.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no folder of a model: give one that `compress` or `decompress` made, or another "
                        "Hugging Face folder")
    tasks = task_list(names)
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM

    import host.hf

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager()
    _known(tasks, manager)
    # The harness hands a configuration of its own to the loader, so that the model is loaded here.
    loading = {"variant": "seedlm", "quantization_config": host.hf.SeedlmConfig(decode="on_load")}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, **(loading if is_compressed(folder) else {}))
        results = simple_evaluate(HFLM(model, tokenizer=str(folder), batch_size=batch), tasks=tasks, limit=limit,
                                  task_manager=manager, log_samples=False, bootstrap_iters=1000)
    except UserError:
        raise
    except Exception as error:  # each library has exceptions of its own
        if _absent(error):
            wanted = ", ".join(name for name in tasks if isinstance(name, str)) or str(folder)
            raise UserError(f"the data of {wanted} is not on this machine and cannot be downloaded "
                            f"({str(error).splitlines()[0]}): run it once with a network, set HF_HOME to a cache that "
                            "has it, or give questions of your own in a file that ends in .jsonl") from error
        raise
    return _rows(folder.name, results)
