"""Write DMA: packs float32 results into beats and writes them to memory over AXI4.

    results --> packer --> queue --> burst sender --> AW, W
                                          |
                                          `--> pending bursts <-- B

The results of a matrix lie one after another from its base address on. The queue gathers them into bursts of up to
``write_beats`` beats, because memory loses time whenever it turns from reads to writes and back. Shorter bursts are
sent only at a 4 KB boundary, at the end of a matrix, and when the sequencer asks for a flush. Up to :data:`PENDING`
bursts wait for their response. A response that comes while no burst waits for one is received and reported.

Latency: AWVALID rises :data:`WRITE_LATENCY` cycles after the last result of a burst is accepted. Rate:
``results_per_cycle`` results a cycle. The results of a matrix are accepted once the final burst of the matrix before
has been sent.
"""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.dma.burst_sender import BurstSender, sent_burst
from hw.dma.result_packer import ResultPacker, result_beat
from hw.parts.axi import AXI4WriteSignature, Resp
from hw.parts.stream_queue import StreamQueue
from hw.payloads import results_layout

__all__ = ["PENDING", "WRITE_LATENCY", "WriteDma"]

PENDING = 4
"""Bursts, at most, that have been sent and wait for their response."""
WRITE_LATENCY = 3
"""Cycles from the last result of a burst to AWVALID and WVALID, when no other burst is being sent."""


class WriteDma(wiring.Component):
    """AXI4 write master.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    bases : In(stream of addr_bits)
        For each matrix, where its results go: a byte address, a multiple of the beat.
    i : In(stream of results_layout)
    flush : In(1)
        Whole beats are sent without waiting for a whole burst. It is for the end of a run: no more reads follow, so
        memory does not have to turn back.
    abort : In(1)
        While it is 1, no burst starts. The burst that is being sent is completed, with strobes of 0 in all beats that
        come on offer from now on; then all results and the matrix are forgotten. Pending bursts receive their
        responses.
    forget : In(1)
        Strobe, in an abort only: the pending bursts are forgotten, as if memory had answered them.
    sending : Out(1)
        A burst is being sent: its address or some of its beats are not accepted.
    idle : Out(1)
        No burst is being sent or waits for its response.
    axi : Out(AXI4WriteSignature)
    done : Out(1)
        Strobe: the response of a matrix's final burst is received, so all its results are in memory.
    error : Out(1)
        Strobe: a response other than OKAY is received.
    addr : Out(addr_bits)
        Byte address of the oldest pending burst, to which the next response belongs.
    protocol : Out(1)
        Strobe, in the cycle after memory offers a response while no completely sent burst waits for one: a burst's
        address and all its beats must have been accepted before. The response is received in the cycle of the strobe.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "bases": In(stream.Signature(config.addr_bits)),
            "i": In(stream.Signature(results_layout(config))),
            "flush": In(1),
            "abort": In(1),
            "forget": In(1),
            "sending": Out(1),
            "idle": Out(1),
            "axi": Out(AXI4WriteSignature(config.addr_bits, config.bus_bits)),
            "done": Out(1),
            "error": Out(1),
            "addr": Out(config.addr_bits),
            "protocol": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, clear = self._config, Signal()
        m.submodules.packer = packer = ResultPacker(config)
        queue = StreamQueue(result_beat(config.bus_bits), config.write_beats)
        m.submodules.queue = ResetInserter(clear)(queue)
        m.submodules.sender = sender = BurstSender(config)
        pending = StreamQueue(sent_burst(config), PENDING)
        m.submodules.pending = ResetInserter(self.forget)(pending)
        wiring.connect(m, packer.o, queue.i)
        wiring.connect(m, queue.o, sender.i)
        wiring.connect(m, sender.o, pending.i)
        wiring.connect(m, wiring.flipped(self.bases), sender.bases)
        for channel in ("aw", "w"):
            wiring.connect(m, getattr(sender, channel), wiring.flipped(getattr(self.axi, channel)))

        # Results are accepted while a matrix is active, up to its last one; then it is `finished`.
        finished, enable = Signal(), Signal()
        m.d.comb += [
            enable.eq(sender.active & ~finished),
            packer.i.valid.eq(self.i.valid & enable),
            packer.i.payload.eq(self.i.payload),
            self.i.ready.eq(packer.i.ready & enable),
        ]
        with m.If(packer.i.valid & packer.i.ready):
            m.d.sync += finished.eq(self.i.payload.last)
        with m.If(sender.ended | clear):
            m.d.sync += finished.eq(0)

        # Responses come in the order of the bursts. One that comes in the very cycle in which its burst is completely
        # sent waits until the burst is pending.
        b, answered = self.axi.b, Signal()
        m.d.sync += self.protocol.eq(b.valid & ~b.ready & ~sender.o.valid)
        m.d.comb += [
            sender.level.eq(queue.level),
            sender.complete.eq(finished & ~packer.o.valid),
            sender.flush.eq(self.flush),
            sender.abort.eq(self.abort),
            b.ready.eq(pending.o.valid | self.protocol),
            pending.o.ready.eq(b.valid),
            answered.eq(b.valid & pending.o.valid),
            self.addr.eq(pending.o.payload.addr),
            self.error.eq(answered & (b.payload.resp != Resp.OKAY)),
            self.done.eq(answered & pending.o.payload.final),
            self.sending.eq(~sender.idle),
            self.idle.eq(sender.idle & ~pending.o.valid),
            clear.eq(self.abort & sender.idle),
            packer.clear.eq(clear),
            sender.clear.eq(clear),
        ]
        return m
