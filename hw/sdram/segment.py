"""What passes between the parts of the SDRAM controller: segments of bursts, and the segment that is being transferred.

A word of the bus is two transfers of the chip, one column command with a burst of two. A segment is a run of words that
lie in one row of one bank.
"""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hw.sdram.part import DATA_BITS, SdramPart

__all__ = ["BURST", "WORD_BITS", "TransferSignature", "segment_layout"]

BURST = 2
"""Transfers of one column command; the mode register is set to it."""
WORD_BITS = BURST * DATA_BITS
"""Bits of a word of the bus."""


def segment_layout(part: SdramPart) -> data.StructLayout:
    """Shape of a segment: ``more`` + 1 words of the row ``row`` in the bank ``bank``.

    ``word`` is the number of the first word in its row. ``write`` is 1 when the words are written and 0 when they are
    read. ``last`` is 1 when the segment ends a burst of the bus.
    """
    words = part.column_bits - 1
    return data.StructLayout({"word": words, "bank": part.bank_bits, "row": part.row_bits, "more": words, "write": 1,
                              "last": 1})


class TransferSignature(wiring.Signature):
    """What the column machine makes known of the segment that it transfers.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    current : Out(segment_layout)
        The words of the segment that have not had their column command yet.
    busy : Out(1)
        1 while there are such words; ``current`` has no meaning otherwise.
    issue : Out(1)
        Strobe: the next cycle's command is the column command for the first word of ``current``.
    """

    def __init__(self, part: SdramPart):
        super().__init__({"current": Out(segment_layout(part)), "busy": Out(1), "issue": Out(1)})
