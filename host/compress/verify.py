"""What a compressed folder holds, and whether it is whole."""

from pathlib import Path

from host.checkpoint.container import open_compressed
from host.results import Column, Row

__all__ = ["COLUMNS", "inspect"]

COLUMNS: tuple[Column, ...] = (
    ("tensor", "tensor", ""), ("format", "format", ""), ("rows", "rows", "d"), ("cols", "columns", "d"),
    ("bits_per_weight", "bits/weight", ".3f"), ("relative_error", "rel. error", ".4f"),
    ("exponent_bias", "bias", "d"), ("sha256", "sha256", ".12s"), ("verified", "verified", ""))


def inspect(folder: Path, verify: bool = True) -> list[Row]:
    """One row for each compressed tensor and one for all of them.

    Raises
    ------
    UserError
        When the folder holds no compressed model, is damaged, or, with ``verify``, a digest does not match.
    """
    files = open_compressed(folder)
    rows: list[Row] = []
    for name, tensor in files.compressed.items():
        if verify:
            files.verify(name)
        rows.append({"tensor": name, "format": tensor.format, "rows": tensor.shape[0], "cols": tensor.shape[1],
                     "bits_per_weight": tensor.bits_per_weight, "relative_error": tensor.error,
                     "exponent_bias": tensor.exponent_bias, "dtype": tensor.dtype, "sha256": tensor.sha256,
                     "verified": verify or None})
    weights = sum(row["rows"] * row["cols"] for row in rows)
    total = {"tensor": f"{len(rows)} compressed, {len(files.tensors) - len(rows)} as they were",
             "format": files.settings["format"],
             "bits_per_weight": sum(8 * tensor.stream_bytes for tensor in files.compressed.values()) / weights,
             "verified": verify or None}
    if rows:
        rows[-1]["section"] = True
    return [*rows, total]
