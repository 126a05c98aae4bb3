"""Roles of a decoder layer's matrices: in which order a token uses them, and which of them share an input vector.

The names are those of Hugging Face checkpoints, without the ``.weight`` at their end. They say enough, whatever the
family is: no two families give one name to matrices of different roles.
"""

import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["LAYER", "expert_of", "has_role", "inputs", "ordered", "short_names"]

LAYER = "layer"
"""Name of the layer that a model has most of, which no matrix may have."""
_STEPS: tuple[tuple[str, ...], ...] = (
    ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "W_pack", "query", "key", "value",
     "q_a_proj", "kv_a_proj_with_mqa"),
    ("q_b_proj",), ("kv_b_proj",),
    ("o_proj", "out_proj", "attn.c_proj", "self_attention.dense", "self_attn.dense", "attention.dense"),
    ("router", "router.layer", "gate", "shared_expert_gate", "gate_proj", "up_proj", "gate_up_proj", "w1", "w3", "fc1",
     "fc_in", "dense_h_to_4h", "c_fc", "input_linear"),
    ("down_proj", "w2", "fc2", "fc_out", "dense_4h_to_h", "c_proj", "output_linear"),
)
"""What a layer does, step by step. The matrices of a step are multiplied with the same vector, in this order, but for
those of the last step, each of which has the result of the one or two before it."""
_PLACES = {name: (step, place) for step, names in enumerate(_STEPS) for place, name in enumerate(names)}
_FEED_FORWARD, _LAST = 4, len(_STEPS) - 1
_EXPERT = re.compile(r"(?:^|\.)experts\.(?:([0-9]{1,6})\.)?")
_SHARED = re.compile(r"(?:^|\.)shared_experts?\.")


def expert_of(name: str) -> int | None:
    """Return the number of the expert that a matrix belongs to, -1 when it holds or stands for all experts, or None
    when it is no routed expert's."""
    found = _EXPERT.search(name)
    return int(found[1] or -1) if found else None


def _place(name: str) -> tuple[int, int] | None:
    """Return the step of a matrix and its place in the step; None when its role is not known."""
    parts = name.split(".")
    return _PLACES.get(".".join(parts[-2:])) or _PLACES.get(parts[-1])


def has_role(name: str) -> bool:
    """Say whether a tensor of this name is one of the matrices whose role is known."""
    return _place(name) is not None


def _key(name: str) -> tuple[int, ...]:
    """Return what the matrices of a layer are sorted by: experts follow one another, and the shared ones come last."""
    place = _place(name)
    if place is None:
        return (_LAST + 1,)
    step, within = place
    if step < _FEED_FORWARD:
        return step, 0, 0, within
    expert = expert_of(name)
    block = 2 if _SHARED.search(name) else 1 if expert is not None else 0
    return _FEED_FORWARD, block, expert or 0, step, within


def ordered(names: Iterable[str]) -> list[str]:
    """Return the names of a layer's matrices in the order in which a token uses them.

    Matrices whose role is not known come last and keep their order.
    """
    return sorted(names, key=_key)


def inputs(names: Iterable[str]) -> dict[str, str]:
    """Return the input of each matrix by its name: the name of the first matrix that has the same input vector.

    Parameters
    ----------
    names : iterable of str
        All matrices of a layer, :func:`ordered`.
    """
    first: dict[int, str] = {}
    found = {}
    for name in names:
        place = _place(name)
        found[name] = first.setdefault(place[0], name) if place and place[0] != _LAST else name
    return found


def _shortened(name: str, words: int) -> str:
    """Return so many words of a name, the last ones, or one more where the last is ``layer``; of an expert, words from
    ``experts`` on count as one."""
    parts = name.split(".")
    if start := _SHARED.search(name) or _EXPERT.search(name):
        words += name[start.start():].lstrip(".").count(".")
    return ".".join(parts[-words - (parts[-1] == LAYER):])


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the short name of each of a layer's matrices by its name: its last word, or as many words as tell it from
    the others. Names of experts begin with ``experts`` or ``shared_expert``."""
    found: dict[str, str] = {}
    missing, words = list(names), 1
    while missing:
        short = {name: _shortened(name, words) for name in missing}
        counts = Counter(short.values())
        found |= {name: mine for name, mine in short.items() if counts[mine] == 1 or mine == name}
        missing, words = [name for name in missing if name not in found], words + 1
    return found
