"""Rows of ``seedlm-fpga inspect``: a compressed tensor."""

from host.tables.row import Row, column

__all__ = ["TensorRow"]


class TensorRow(Row):
    """A compressed tensor, or, last, all tensors of a folder, which have no shape of their own."""

    VIEW = ("tensor", "format", "rows", "cols", "bits_per_weight", "relative_error", "block_error", "exponent_bias",
            "sha256", "verified")
    LABEL = "{tensor}"

    tensor: str = column("tensor", doc="Name of the tensor.")
    format: str = column("format", doc="Format of the weights.")
    rows: int | None = column("rows", "d", doc="Rows of the matrix.", default=None)
    cols: int | None = column("columns", "d", doc="Columns of the matrix.", default=None)
    bits_per_weight: float = column("bits/weight", ".3f", unit="bits/weight",
                                    doc="Stored bits for one weight, padding of rows and columns included.")
    relative_error: float | None = column("rel. error", ".4f", doc="‖ŵ - w‖ / ‖w‖.", default=None)
    block_error: float | None = column("block error", ".4f", default=None,
                                       doc="Root of the mean over all blocks of ‖ŵ - w‖² / ‖w‖².")
    exponent_bias: int | None = column("bias", "d", doc="What is added to the exponent of every block.", default=None)
    sha256: str | None = column("sha256", ".12s", doc="Digest of the stream; its first twelve digits are shown.",
                                default=None)
    verified: bool | None = column("verified", doc="Whether the stream was found to have its digest.", default=None)
