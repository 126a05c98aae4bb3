"""Burst sender: writes the beats of a queue to memory in AXI bursts.

The beats of a matrix lie one after another from its base address on. A burst is requested when all its data are in the
queue, so that the bus never waits for them, and it never crosses a 4 KB boundary. It starts when the queue holds a
whole burst, and sooner if the matrix is complete or the queue is to be flushed.

Latency: a burst's address and its first beat are offered in the cycle after its data are in the queue. Rate: a beat a
cycle within a burst, and one cycle between two bursts.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.dma.burst_cutter import beats_to_boundary
from hw.dma.result_packer import RESULT_BYTES, result_beat
from hw.parts.axi import AXI4WriteSignature, Burst, beat_size

__all__ = ["BurstSender", "sent_burst"]


def sent_burst(config: EngineConfig) -> data.StructLayout:
    """A write burst: its byte address ``addr``, and whether it is the ``final`` one of its matrix."""
    return data.StructLayout({"addr": config.addr_bits, "final": 1})


class BurstSender(wiring.Component):
    """Beats become write bursts.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    bases : In(stream of addr_bits)
        For each matrix, where its results go: byte address, a multiple of the beat. It is accepted once the final burst
        of the matrix before has been sent.
    i : In(stream of result_beat)
        Beats of the queue.
    level : In(range(write_beats + 1))
        Beats that the queue holds.
    complete : In(1)
        The queue holds all that is left of the matrix.
    flush : In(1)
        Bursts start without waiting for more data.
    abort : In(1)
        Neither a burst nor a matrix starts. The burst under way is sent to its end, but the strobes of all its beats
        that come on offer from now on are 0.
    clear : In(1)
        Strobe: the matrix is forgotten.
    aw, w : Out(streams of AXI4WriteSignature)
    o : Out(stream of sent_burst)
        Each burst in the cycle in which it has been sent completely. A burst starts only while ``ready`` is 1, and
        ``ready`` has to stay until then.
    idle : Out(1)
        No burst is under way, and neither ``aw`` nor ``w`` offers anything.
    active : Out(1)
        A matrix has its address, and its final burst is not sent.
    ended : Out(1)
        Strobe: the final burst of the matrix is sent.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        axi = AXI4WriteSignature(config.addr_bits, config.bus_bits).members
        super().__init__({
            "bases": In(stream.Signature(config.addr_bits)),
            "i": In(stream.Signature(result_beat(config.bus_bits))),
            "level": In(range(config.write_beats + 1)),
            "complete": In(1),
            "flush": In(1),
            "abort": In(1),
            "clear": In(1),
            "aw": axi["aw"],
            "w": axi["w"],
            "o": Out(stream.Signature(sent_burst(config))),
            "idle": Out(1),
            "active": Out(1),
            "ended": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, aw, w = self._config, self.aw, self.w
        # `addr`: where the next beat goes; `length` and `left`: beats of the burst, all and still to be sent.
        addr, length, left = Signal(config.addr_bits), Signal.like(self.level), Signal.like(self.level)
        room, ready = beats_to_boundary(m, addr, config.bus_bits), Signal.like(self.level)
        final, requested = self.o.payload.final, Signal()
        m.d.comb += [ready.eq(Mux(room < self.level, room, self.level)), self.o.payload.addr.eq(addr)]
        with m.FSM() as fsm:
            with m.State("GATHER"):
                m.d.comb += self.bases.ready.eq(~self.active & ~self.abort)
                m.d.sync += [length.eq(ready), left.eq(ready), requested.eq(0),
                             final.eq(self.complete & (ready == self.level))]
                with m.If(self.bases.valid & self.bases.ready):
                    m.d.sync += [addr.eq(self.bases.payload), self.active.eq(1)]
                with m.If(((self.level == config.write_beats) | ((self.complete | self.flush) & self.i.valid))
                          & self.o.ready & ~self.abort):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [aw.valid.eq(~requested), w.valid.eq(left != 0), self.i.ready.eq(w.valid & w.ready)]
                with m.If(aw.ready):
                    m.d.sync += requested.eq(1)
                with m.If(w.valid & w.ready):
                    m.d.sync += left.eq(left - 1)
                with m.If((requested | aw.ready) & ((left == 0) | (w.payload.last & w.ready))):
                    m.d.sync += addr.eq(addr + length * config.bus_bytes)
                    m.d.comb += self.o.valid.eq(1)
                    m.next = "GATHER"
        m.d.comb += [self.idle.eq(fsm.ongoing("GATHER")), self.ended.eq(self.o.valid & final)]
        with m.If(self.ended | self.clear):
            m.d.sync += self.active.eq(0)
        self._drive_payloads(m, addr, length, left, self._void(m))
        return m

    def _void(self, m: Module) -> Signal:
        """Whether the strobes of the beat on offer are 0: from an abort on to the end of the burst, but not those of a
        beat that was on offer before the abort, because what is on offer must not change."""
        w, void, aborted, waiting = self.w, Signal(), Signal(), Signal()
        m.d.comb += void.eq((self.abort | aborted) & ~waiting)
        m.d.sync += [aborted.eq((self.abort | aborted) & ~self.idle), waiting.eq(w.valid & ~w.ready & ~void)]
        return void

    def _drive_payloads(self, m: Module, addr: Signal, length: Signal, left: Signal, void: Signal) -> None:
        """What the address and data channels carry; the strobes of slots without a result are 0."""
        aw, w, beat = self.aw.payload, self.w.payload, self.i.payload
        m.d.comb += [
            aw.addr.eq(addr),
            aw.len.eq(length - 1),
            aw.size.eq(beat_size(self._config.bus_bits)),
            aw.burst.eq(Burst.INCR),
            w.data.eq(beat.data),
            w.last.eq(left == 1),
            *(w.strb.word_select(n, RESULT_BYTES).eq((beat.slots[n] & ~void).replicate(RESULT_BYTES))
              for n in range(len(beat.slots))),
        ]
