"""The memory of the simulated system: an AXI4 slave with the timing of a DRAM.

Requests wait in a read queue and a write queue; a write joins in when all its data has come. The front end takes bursts
in turn from the two, cuts them into segments that lie in one row each, and hands these to the
:class:`~sim.dram.scheduler.Scheduler`, which says when each word is accessed. Words read return in order through a
FIFO, after the DRAM's read latency. A read burst starts only when the FIFO has room for all of it, so that a master
that does not take its words holds up reads but never writes. A write is acknowledged the cycle after its last word is
in memory. All cycle counts are exact and repeatable from reset.

Supported are INCR bursts of full words; as AXI has it, the first address may lie within a word. Everything else gets
the right number of beats and an error, and changes nothing: SLVERR for other burst types or sizes and for bursts that
cross 4 KB; DECERR for bursts that leave the memory.

Latency: :data:`QUEUE_LATENCY` cycles, and those that cover tRP and tRCD if needed, CL and the word, from the cycle that
takes a read request to the one that offers its first word. Throughput: one word a cycle, reads and writes together, as
far as the DRAM allows.
"""

from pathlib import Path

from amaranth.hdl import Assert, Cat, ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.parts.axi import BURST_BEATS, BURST_BYTES, AXI4Signature, Burst, Resp, beat_size
from hw.parts.delay import delayed
from sim.dram.presets import Dram
from sim.dram.scheduler import Scheduler, segment_bits
from sim.dram.times import TIME

__all__ = ["MAPPED_RAM", "QUEUE_LATENCY", "RAM", "READS", "WRITES", "HostSignature", "MemoryModel"]

RAM, MAPPED_RAM = (Path(__file__).with_name(name) for name in ("ram.v", "mapped_ram.sv"))
"""Verilog of the storage that every memory model instantiates: of any simulator, or mapped from a file by the native
one. Each of the two has a module of the same name."""

QUEUE_LATENCY = 2
"""Cycles from the one that takes a request to its first command, with nothing ahead of it: the queue, the window."""
READS, WRITES = 16, 4
"""Requests that the queues hold."""
WRITE_WORDS = 2 * BURST_BEATS
"""Words of write data held: one burst being written and one arriving."""
SPARE_BURSTS = 4
"""Room for words read beyond what the latency takes, in bursts of 4 KB: how long a master may pause before reads do."""


class HostSignature(wiring.Signature):
    """Commands of the simulation's host, which take no simulated time; as seen by the host.

    ``load``: at a rising edge, ``count`` words from ``addr`` (a word's number) are read from the file ``memory.in`` in
    the directory that the simulation runs in: raw words, most significant byte first. ``store``: they are written to
    ``memory.out``, one word a line, hexadecimal.
    """

    def __init__(self):
        super().__init__({"load": Out(1), "store": Out(1), "addr": Out(32), "count": Out(32)})


class MemoryModel(wiring.Component):
    """A DRAM channel and its controller behind AXI4.

    Parameters
    ----------
    dram : Dram
    addr_bits, data_bits : int
        Widths of the AXI port.
    size_bytes : int
        Size of the memory from address 0, a multiple of 4096; never written bytes are zero.

    Members
    -------
    axi : In(AXI4Signature(addr_bits, data_bits))
    refreshing : Out(1)
        A refresh of all banks keeps words read from coming.
    host : In(HostSignature())
        Tie to 0 when not used. Not to be used while transactions are under way.
    """

    def __init__(self, dram: Dram, addr_bits: int, data_bits: int, size_bytes: int):
        if data_bits < 8 or data_bits > 1024 or data_bits & (data_bits - 1):
            raise ValueError(f"memory: data_bits must be a power of two from 8 to 1024, not {data_bits}")
        if size_bytes < BURST_BYTES or size_bytes % BURST_BYTES or size_bytes > 1 << addr_bits:
            raise ValueError(f"memory: size_bytes must be a multiple of {BURST_BYTES} and at most 2**{addr_bits}, "
                             f"not {size_bytes}")
        self._dram, self._data_bits = dram, data_bits
        self._words = size_bytes * 8 // data_bits
        self._read_words = (dram.read_latency(data_bits)
                            + SPARE_BURSTS * min(BURST_BEATS, BURST_BYTES * 8 // data_bits))
        super().__init__({"axi": In(AXI4Signature(addr_bits, data_bits)), "refreshing": Out(1),
                          "host": In(HostSignature())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.scheduler = scheduler = Scheduler(self._dram, self._data_bits, self._words)
        self._front_end(m, scheduler)
        self._data(m, scheduler)
        m.d.comb += self.refreshing.eq(
            delayed(m, scheduler.refreshing, self._dram.read_latency(self._data_bits), "refreshing"))
        return m

    def _request(self, m, channel, name, depth):
        """Queue the requests of an address channel, checked; returns the stream of them."""
        address, shift = channel.payload, exact_log2(self._data_bits // 8)
        layout = data.StructLayout({"word": ceil_log2(self._words), "len": 8, "resp": Resp})
        m.submodules[f"{name}_queue"] = queue = SyncFIFO(width=layout.size, depth=depth)
        request = Signal(layout, name=name)
        words_before = address.addr[shift:exact_log2(BURST_BYTES)]
        m.d.comb += [
            request.word.eq(address.addr >> shift),
            request.len.eq(address.len),
            queue.w_data.eq(request),
            queue.w_en.eq(channel.valid),
            channel.ready.eq(queue.w_rdy),
        ]
        with m.If((address.addr >> shift) + address.len >= self._words):
            m.d.comb += request.resp.eq(Resp.DECERR)
        with m.Elif((address.burst != Burst.INCR) | (address.size != beat_size(self._data_bits))
                    | (words_before + address.len >= BURST_BYTES >> shift)):
            m.d.comb += request.resp.eq(Resp.SLVERR)
        head = stream.Signature(layout).create()
        m.d.comb += [
            Cat(head.payload).eq(queue.r_data),
            head.valid.eq(queue.r_rdy),
            queue.r_en.eq(head.ready),
        ]
        return head

    def _front_end(self, m, scheduler):
        """Bursts of both queues in turn, as segments."""
        axi, segment = self.axi, scheduler.segment
        read = self._request(m, axi.ar, "read", READS)
        write = self._request(m, axi.aw, "write", WRITES)

        # Writes whose data is complete and that were not passed on.
        complete = Signal(range(WRITE_WORDS + 1))
        m.d.sync += complete.eq(complete + (axi.w.valid & axi.w.ready & axi.w.payload.last)
                                - (write.valid & write.ready))

        # A burst keeps its turn until its last segment; ``offset`` words of it have been passed on.
        offset, writing, wrote = Signal(8), Signal(), Signal()
        write_ready = write.valid & (complete != 0)

        # Room in the FIFO of words read, less what the bursts passed on will take.
        free, read_ready, reserve = Signal(range(self._read_words + 1), init=self._read_words), Signal(), Signal()
        m.d.comb += read_ready.eq(read.valid & (free > read.payload.len))
        m.d.comb += reserve.eq(segment.valid & segment.ready & ~writing & (offset == 0))
        m.d.sync += free.eq(free + (axi.r.valid & axi.r.ready) - Mux(reserve, read.payload.len + 1, 0))
        m.d.comb += writing.eq(Mux(offset != 0, wrote, write_ready & ~(read_ready & wrote)))

        request, last = Signal.like(read.payload), Signal()
        word, left, room = Signal.like(read.payload.word), Signal(8), Signal(segment_bits(self._dram, self._data_bits))
        m.d.comb += [
            request.eq(Mux(writing, write.payload, read.payload)),
            word.eq(request.word + offset),
            left.eq(request.len - offset),
            room.eq(~word[:len(room)]),
            last.eq(left <= room),
            segment.valid.eq((offset != 0) | Mux(writing, write_ready, read_ready)),
            Cat(segment.payload.word).eq(word),
            segment.payload.more.eq(Mux(last, left, room)),
            segment.payload.write.eq(writing),
            segment.payload.resp.eq(request.resp),
            segment.payload.last.eq(last),
            read.ready.eq(segment.valid & segment.ready & ~writing & last),
            write.ready.eq(segment.valid & segment.ready & writing & last),
        ]
        with m.If(segment.valid & segment.ready):
            m.d.sync += [
                offset.eq(Mux(last, 0, offset + segment.payload.more + 1)),
                wrote.eq(writing),
            ]

    def _data(self, m, scheduler):
        """Storage, data FIFOs and responses."""
        axi = self.axi
        okay = scheduler.resp == Resp.OKAY
        reading, writing = Signal(), Signal()
        m.d.comb += [reading.eq(scheduler.access & ~scheduler.write), writing.eq(scheduler.access & scheduler.write)]

        # Words read wait in a FIFO until the time at which they are in.
        word = data.StructLayout({"at": TIME, "payload": axi.r.payload.shape()})
        m.submodules.read_words = words = SyncFIFO(width=word.size, depth=self._read_words)
        arriving, oldest = Signal(word), Signal(word)
        stored = Signal(self._data_bits)
        m.d.comb += [
            arriving.at.eq(scheduler.data_at),
            arriving.payload.data.eq(Mux(okay, stored, 0)),
            arriving.payload.resp.eq(scheduler.resp),
            arriving.payload.last.eq(scheduler.last),
            words.w_data.eq(arriving),
            words.w_en.eq(reading),
            scheduler.read_credit.eq(words.w_rdy),
            oldest.eq(words.r_data),
            axi.r.valid.eq(words.r_rdy & (oldest.at <= scheduler.now)),
            axi.r.payload.eq(oldest.payload),
            words.r_en.eq(axi.r.valid & axi.r.ready),
        ]

        # Words to write, and responses.
        m.submodules.write_words = written = SyncFIFO(width=axi.w.payload.shape().size, depth=WRITE_WORDS)
        m.submodules.responses = responses = SyncFIFO(width=2, depth=WRITES)
        writable = Signal(axi.w.payload.shape())
        m.d.comb += [
            written.w_data.eq(axi.w.payload),
            written.w_en.eq(axi.w.valid),
            axi.w.ready.eq(written.w_rdy),
            Cat(writable).eq(written.r_data),
            written.r_en.eq(writing),
            scheduler.write_credit.eq(written.r_rdy & responses.w_rdy),
            responses.w_data.eq(scheduler.resp),
            responses.w_en.eq(writing & scheduler.last),
            Cat(axi.b.payload).eq(responses.r_data),
            axi.b.valid.eq(responses.r_rdy),
            responses.r_en.eq(axi.b.ready),
        ]
        with m.If(writing):
            m.d.sync += Assert(writable.last == scheduler.last)

        bits = len(Cat(scheduler.word))
        m.submodules.ram = Instance(
            "ram", p_WIDTH=self._data_bits, p_DEPTH=self._words, p_ADDR_BITS=bits,
            i_clk=ClockSignal(), i_raddr=Cat(scheduler.word), o_rdata=stored,
            i_waddr=Cat(scheduler.word), i_wdata=writable.data, i_wstrb=Mux(writing & okay, writable.strb, 0),
            i_host_load=self.host.load, i_host_store=self.host.store,
            i_host_addr=self.host.addr, i_host_count=self.host.count)
