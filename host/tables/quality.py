"""Rows of ``host quality`` and ``host explore``: what compression costs in accuracy."""

from host.tables.row import Row, column

__all__ = ["ExploreRow", "QualityRow"]


class QualityRow(Row):
    """The error of a quantiser on a tensor, or (``tensor`` is ``total``) on all tensors of a model."""

    VIEW = ("model", "tensor", "method", "bits_per_weight", "relative_error")
    LABEL = "{model} {tensor} {method}"

    model: str = column("model", doc="The model.")
    tensor: str = column("tensor", doc="The tensor; “total” is all of them together.")
    method: str = column("method", doc="The quantiser.")
    code_bits: int = column("code's bits", "d", unit="bits", doc="Nominal bits of a weight: methods of the same number "
                                                                 "are compared with each other.")
    bits_per_weight: float = column("bits", ".3f", unit="bits/weight",
                                    doc="Stored bits for one weight, scales, exponents and padding included.")
    relative_error: float = column("error", ".4f", doc="‖ŵ - w‖ / ‖w‖.")


class ExploreRow(Row):
    """The error of one format on one kind of weights."""

    VIEW = ("weights", "bits_per_weight", "format", "c", "p", "k", "relative_error", "best")
    LABEL = "{format} on {weights}"

    weights: str = column("weights", doc="Gaussian weights, or those of a model.")
    bits_per_weight: float = column("bits/weight", ".3f", unit="bits/weight", doc="Bits that the format spends.")
    format: str = column("format", doc="The format: C,P,K or its name.")
    c: int = column("C", "d", unit="weights", doc="Weights of a block.")
    p: int = column("P", "d", unit="coefficients", doc="Coefficients of a block.")
    k: int = column("K", "d", unit="bits", doc="Bits of the LFSR, and so of a seed.")
    relative_error: float = column("rel. error", ".4f", doc="‖ŵ - w‖ / ‖w‖.")
    best: bool = column("best", doc="Whether no other format of as many bits has a smaller error on these weights.")
