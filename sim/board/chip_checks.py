"""What the parts of the SDRAM chip's model share: the command of a clock, assertions and clocks since an event."""

from amaranth.hdl import Assert, Module, Mux, Signal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import Command, SdramPinsSignature

__all__ = ["Checks", "CommandSignature"]


class CommandSignature(wiring.Signature):
    """The command of this clock, as the chip has decoded it.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    command : Out(Command)
        ``NOTHING`` when the chip is not selected.
    ba, a : Out
        The bank's and the address pins.
    """

    def __init__(self, part: SdramPart):
        pins = SdramPinsSignature(part).members
        super().__init__({"command": Out(Command), "ba": pins["ba"], "a": pins["a"]})


class Checks:
    """Adds assertions about a chip to a module, and what they count.

    Parameters
    ----------
    m : Module
    part : SdramPart
    clock_mhz : float
    """

    def __init__(self, m: Module, part: SdramPart, clock_mhz: float):
        self._m, self._part, self._clock_mhz = m, part, clock_mhz
        self._longest = max(part.t_mrd_ck, *(self.clocks(name) for name in (
            "t_rcd", "t_rp", "t_ras", "t_rc", "t_rrd", "t_wr", "t_rfc")))

    def clocks(self, name: str) -> int:
        """Clocks of the part's parameter ``name``, for example "t_rcd"."""
        return self._part.clocks(name, self._clock_mhz)

    def check(self, condition: ValueLike, violated: str) -> None:
        """Assert ``condition`` at the next rising edge; the message is the part's name and what is ``violated``."""
        self._m.d.sync += Assert(condition, f"{self._part.name}: {violated}\n")

    def since(self, event: ValueLike, name: str) -> Signal:
        """Clocks since the last ``event``; the count stops at the longest time of the data sheet, where it starts."""
        longest = self._longest
        clocks = Signal(range(longest + 1), init=longest, name=f"since_{name}")
        self._m.d.sync += clocks.eq(Mux(event, 1, Mux(clocks == longest, longest, clocks + 1)))
        return clocks
