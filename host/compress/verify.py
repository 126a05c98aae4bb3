"""What a compressed folder holds, and whether it is whole."""

from math import prod
from pathlib import Path

from host.checkpoint.container import open_compressed
from host.tables.tensor import TensorRow

__all__ = ["inspect"]


def inspect(folder: Path, verify: bool = True) -> list[TensorRow]:
    """Return a row for each compressed tensor, and one for all of them.

    Raises
    ------
    UserError
        When the folder holds no compressed model, is damaged, or, with ``verify``, a digest does not match.
    """
    files = open_compressed(folder)
    rows = []
    for name, tensor in files.compressed.items():
        if verify:
            files.verify(name)
        rows.append(TensorRow(tensor=name, format=tensor.format, rows=tensor.shape[0], cols=tensor.shape[1],
                              bits_per_weight=tensor.bits_per_weight, relative_error=tensor.error,
                              exponent_bias=tensor.exponent_bias, sha256=tensor.sha256, verified=verify or None))
    weights = sum(prod(tensor.shape) for tensor in files.compressed.values())
    stored = sum(tensor.stream_bytes for tensor in files.compressed.values())
    return [*rows, TensorRow(tensor=f"{len(rows)} compressed, {len(files.tensors) - len(rows)} as they were",
                             format=files.settings["format"], bits_per_weight=8 * stored / weights,
                             verified=verify or None)]
