"""What every board holds: the engine, the SDRAM that it works on, and the serial link through which a host drives both.

    rx, tx --> link --> registers of the engine (AXI4-Lite)
                 |
                 `----> arbiter --> SDRAM controller --> pads
    engine (AXI4) --------^

Every AXI channel between two of these parts passes a slice, which adds 1 cycle of latency. The SDRAM sets the rate: a
word of 32 bits takes 2 cycles.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from golden.spec import WeightFormat
from hw.config import EngineConfig
from hw.engine.engine import Engine
from hw.link.link import Link
from hw.parts.axi_arbiter import AxiArbiter
from hw.parts.stream_slice import slice_axi
from hw.pipelining import FAST
from hw.sdram.controller import SdramController
from hw.sdram.part import SdramPart
from hw.sdram.pins import SdramPinsSignature
from hw.sdram.segment import WORD_BITS

__all__ = ["BAUD", "LEDS", "BoardSystem", "engine_config"]

BAUD = 3_000_000
"""Bits a second on the serial line."""
LEDS = ("the link carries out a request", "words come from memory", "the last run has ended", "alive: blinks")
"""What each LED says, from the first."""


def engine_config(fmt: WeightFormat, memory_bytes: int) -> EngineConfig:
    """The engine of a board whose memory has ``memory_bytes`` bytes, a power of two.

    Its bus is as wide as two transfers of the SDRAM, and its pipelines suit the multipliers and the clock of an ECP5.
    """
    return EngineConfig(fmt, WORD_BITS, addr_bits=exact_log2(memory_bytes), max_rows=1 << 16, max_cols=1 << 13,
                        latency=32, multiplier_bits=18, pipelining=FAST)


class BoardSystem(wiring.Component):
    """Everything on the FPGA but clocks and pads.

    Parameters
    ----------
    fmt : WeightFormat
        Format of the weights that the engine works on.
    part : SdramPart
        SDRAM chip of the board.
    clock_hz : int
        Clock of the design and of the SDRAM, Hz.
    baud : int
        Bits a second on the serial line.

    Members
    -------
    rx, tx : In(1), Out(1)
        The serial line; ``rx`` need not be synchronised.
    sdram : Out(SdramPinsSignature)
        Pins of the SDRAM.
    leds : Out(4)
        The first LED is bit 0, see :data:`LEDS`.
    """

    def __init__(self, fmt: WeightFormat, part: SdramPart, clock_hz: int, baud: int) -> None:
        self._config, self._part = engine_config(fmt, part.size_bytes), part
        self._clock_hz, self._baud = clock_hz, baud
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "sdram": Out(SdramPinsSignature(part)),
                          "leds": Out(len(LEDS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addr_bits = self._part.address_bits
        m.submodules.link = link = Link(round(self._clock_hz / self._baud), addr_bits, self._clock_hz)
        m.submodules.engine = engine = Engine(self._config)
        m.submodules.arbiter = arbiter = AxiArbiter(addr_bits, WORD_BITS)
        m.submodules.sdram = sdram = SdramController(self._part, self._clock_hz / 1e6)
        # Without the slices, the logic of a master, of the arbiter and of the controller would add up in one cycle.
        slice_axi(m, "registers", link.axil, engine.axil)
        slice_axi(m, "memory", engine.axi, arbiter.first)
        slice_axi(m, "link_memory", link.axi, arbiter.second)
        slice_axi(m, "sdram_port", arbiter.axi, sdram.axi)
        wiring.connect(m, sdram.pins, wiring.flipped(self.sdram))
        blink, busy = Signal(range(self._clock_hz)), Signal()
        m.d.sync += [blink.eq(blink + 1), busy.eq(engine.axi.r.valid)]
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            engine.refreshing.eq(sdram.refreshing),
            self.leds.eq(Cat(link.active, busy, engine.done, blink[-1])),
        ]
        return m
