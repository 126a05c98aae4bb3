"""The model card of a compressed folder, ``README.md``, with metadata for Hugging Face's hub
(https://huggingface.co/docs/hub/model-cards).

Nothing in it depends on the machine or on how often the work was interrupted, so that the same compression gives the
same folder.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import fields
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from host.calibrate.calibration import SELF, Calibration
from host.checkpoint.carried import CARD, stored_name
from host.checkpoint.checkpoint import Checkpoint
from host.checkpoint.digests import Stamp
from host.checkpoint.manifest import CompressedTensor
from host.checkpoint.shard_names import VARIANT
from host.compress.account import account
from host.compress.plan import Plan
from host.regular_file import read_range
from host.version import program_version

__all__ = ["model_card"]

_TAKEN_OVER = ("license", "license_name", "license_link", "pipeline_tag")
"""Fields of the metadata of the base model's card that hold for the compressed model, too."""
_FIELD = re.compile(r"([a-z_]+): *(['\"]?)([^'\"#\s\[\]{}&*!|>%@`]+)\2 *")
_HUB = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
_LONGEST = 1 << 16  # bytes of a card whose metadata are read
_LAYER = re.compile(r"(?<=\.)[0-9]+(?=\.)")
_ROWS = 24  # of the table of errors


def _base_metadata(card: Stamp | None) -> dict[str, str]:
    """Return the fields of a base model's card that are taken over: single words at the top level of its metadata."""
    if card is None:
        return {}
    text = read_range(card.path, 0, min(card.size, _LONGEST), "make it readable").decode(errors="replace")
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---" or "---" not in lines[1:]:
        return {}
    found = (_FIELD.fullmatch(line) for line in lines[1:lines.index("---", 1)])
    return {match[1]: match[3] for match in found if match and match[1] in _TAKEN_OVER}


def _hub_name(path: Path) -> str:
    """Return the name that a model has on the hub, as the hub's cache shows it; empty where it is not known."""
    match = _HUB.fullmatch(path.parent.parent.name) if path.parent.name == "snapshots" else None
    return f"{match[1]}/{match[2]}" if match else ""


def _metadata(plan: Plan, checkpoint: Checkpoint) -> list[str]:
    """Return the lines of the card's metadata."""
    hub = _hub_name(checkpoint.path)
    named = {"base_model": hub, "base_model_relation": "quantized"} if hub else {}
    # A text of JSON is one of YAML.
    more = {**named, **_base_metadata(plan.extras.get(stored_name(CARD)))}
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in more.items()), "library_name: transformers",
            "tags:", "- seedlm", "- quantized", "---"]


def _text_of(calibration: dict[str, Any]) -> str:
    """Return what a model was calibrated with, in words."""
    size = f"{calibration['sequences']} sequences of {calibration['length']} tokens"
    if calibration["text"] == SELF:
        return f"{size} that the model wrote itself, seed {calibration['seed']}"
    return f"{size} of the text with SHA-256 {calibration['text']}"


def _calibration_words(calibration: dict[str, Any]) -> list[str]:
    """Return the options of a calibration that are not the default."""
    usual = Calibration()
    given = {"sequences": (calibration["sequences"], usual.sequences),
             "sequence-tokens": (calibration["length"], usual.length),
             "calibration-seed": (calibration.get("seed", usual.seed), usual.seed)}
    words = ["--calibrate", SELF if calibration["text"] == SELF else "FILE"]
    for name, (value, default) in given.items():
        words += [f"--{name}", str(value)] if value != default else []
    return words


def _command(plan: Plan) -> str:
    """Return the command that makes the folder again, with the options that are not the default."""
    options = plan.options.portable
    words = ["seedlm-fpga", "compress", "MODEL", "OUT"]
    for field in fields(options):
        value = getattr(options, field.name)
        if value != field.default and (field.name, options.bits is None) != ("format", False):
            for each in value if isinstance(value, tuple) else (value,):
                words += [f"--{field.name.replace('_', '-')}", str(each)]
    words += ["--weighting", "FOLDER"] if plan.weighting else []
    return shlex.join([*words, *(_calibration_words(plan.calibration) if plan.calibration else [])])


def _errors(tensors: Mapping[str, CompressedTensor], mixed: bool) -> list[str]:
    """Return a table of errors with a row for the tensors of all layers whose names differ in numbers alone, and that
    have the same format."""
    groups: dict[str, list[CompressedTensor]] = {}
    for name, tensor in tensors.items():
        kind = f"`{_LAYER.sub('*', name)}`".replace("|", "\\|")
        groups.setdefault(f"{kind} in {tensor.format}" if mixed else kind, []).append(tensor)
    worst = sorted(groups, key=lambda group: -max(tensor.block_error for tensor in groups[group]))
    shown = {name: groups[name] for name in groups if name in worst[:_ROWS]}
    rows = [f"| {name} | {len(group)} | {median(tensor.error for tensor in group):.4f} | "
            f"{max(tensor.error for tensor in group):.4f} | {max(tensor.block_error for tensor in group):.4f} |"
            for name, group in shown.items()]
    more = [f"| {len(groups) - len(shown)} kinds with smaller errors | | | | |"] if len(groups) > len(shown) else []
    return ["| tensors | number | median error | greatest error | greatest error by block |", "|---|--:|--:|--:|--:|",
            *rows, *more]


def _format_rows(plan: Plan, tensors: Mapping[str, CompressedTensor], weights: int) -> list[str]:
    """Return the rows of the card's table that say which formats the tensors have."""
    rows = []
    for targets in plan.formats.values():
        fmt, own = targets[0].fmt, sum(prod(tensors[target.name].matrix_shape) for target in targets)
        share = f", in {len(targets)} tensors with {100 * own / weights:.1f} % of the weights that are compressed"
        rows.append(f"| format | {fmt.name}: blocks of {fmt.c} weights, {fmt.p} coefficients, seeds of {fmt.k} bits"
                    f"{'' if plan.options.bits is None else share} |")
    if plan.options.bits is not None:
        rows.append(f"| budget | {plan.options.bits:g} bits per weight in compressed tensors; an engine is built for "
                    "one format, so this model needs an engine for each of its formats |")
    return rows


def _usual(plan: Plan) -> str:
    """Return the errors of blocks of Gaussian weights, in words."""
    if plan.options.bits is None:
        return f"{plan.gaussian[plan.options.fmt.name]:.4f}"
    return " and ".join(f"{plan.gaussian[name]:.4f} in {name}" for name in plan.formats)


def model_card(checkpoint: Checkpoint, plan: Plan, tensors: Mapping[str, CompressedTensor]) -> str:
    """Return the text of the card.

    Parameters
    ----------
    tensors : mapping
        What the compressed tensors mean, by name.

    Raises
    ------
    UserError
        When a file of the model can no longer be read.
    """
    made, weights = account(checkpoint, plan, tensors), sum(prod(tensor.matrix_shape) for tensor in tensors.values())
    streams = 8 * sum(tensor.stream_bytes for tensor in tensors.values())
    base = f" The card of the base model is [{stored_name(CARD)}]({stored_name(CARD)})." if stored_name(
        CARD) in plan.extras else ""
    return "\n".join([
        *_metadata(plan, checkpoint), "",
        f"# {_hub_name(checkpoint.path) or 'A language model'}, compressed by SeedLM", "",
        f"The weights of {len(tensors)} tensors are stored as seeds and coefficients of SeedLM "
        f"(https://arxiv.org/abs/2410.10714), and all other tensors are as they were.{base}", "",
        "| | |", "|---|---|",
        *_format_rows(plan, tensors, weights),
        f"| bits per weight | {streams / weights:.3f} in compressed tensors, {made.bits:.3f} over all |",
        f"| share of the bytes of matrices that is compressed | {100 * made.share:.1f} % |",
        f"| made by | {program_version()} |",
        *([f"| calibration | {_text_of(plan.calibration)} |"] if plan.calibration else []),
        f"| command | `{_command(plan)}` |", "",
        "## Errors", "",
        "The error of a tensor is ‖ŵ - w‖ / ‖w‖. By block, it is the root of the mean of the squares of the blocks' "
        f"errors, which is {_usual(plan)} for Gaussian weights.", "",
        *_errors(tensors, plan.options.bits is not None), "",
        "## How to load it", "",
        "With transformers and the package seedlm-fpga, of which `host.hf` is the plug-in:", "",
        "```python", "import host.hf", "from transformers import AutoModelForCausalLM", "",
        f'model = AutoModelForCausalLM.from_pretrained(FOLDER, variant="{VARIANT}")', "```", "",
        "As a plain folder for any other program:", "", "```", "seedlm-fpga decompress FOLDER PLAIN", "```", ""])
