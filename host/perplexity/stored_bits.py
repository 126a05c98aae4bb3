"""Stored bits for one weight: of the matrices that have codes, and of a whole model."""

from collections.abc import Sequence
from math import prod

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from host.checkpoint.checkpoint import Checkpoint
from host.perplexity.variant import Variant
from host.quality.controls import format_bits

__all__ = ["bits_per_weight", "model_bits"]

_PLAIN = 16
"""Bits of a weight without a code: those of a float16 or bfloat16."""


def _shipped(checkpoint: Checkpoint, name: str) -> float:
    """Return the bits that a checkpoint stores for a tensor."""
    if matrix := checkpoint.stored(name, slice(0, 0)):
        rows, cols = checkpoint.matrix_shape(name)
        return rows * cols * format_bits(matrix.fmt)(cols)
    kind, count = checkpoint.dtype(name), prod(checkpoint.shape(name))
    if kind in GGMLQuantizationType.__members__:
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        return 8 * count * size / block
    return 8 * checkpoint.raw_size(name)


def _coded(checkpoint: Checkpoint, names: Sequence[str], variant: Variant) -> float:
    """Return the bits of all matrices that have codes."""
    if variant.bits_per_weight is None:
        return sum(_shipped(checkpoint, name) for name in names)
    return sum(rows * cols * variant.bits_per_weight(cols) for rows, cols in map(checkpoint.matrix_shape, names))


def bits_per_weight(checkpoint: Checkpoint, names: Sequence[str], variant: Variant) -> float:
    """Return the stored bits for one weight of the matrices that have codes, scales and padding included."""
    return _coded(checkpoint, names, variant) / sum(prod(checkpoint.shape(name)) for name in names)


def model_bits(checkpoint: Checkpoint, names: Sequence[str], variant: Variant) -> float:
    """Return the stored bits for one weight of the whole model, in which a weight without a code has 16 bits. Of the
    model as it is shipped, all weights have what its checkpoint stores."""
    others = set(checkpoint.names()) - set(names)
    plain = sum(_shipped(checkpoint, name) if variant.bits_per_weight is None else _PLAIN * prod(checkpoint.shape(name))
                for name in others)
    return (_coded(checkpoint, names, variant) + plain) / sum(prod(checkpoint.shape(name))
                                                              for name in checkpoint.names())
