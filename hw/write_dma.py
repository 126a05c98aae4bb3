"""Write DMA: packs float32 results into beats and writes them to memory over AXI4.

Results lie one after another from the base address on. Bursts of up to ``write_beats`` beats start when all their data
are at hand and never cross a 4 KB boundary; a last beat that is not full has its missing bytes' strobes clear.

Latency: gathered into bursts; one result a cycle.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.axi import BURST_BYTES, AXI4WriteSignature, Burst, Resp, beat_size
from hw.config import EngineConfig
from hw.scale import result_layout

__all__ = ["WriteDma"]

_RESULT_BYTES = 4


class WriteDma(wiring.Component):
    """AXI4 write master.

    Members
    -------
    start : In(1)
        A new matrix follows; its results go to ``base``.
    base : In(addr_bits)
        Byte address, a multiple of the beat.
    i : In(stream of result_layout)
    axi : Out(AXI4WriteSignature)
    done : Out(1)
        Strobe: the last result is in memory (its write response has come).
    error : Out(1)
        Strobe: a write response other than OKAY.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "base": In(config.addr_bits),
            "i": In(stream.Signature(result_layout())),
            "axi": Out(AXI4WriteSignature(config.addr_bits, config.bus_bits)),
            "done": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bus_bytes, depth = self._config.bus_bytes, self._config.write_beats
        slots = bus_bytes // _RESULT_BYTES
        beat_layout = data.StructLayout({"data": self._config.bus_bits, "slots": slots})
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=beat_layout.size, depth=depth + 1)

        # Pack: results fill the slots of `beat`; a full or last beat moves to the FIFO.
        # One bit at least: a part selected by an index without bits is not assigned at all.
        slot = Signal(range(max(slots, 2)))
        beat, full, finished = Signal(beat_layout), Signal(), Signal()
        m.d.comb += [fifo.w_data.eq(beat), fifo.w_en.eq(full), self.i.ready.eq(~full | fifo.w_rdy)]
        with m.If(full & fifo.w_rdy):
            m.d.sync += [full.eq(0), beat.slots.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            with m.If(slot == 0):
                m.d.sync += beat.slots.eq(1)
            m.d.sync += [
                beat.data.word_select(slot, 32).eq(self.i.payload.result),
                beat.slots.bit_select(slot, 1).eq(1),
                slot.eq(slot + 1),
            ]
            with m.If(self.i.payload.last | (slot == slots - 1)):
                m.d.sync += [full.eq(1), slot.eq(0)]
            with m.If(self.i.payload.last):
                m.d.sync += finished.eq(1)

        # Send: a burst of what the FIFO holds, once that is a whole burst or all there is.
        addr, length, left = Signal.like(self.base), Signal(range(depth + 1)), Signal(range(depth + 1))
        page_beats = BURST_BYTES // bus_bytes
        room = Signal(range(page_beats + 1))
        aw, w, b = self.axi.aw, self.axi.w, self.axi.b
        m.d.comb += [
            room.eq(page_beats - addr[beat_size(self._config.bus_bits):12]),
            aw.payload.addr.eq(addr),
            aw.payload.len.eq(length - 1),
            aw.payload.size.eq(beat_size(self._config.bus_bits)),
            aw.payload.burst.eq(Burst.INCR),
        ]
        head = data.View(beat_layout, fifo.r_data)
        m.d.comb += [w.payload.data.eq(head.data), w.payload.last.eq(left == 1)]
        for i in range(slots):
            m.d.comb += w.payload.strb.word_select(i, _RESULT_BYTES).eq(head.slots[i].replicate(_RESULT_BYTES))

        final = finished & ~full
        available = Signal(range(depth + 1))
        m.d.comb += available.eq(Mux(fifo.r_level > depth, depth, fifo.r_level))
        with m.FSM():
            with m.State("GATHER"), m.If((available == depth) | (final & (available != 0))):
                m.d.sync += length.eq(Mux(room < available, room, available))
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += aw.valid.eq(1)
                m.d.sync += left.eq(length)
                with m.If(aw.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [w.valid.eq(fifo.r_rdy), fifo.r_en.eq(w.ready)]
                with m.If(w.valid & w.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(w.payload.last):
                        m.next = "RESPONSE"
            with m.State("RESPONSE"):
                m.d.comb += b.ready.eq(1)
                with m.If(b.valid):
                    m.d.sync += addr.eq(addr + length * bus_bytes)
                    m.d.comb += [
                        self.error.eq(b.payload.resp != Resp.OKAY),
                        self.done.eq(final & (fifo.r_level == 0)),
                    ]
                    m.next = "GATHER"
        with m.If(self.start):
            m.d.sync += [addr.eq(self.base), finished.eq(0)]
        return m
