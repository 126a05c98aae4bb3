"""How the parts of the SDRAM controller ask for commands that are not column commands."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import Command, SdramPinsSignature

__all__ = ["RowCommandSignature"]


class RowCommandSignature(wiring.Signature):
    """A request for a command other than a read or a write, as seen by the part that makes it.

    Unlike a stream's payload, a request may change or be withdrawn for as long as it has not been accepted.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    requested : Out(1)
        1 while ``command`` is requested.
    command : Out(Command)
    bank : Out(bank_bits)
        The bank's pins.
    address : Out
        The address pins.
    accepted : In(1)
        Strobe: the request is carried out; the pins have the command in the next cycle. It is 0 without a request.
    """

    def __init__(self, part: SdramPart):
        pins = SdramPinsSignature(part).members
        super().__init__({"requested": Out(1), "command": Out(Command), "bank": pins["ba"], "address": pins["a"],
                          "accepted": In(1)})
