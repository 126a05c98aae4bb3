"""The rotary embedding of a GGUF file in Hugging Face's terms: ``rope_theta`` and ``rope_scaling``.

What the keys mean is in llama.cpp's ``src/llama-model.cpp`` (``rope.scaling.*``) and ``conversion/base.py``; what the
settings mean is in transformers' ``modeling_rope_utils.py``. What has no counterpart there is refused.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FACTORS", "ROPE_KEYS", "Rope", "RopeError", "rope_settings"]

FACTORS = {"rope_freqs.weight": "llama3", "rope_factors_long.weight": "longrope",
           "rope_factors_short.weight": "longrope"}
"""Tensors that are settings of the rotary embedding, and the kind of embedding that they belong to."""
ROPE_KEYS = ("rope.freq_base", "rope.dimension_count", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
             "rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.yarn_ext_factor",
             "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
             "rope.scaling.yarn_log_multiplier", "rope.scaling.finetuned")
"""Keys that :func:`rope_settings` looks at, without the architecture in front."""
_BASE = 10000.0  # of llama.cpp and of Hugging Face's models alike, where nothing is said
_LLAMA3 = (8192, 1.0, 4.0)
"""Original context, low and high frequency factor of Llama 3.1 to 3.3, the converter's defaults too."""
_CLOSE = 2e-5
"""Relative: two ways to compute the factors of llama3 in float32 differ by less."""


class RopeError(ValueError):
    """The rotary embedding of a file has no counterpart in Hugging Face's model. The text completes "the file ..."."""


@dataclass(frozen=True)
class Rope:
    """What a file says of its rotary embedding.

    Parameters
    ----------
    values : mapping
        The values of those of :data:`ROPE_KEYS` that are there.
    factors : mapping of str to ndarray
        The tensors of :data:`FACTORS` that are there, by their names: float32, one factor for each frequency.
    head_dim : int
        Elements of a head.
    context : int
        Tokens of the longest context, ``context_length``.
    """

    values: Mapping[str, Any]
    factors: Mapping[str, np.ndarray]
    head_dim: int
    context: int

    @property
    def base(self) -> float:
        """The base of the frequencies."""
        return float(self.values.get("rope.freq_base", _BASE))

    @property
    def dims(self) -> int:
        """Elements of a head that are rotated."""
        return int(self.values.get("rope.dimension_count", self.head_dim))

    def require(self, name: str) -> np.ndarray:
        """Return a tensor of factors. RopeError when it is missing or has not one for each frequency."""
        if name not in self.factors:
            raise RopeError(f"has no tensor {name}")
        if self.factors[name].shape != (self.dims // 2,):
            raise RopeError(f"has a tensor {name} of shape {self.factors[name].shape} where heads have "
                            f"{self.dims // 2} frequencies")
        return self.factors[name]


def _kind(rope: Rope) -> str:
    """Return which kind of scaling a file has: ``default`` where it has none."""
    kinds = {FACTORS[name] for name in rope.factors}
    factor = rope.values.get("rope.scaling.factor") or rope.values.get("rope.scale_linear") or 1
    # llama.cpp scales linearly where a factor is given and no type is.
    named = rope.values.get("rope.scaling.type", "linear")
    if named == "none" or (named == "linear" and factor == 1):
        named = "default"
    if kinds and named not in ("default", *kinds):
        raise RopeError(f"has both rope.scaling.type {named} and a tensor {next(iter(rope.factors))}")
    return kinds.pop() if kinds else named


def _linear(rope: Rope) -> dict[str, Any]:
    factor = rope.values.get("rope.scaling.factor") or rope.values.get("rope.scale_linear")
    return {"rope_scaling": {"rope_type": "linear", "factor": factor}}


def _yarn(rope: Rope) -> dict[str, Any]:
    values = rope.values
    factor = values.get("rope.scaling.factor")
    if not factor:
        raise RopeError("has rope.scaling.type yarn and no rope.scaling.factor")
    if values.get("rope.scaling.yarn_ext_factor", 1) not in (1, -1):  # -1 is llama.cpp's "as the type has it"
        raise RopeError("has a rope.scaling.yarn_ext_factor, which Hugging Face's models do not have")
    if values.get("rope.scaling.yarn_log_multiplier", 0):
        raise RopeError("has a rope.scaling.yarn_log_multiplier, which Hugging Face's models of this type do not have")
    usual = 0.1 * math.log(factor) + 1 if factor > 1 else 1.0
    for key in ("rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"):
        # Converters have written the whole attention factor, and llama.cpp multiplies it with the usual one.
        if not math.isclose(values.get(key, usual), usual, rel_tol=1e-6):
            raise RopeError(f"has a {key} of {values[key]}, which programs understand in different ways")
    found = {"rope_type": "yarn", "factor": factor,
             "original_max_position_embeddings": values.get("rope.scaling.original_context_length", rope.context)}
    found |= {ours: values[f"rope.scaling.yarn_{ours}"] for ours in ("beta_fast", "beta_slow")
              if f"rope.scaling.yarn_{ours}" in values}
    return {"rope_scaling": found}


def _longrope(rope: Rope) -> dict[str, Any]:
    original = rope.values.get("rope.scaling.original_context_length", rope.context)
    found = {"rope_type": "longrope", "original_max_position_embeddings": original}
    for length in ("long", "short"):
        found[f"{length}_factor"] = [_decimal(value) for value in rope.require(f"rope_factors_{length}.weight")]
    scale = rope.context / original
    usual = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
    given = rope.values.get("rope.scaling.attn_factor", usual)
    if not math.isclose(given, usual, rel_tol=1e-6):
        found["attention_factor"] = given
    return {"rope_scaling": found, "original_max_position_embeddings": original}


def _decimal(value: Any) -> float:
    """Return the shortest decimal number that is this one in float32."""
    return float(str(np.float32(value)))


def _wave_numbers(base: float, dims: int) -> np.ndarray:
    """Return the reciprocal of each frequency's wave length: float64."""
    return base ** (-np.arange(0, dims, 2) / dims) / (2 * math.pi)


def _llama3_factors(waves: np.ndarray, factor: float, original: float, low: float, high: float) -> np.ndarray:
    """Return by what llama3's scaling divides each frequency."""
    smooth = np.clip((original * waves - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


def _ramp(waves: np.ndarray, factors: np.ndarray, factor: float) -> tuple[float, float]:
    """Return two wave numbers: up to the first all frequencies are divided by ``factor``, from the second on by 1.

    Between them, the reciprocal of what a frequency is divided by is linear in its wave number. Two such frequencies
    give the line. With fewer, many lines say the same of the frequencies that there are, and one of them is taken.
    """
    full = waves[factors >= factor * (1 - _CLOSE)].max()
    plain = waves[factors <= 1 + _CLOSE].min(initial=4 * waves.max())
    between = (factors > 1 + _CLOSE) & (factors < factor * (1 - _CLOSE))
    place, smooth = waves[between], (1 / factors[between] - 1 / factor) / (1 - 1 / factor)
    if len(place) == 0:
        return float((full**2 * plain) ** (1 / 3)), float((full * plain**2) ** (1 / 3))
    if len(place) == 1:
        slope = 1.001 * max((1 - smooth[0]) / (plain - place[0]), smooth[0] / (place[0] - full))
    else:
        slope = np.polyfit(place, smooth, 1)[0]
    return float(place[0] - smooth[0] / slope), float(place[0] + (1 - smooth[0]) / slope)


def _candidates(rope: Rope, waves: np.ndarray, factors: np.ndarray,
                factor: float) -> Iterator[tuple[int, float, float]]:
    """Yield original contexts with low and high frequency factors that may be those of a file.

    A common multiple of the three changes nothing, so that any original context will do: those of Llama 3 come first.
    """
    contexts = [rope.values.get("rope.scaling.original_context_length") or _LLAMA3[0],
                *(1 << power for power in range(20, 3, -1))]
    for original in contexts:
        yield original, *_LLAMA3[1:]
    first, second = _ramp(waves, factors, factor)
    for digits in (4, 17):
        yield contexts[0], float(f"{contexts[0] * first:.{digits}g}"), float(f"{contexts[0] * second:.{digits}g}")


def _llama3(rope: Rope) -> dict[str, Any]:
    factors = rope.require("rope_freqs.weight").astype(np.float64)
    if np.allclose(factors, 1, rtol=_CLOSE):
        return {}
    # The greatest factor there is may be taken for that of the longest waves, as nothing is said of longer ones.
    factor, waves = _decimal(factors.max()), _wave_numbers(rope.base, rope.dims)
    with np.errstate(all="ignore"):
        for original, low, high in _candidates(rope, waves, factors, factor):
            if 0 < low < high and np.allclose(_llama3_factors(waves, factor, original, low, high), factors,
                                              rtol=_CLOSE, atol=0):
                return {"rope_scaling": {"rope_type": "llama3", "factor": factor, "low_freq_factor": low,
                                         "high_freq_factor": high, "original_max_position_embeddings": original}}
    raise RopeError("has a tensor rope_freqs.weight that is not that of Llama 3's scaling")


def _refuse_idle(rope: Rope, kind: str) -> None:
    """Refuse numbers that change the embedding and do not belong to its kind of scaling."""
    usual = {"rope.scaling.yarn_ext_factor": (0, -1), "rope.scaling.yarn_attn_factor": (1,),
             "rope.scaling.yarn_log_multiplier": (0,)}
    if kind != "longrope":
        usual["rope.scaling.attn_factor"] = (1,)
    for key, values in usual.items():
        if kind != "yarn" and rope.values.get(key, values[0]) not in values:
            raise RopeError(f"has a {key} of {rope.values[key]}, which does not belong to a rotary embedding of the "
                            f"kind {kind}")


_SCALINGS = {"linear": _linear, "yarn": _yarn, "longrope": _longrope, "llama3": _llama3}


def rope_settings(rope: Rope, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of ``config.json`` that say what a file says of its rotary embedding.

    Parameters
    ----------
    kinds : tuple of str
        The scalings that Hugging Face's model may have, of ``linear``, ``yarn``, ``longrope`` and ``llama3``. Only a
        model with ``longrope`` may rotate a part of each head.

    Raises
    ------
    RopeError
        When the model cannot have such an embedding.
    """
    numbers = [rope.base, rope.context, *(rope.values.get(key, 1) for key in (
        "rope.scaling.original_context_length", "rope.scaling.factor", "rope.scaling.attn_factor",
        "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"))]
    if min(numbers) <= 0 or rope.dims <= 0 or rope.dims % 2:
        raise RopeError("has a rotary embedding with a number that is zero, negative or odd")
    kind = _kind(rope)
    if kind != "default" and kind not in kinds:
        raise RopeError(f"has a rotary embedding of the kind {kind}, where this type of model may have "
                        f"{' or '.join(kinds)}")
    _refuse_idle(rope, kind)
    found: dict[str, Any] = {"rope_theta": rope.base}
    if rope.dims != rope.head_dim:
        part = rope.dims / rope.head_dim
        if "longrope" not in kinds or int(rope.head_dim * part) != rope.dims or not 0 < part < 1:
            raise RopeError(f"rotates {rope.dims} of the {rope.head_dim} elements of each head")
        found["partial_rotary_factor"] = part
    return found | (_SCALINGS[kind](rope) if kind != "default" else {})
