"""What a variant is: a code of a model's matrices, and the arithmetic of their products.

A code is a :class:`functools.partial` of a function of a module, called with the matrices that share an input, by name,
and with what is known of that input. So it can be told from others by the function and what it is given, and a change
of the function's module is noticed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from golden.product import Weights
from host.calibrate.moments import Moments

__all__ = ["SHIPPED", "Code", "Shared", "Variant"]


@dataclass(frozen=True)
class Shared:
    """What is known of the input that some matrices share.

    Parameters
    ----------
    moments : Moments
        Of the input in a model in which all matrices before these have the code already.
    scalable : bool
        Whether the operation before can take up scales of channels: a norm, or a matrix whose outputs the input is.
    """

    moments: Moments
    scalable: bool


Code = partial[Mapping[str, Weights]]
"""Takes matrices by name, float32, (rows, columns), and :class:`Shared` or None. Returns golden's codes of them, or,
where golden has no such format, arrays of what the codes stand for: float64, (rows, columns)."""


@dataclass(frozen=True)
class Variant:
    """A way to store the matrices of the decoder layers, and to multiply with them. All else of a model stays as it is.

    Parameters
    ----------
    name : str
    family : str
        Variants of a family are joined by a line in charts.
    code : Code or None
        None leaves the weights as they are shipped.
    bits_per_weight : callable or None
        Returns the bits that are stored for a weight, of a matrix of so many columns: codes, scales and padding. None
        stands for what the checkpoint stores.
    calibrated : bool
        Whether the code needs :class:`Shared`.
    act_bits : int
        Width of the engine's activations, whose arithmetic the products then have, bit for bit; 0 for float32.
    cost : float
        Time that a layer usually takes, in times of its products.
    """

    name: str
    family: str
    code: Code | None
    bits_per_weight: Callable[[int], float] | None
    calibrated: bool = False
    act_bits: int = 0
    cost: float = 1

    def described(self) -> str:
        """Return what tells the measurement of this variant from all others, but for the sources."""
        code = self.code and (self.code.func.__module__, self.code.func.__qualname__, self.code.args,
                              self.code.keywords)
        return repr((code, self.calibrated, self.act_bits))

    def modules(self) -> tuple[str, ...]:
        """Return the names of the modules that make the codes."""
        return (self.code.func.__module__,) if self.code else ()


SHIPPED = Variant("shipped", "as shipped", None, None)
"""The model as it is, which the others are compared with."""
