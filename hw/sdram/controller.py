"""SDRAM controller: an AXI4 slave over a 16-bit SDR SDRAM.

    AXI4 ar, aw --> segmenter --> bank machine --> column machine --> pads
                                       |                 |
               initialiser, refresher --> command multiplexer ------> pads
    AXI4 w  --> queue ------------------------> column machine
    AXI4 r  <-- buffer <-----------------------------'
    AXI4 b  <-- count of responses <-----------------'

Words of the bus are 32 bits, two transfers of the chip, so the chip's peak is a word every 2 cycles. Consecutive
addresses are the columns of a row, then the banks, then the rows: a stream opens each row while the one before is
transferred. Bursts are transferred in the order in which they are accepted. A master brings a burst's data without
waiting for any read. The controller accepts INCR bursts of whole words only; the chip spans all addresses.

Latency: from a read request to its first word 13 cycles and the CAS latency when its row is open. Rate: a word every 2
cycles except during refreshes.
"""

from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature
from hw.parts.delay import delayed
from hw.parts.stream_queue import StreamQueue
from hw.sdram.bank_machine import BankMachine
from hw.sdram.column_machine import READ_LATENCY, ColumnMachine
from hw.sdram.command_multiplexer import CommandMultiplexer
from hw.sdram.initialiser import Initialiser
from hw.sdram.part import SdramPart
from hw.sdram.pins import SdramPinsSignature
from hw.sdram.refresher import Refresher
from hw.sdram.segment import WORD_BITS
from hw.sdram.segmenter import OUTSTANDING_WRITES, READ_WORDS, Segmenter

__all__ = ["SdramController"]

WRITE_WORDS = 4
"""Words to be written that the queue holds."""


class SdramController(wiring.Component):
    """Everything between the bus and the pads.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    axi : In(AXI4Signature(part.address_bits, WORD_BITS))
    refreshing : Out(1)
        1 while a refresh keeps words read from arriving.
    pins : Out(SdramPinsSignature)

    Raises
    ------
    ValueError
        When the chip cannot run at that clock.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        if clock_mhz > part.max_mhz:
            raise ValueError(f"{part.name} runs at {part.max_mhz:g} MHz at most, not {clock_mhz:g}")
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"axi": In(AXI4Signature(part.address_bits, WORD_BITS)), "refreshing": Out(1),
                          "pins": Out(SdramPinsSignature(part))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, mhz = self._part, self._clock_mhz
        m.submodules.segmenter = segmenter = Segmenter(part)
        m.submodules.banks = banks = BankMachine(part, mhz)
        m.submodules.columns = columns = ColumnMachine(part)
        m.submodules.initialiser = initialiser = Initialiser(part, mhz)
        m.submodules.refresher = refresher = Refresher(part, mhz)
        m.submodules.commands = commands = CommandMultiplexer(part, mhz, requesters=3)
        wiring.connect(m, wiring.flipped(self.axi.ar), segmenter.ar)
        wiring.connect(m, wiring.flipped(self.axi.aw), segmenter.aw)
        wiring.connect(m, segmenter.segments, banks.i)
        wiring.connect(m, banks.o, columns.segments)
        wiring.connect(m, columns.transfer, banks.transfer, commands.transfer)
        requesters: list[wiring.Component] = [initialiser, refresher, banks]
        for requester, port in zip(requesters, commands.row_commands, strict=True):
            wiring.connect(m, requester.row_command, port)
        m.d.comb += [
            refresher.initialised.eq(initialiser.initialised),
            refresher.released.eq(banks.released),
            banks.close.eq(~initialiser.initialised | refresher.due),
            banks.settled.eq(commands.settled),
            columns.pause.eq(banks.paused),
            columns.dq_i.eq(self.pins.dq_i),
            *(getattr(self.pins, name).eq(getattr(commands, name)) for name in ("enable", "command", "ba", "a")),
            *(getattr(self.pins, name).eq(getattr(columns, name)) for name in ("dqm", "dq_o", "dq_oe")),
            self.refreshing.eq(delayed(m, banks.paused & initialiser.initialised, READ_LATENCY + 2, "refreshing")),
        ]
        self._write(m, columns, segmenter)
        self._read(m, columns, segmenter)
        return m

    def _write(self, m: Module, columns: ColumnMachine, segmenter: Segmenter) -> None:
        """Words to be written, and responses."""
        w, b = self.axi.w, self.axi.b
        m.submodules.write_words = words = StreamQueue(columns.w.payload.shape(), WRITE_WORDS)
        wiring.connect(m, words.o, columns.w)
        responses = Signal(range(OUTSTANDING_WRITES + 1))
        m.d.comb += [
            words.i.payload.data.eq(w.payload.data),
            words.i.payload.strb.eq(w.payload.strb),
            words.i.valid.eq(w.valid),
            w.ready.eq(words.i.ready),
            b.valid.eq(responses != 0),
            segmenter.responded.eq(b.valid & b.ready),
        ]
        m.d.sync += responses.eq(responses + columns.written - segmenter.responded)

    def _read(self, m: Module, columns: ColumnMachine, segmenter: Segmenter) -> None:
        """Words read."""
        r = self.axi.r
        m.submodules.read_words = words = SyncFIFOBuffered(width=WORD_BITS + 1, depth=READ_WORDS)
        m.d.comb += [
            words.w_data.eq(columns.r.payload),
            words.w_en.eq(columns.r.valid),
            words.r_en.eq(~r.valid | r.ready),
            segmenter.delivered.eq(r.valid & r.ready),
        ]
        with m.If(columns.r.valid):
            m.d.sync += Assert(words.w_rdy, "a word read finds no room in the buffer\n")
        # A block RAM needs half a cycle for a read: the bus has a register behind it.
        with m.If(words.r_en):
            m.d.sync += [r.valid.eq(words.r_rdy), Cat(r.payload.data, r.payload.last).eq(words.r_data)]
