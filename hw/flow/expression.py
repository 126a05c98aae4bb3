"""Verilog's expressions: operators nested in one another, with parentheses, and with Verilog's rules of width and sign.

Verilog evaluates the operands of most operators in the width of the widest one and of what the result is assigned to,
and with the sign of all of them together (IEEE 1800-2017, 11.6 and 11.8). RTLIL gives every result a width and a sign
of its own. So an expression may be written inside another one only where both mean the same; elsewhere it needs a name.
"""

from typing import NamedTuple

__all__ = ["BINARY", "UNARY", "Expression", "literal"]

BINARY = {"$mul": ("*", 12), "$add": ("+", 11), "$sub": ("-", 11), "$shl": ("<<", 10), "$shr": (">>", 10),
          "$sshr": (">>>", 10), "$lt": ("<", 9), "$le": ("<=", 9), "$gt": (">", 9), "$ge": (">=", 9), "$eq": ("==", 8),
          "$ne": ("!=", 8), "$and": ("&", 7), "$xor": ("^", 6), "$or": ("|", 5)}
"""Sign and precedence of the operators of two operands (IEEE 1800-2017, table 11-2)."""
UNARY = {"$not": "~", "$neg": "-", "$reduce_and": "&", "$reduce_or": "|", "$reduce_bool": "|", "$reduce_xor": "^"}


class Expression(NamedTuple):
    """Text of an expression and what decides where it may stand.

    Parameters
    ----------
    text : str
    width : int
        Bits of the value that is meant.
    own : int
        Bits that Verilog gives it where nothing around it counts, as in a concatenation.
    grows : bool
        In a wider context it gives the same number, extended by zeros, or by the sign if ``signed``.
    precedence : int
        Of the outermost operator; 15 for a name.
    signed : bool
        Verilog takes it for signed.
    """

    text: str
    width: int
    own: int
    grows: bool = True
    precedence: int = 15
    signed: bool = False

    @property
    def exact(self) -> bool:
        """Whether it may stand where nothing around it counts."""
        return self.own == self.width

    def inside(self, precedence: int) -> str:
        """Text as an operand of an operator of a precedence, in parentheses if a reader could doubt what belongs
        together."""
        binds = self.precedence >= (8 if 3 <= precedence <= 7 else precedence) or self.precedence == precedence
        return self.text if binds else f"({self.text})"


def literal(constant: str, signed: bool = False) -> Expression:
    """A constant, written most significant bit first."""
    width = len(constant)
    if "x" in constant:
        text = f"{width}'b{constant}"
    elif width == 1 and not signed:
        text = f"1'b{constant}"
    else:
        number = int(constant, 2)
        if signed and constant.strip("0") == "1" and constant[0] == "1":
            text = f"$signed({width}'d{number})"  # Verilog has no literal for the least number
        elif signed and constant[0] == "1":
            text = f"-{width}'sd{(1 << width) - number}"
        else:
            text = f"{width}'{'s' if signed else ''}{f'd{number}' if number < 1000 else f'h{number:x}'}"
    return Expression(text, width, width, precedence=14 if text[0] == "-" else 15, signed=signed)
