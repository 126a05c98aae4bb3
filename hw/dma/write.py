"""Write DMA: packs float32 results into beats and writes them to memory over AXI4.

Results of a matrix lie one after another from its base address on. Bursts of up to ``write_beats`` beats start when all
their data are at hand and never cross a 4 KB boundary; a last beat that is not full has its missing bytes' strobes
clear. Short bursts make the memory turn round more often: they are for the last of a matrix, and for the end of a run.
Up to :data:`PENDING` bursts wait for their response.

Latency: gathered into bursts, or 3 cycles from a beat's last result to its request; one result a cycle. The next matrix
waits for the last data of the one before to leave.
"""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.axi import BURST_BYTES, AXI4WriteSignature, Burst, Resp, beat_size
from hw.parts.stream_queue import StreamQueue
from hw.payloads import result_layout

__all__ = ["PENDING", "WriteDma"]

_RESULT_BYTES = 4
PENDING = 4
"""Bursts without a response yet."""


class WriteDma(wiring.Component):
    """AXI4 write master.

    Members
    -------
    bases : In(stream of addr_bits)
        For each matrix, where its results go: byte address, a multiple of the beat.
    i : In(stream of result_layout)
    hurry : In(1)
        No more than one burst is left to read: what is written now does not make the memory turn round once more.
    abort : In(1)
        Forget everything but the burst under way.
    idle : Out(1)
        No burst is under way.
    axi : Out(AXI4WriteSignature)
    done : Out(1)
        Strobe: the last result of a matrix is in memory (its write response has come).
    error : Out(1)
        Strobe: a write response other than OKAY.
    addr : Out(addr_bits)
        Address of the oldest burst under way.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "bases": In(stream.Signature(config.addr_bits)),
            "i": In(stream.Signature(result_layout())),
            "hurry": In(1),
            "abort": In(1),
            "idle": Out(1),
            "axi": Out(AXI4WriteSignature(config.addr_bits, config.bus_bits)),
            "done": Out(1),
            "error": Out(1),
            "addr": Out(config.addr_bits),
        })

    def elaborate(self, platform):
        m = Module()
        bus_bytes, depth = self._config.bus_bytes, self._config.write_beats
        slots = bus_bytes // _RESULT_BYTES
        beat_layout = data.StructLayout({"data": self._config.bus_bits, "slots": slots})
        queue, clear = StreamQueue(beat_layout, depth), Signal()
        m.submodules.queue = ResetInserter(clear)(queue)
        m.d.comb += clear.eq(self.abort & self.idle)

        # Pack: results fill the slots of a beat; a full or last beat moves to the queue.
        # One bit at least: a part selected by an index without bits is not assigned at all.
        slot = Signal(range(max(slots, 2)))
        beat, full, active, finished = queue.i.payload, queue.i.valid, Signal(), Signal()
        m.d.comb += self.i.ready.eq(active & ~finished & (~full | queue.i.ready))
        # The slot takes whatever is on offer until that is a result: few signals decide over a beat's many bits.
        with m.If(~full | queue.i.ready):
            m.d.sync += beat.data.word_select(slot, 32).eq(self.i.payload.result)
        with m.If(full & queue.i.ready):
            m.d.sync += [full.eq(0), beat.slots.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            with m.If(slot == 0):
                m.d.sync += beat.slots.eq(1)
            m.d.sync += [
                beat.slots.bit_select(slot, 1).eq(1),
                slot.eq(slot + 1),
                finished.eq(self.i.payload.last),
            ]
            with m.If(self.i.payload.last | (slot == slots - 1)):
                m.d.sync += [full.eq(1), slot.eq(0)]

        # Send: a burst of what the queue holds, once that is a whole burst, all there is, or wanted now.
        addr = Signal(self._config.addr_bits)
        length, left, asked = Signal(range(depth + 1)), Signal(range(depth + 1)), Signal()
        page_beats = BURST_BYTES // bus_bytes
        room, ready = Signal(range(page_beats + 1)), Signal.like(length)
        aw, w, b = self.axi.aw, self.axi.w, self.axi.b
        m.d.comb += [
            room.eq(page_beats - addr[beat_size(self._config.bus_bits):12]),
            ready.eq(Mux(room < queue.level, room, queue.level)),
            aw.payload.addr.eq(addr),
            aw.payload.len.eq(length - 1),
            aw.payload.size.eq(beat_size(self._config.bus_bits)),
            aw.payload.burst.eq(Burst.INCR),
            w.payload.data.eq(queue.o.payload.data),
            w.payload.last.eq(left == 1),
        ]
        for i in range(slots):
            m.d.comb += w.payload.strb.word_select(i, _RESULT_BYTES).eq(
                queue.o.payload.slots[i].replicate(_RESULT_BYTES))

        # What is known of the bursts that wait for their response.
        burst = data.StructLayout({"addr": self._config.addr_bits, "final": 1})
        m.submodules.pending = pending = StreamQueue(burst, PENDING)
        m.d.comb += [
            pending.i.payload.addr.eq(addr),
            b.ready.eq(pending.o.valid),
            pending.o.ready.eq(b.valid),
            self.addr.eq(pending.o.payload.addr),
            self.error.eq(b.valid & b.ready & (b.payload.resp != Resp.OKAY)),
            self.done.eq(b.valid & b.ready & pending.o.payload.final),
        ]

        complete, final = Signal(), Signal()
        m.d.comb += complete.eq(finished & ~full)
        with m.FSM() as fsm:
            with m.State("GATHER"):
                m.d.comb += self.bases.ready.eq(~active & ~self.abort)
                m.d.sync += [length.eq(ready), left.eq(ready), asked.eq(0), final.eq(pending.i.payload.final)]
                m.d.comb += pending.i.payload.final.eq(complete & (ready == queue.level))
                with m.If(self.bases.valid & self.bases.ready):
                    m.d.sync += [addr.eq(self.bases.payload), active.eq(1)]
                with m.If(((queue.level == depth) | ((complete | self.hurry) & queue.o.valid)) & pending.i.ready
                          & ~self.abort):
                    m.d.comb += pending.i.valid.eq(1)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    aw.valid.eq(~asked),
                    w.valid.eq(left != 0),
                    queue.o.ready.eq(w.valid & w.ready),
                ]
                with m.If(aw.ready):
                    m.d.sync += asked.eq(1)
                with m.If(w.valid & w.ready):
                    m.d.sync += left.eq(left - 1)
                with m.If((asked | aw.ready) & ((left == 0) | (w.payload.last & w.ready))):
                    m.d.sync += addr.eq(addr + length * bus_bytes)
                    with m.If(final):
                        m.d.sync += [active.eq(0), finished.eq(0)]
                    m.next = "GATHER"
        m.d.comb += self.idle.eq(fsm.ongoing("GATHER") & ~pending.o.valid)
        with m.If(clear):
            m.d.sync += [full.eq(0), slot.eq(0), beat.slots.eq(0), active.eq(0), finished.eq(0)]
        return m
