"""The memory of the simulated system: an AXI4 slave with the timing of a DRAM.

Requests wait in a read queue and in a write queue; a write becomes eligible when all its data has been received. The
front end serves the two queues in turn, burst by burst. It cuts a burst into segments that lie in one row each and
hands these to the :class:`~sim.dram.scheduler.Scheduler`, which says when each word is accessed. Words read return in
order through a FIFO, after the DRAM's read latency. A read burst starts only when the FIFO has room for all of it, so a
master that accepts no words holds up reads but never writes. A write is acknowledged the cycle after its last word is
in memory. All cycle counts are exact and repeatable from reset.

Supported are INCR bursts of full words; as AXI has it, the first address may lie within a word. Every other burst gets
the right number of beats and an error, and changes nothing: SLVERR for other burst types or sizes and for bursts that
cross 4 KB, DECERR for bursts that leave the memory.

The latency of a read, from the cycle that accepts the request to the one that offers the first word, is
:data:`QUEUE_LATENCY` cycles, those that cover CL and the word itself, and those of the controller and the PHY; tRP and
tRCD come before them where a row has to be closed and opened. The throughput is one word a cycle, reads and writes
together, as far as the DRAM allows.
"""

from pathlib import Path
from typing import Any

from amaranth.hdl import Assert, Cat, ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.parts.axi import BURST_BEATS, BURST_BYTES, AXI4Signature, Burst, Resp, beat_size
from hw.parts.delay import delayed
from sim.dram.dram import Dram
from sim.dram.scheduler import Scheduler, segment_bits
from sim.dram.times import TIME

__all__ = ["MAPPED_RAM", "QUEUE_LATENCY", "RAM", "READS", "RESPONSE_LATENCY", "SPARE_BURSTS", "WRITES", "WRITE_LATENCY",
           "HostSignature", "MemoryModel", "read_room"]

RAM, MAPPED_RAM = (Path(__file__).with_name(name) for name in ("ram.v", "mapped_ram.sv"))
"""Verilog of the storage that every memory model instantiates: for any simulator, or mapped from a file for the native
one. Each of the two files holds a module of the same name."""

QUEUE_LATENCY = 2
"""Cycles from the one that accepts a request to its first command when nothing is ahead of it: one for the queue of
requests, one for the queue of segments."""
WRITE_LATENCY = 2
"""Cycles from the last data of a write burst on the bus to its first access when nothing is ahead of it and its row is
open: one for the count of complete bursts, one for the queue of segments."""
RESPONSE_LATENCY = 1
"""Cycles from the last access of a write burst to its response."""
READS, WRITES = 16, 4
"""Requests that the read queue and the write queue hold."""
_WRITE_WORDS = 2 * BURST_BEATS
"""Words of write data that are held: one burst that is being written and one that is being received."""
SPARE_BURSTS = 4
"""Bursts of 4 KB for which there is room beyond the words that the read latency keeps under way: so long a master may
pause before reads have to."""


def read_room(dram: Dram, data_bits: int) -> int:
    """Words of ``data_bits`` bits that have been read, or are being read, and for which there is room."""
    return dram.read_latency(data_bits) + SPARE_BURSTS * min(BURST_BEATS, BURST_BYTES * 8 // data_bits)


class HostSignature(wiring.Signature):
    """Commands of the simulation's host, which take no simulated time; directions are those of the host.

    At a rising edge with ``load`` set, ``count`` words from the word number ``addr`` on are read from the file
    ``memory.in`` in the directory that the simulation runs in. It holds raw words, most significant byte first. At a
    rising edge with ``store`` set, they are written to the file ``memory.out``, one hexadecimal word a line.
    """

    def __init__(self) -> None:
        super().__init__({"load": Out(1), "store": Out(1), "addr": Out(32), "count": Out(32)})


class MemoryModel(wiring.Component):
    """A DRAM channel and its controller behind AXI4.

    Parameters
    ----------
    dram : Dram
    addr_bits, data_bits : int
        Widths of the AXI port; an address has 64 bits at most.
    size_bytes : int
        Size of the memory, a multiple of 4096. Bytes that were never written are zero.
    base : int
        Address of its first byte, a multiple of 4096.

    Members
    -------
    axi : In(AXI4Signature(addr_bits, data_bits))
        The port of the memory.
    refreshing : Out(1)
        A refresh of all banks keeps words read from being returned in this cycle.
    host : In(HostSignature())
        The host's commands; to be tied to 0 when there is no host, and not to be used while transactions are under way.

    Raises
    ------
    ValueError
        When one of the numbers is not possible.
    """

    def __init__(self, dram: Dram, addr_bits: int, data_bits: int, size_bytes: int, base: int = 0) -> None:
        if addr_bits > 64:
            raise ValueError(f"memory: addr_bits must be at most 64, not {addr_bits}")
        if data_bits < 8 or data_bits > 1024 or data_bits & (data_bits - 1):
            raise ValueError(f"memory: data_bits must be a power of two from 8 to 1024, not {data_bits}")
        if size_bytes < BURST_BYTES or size_bytes % BURST_BYTES or size_bytes > 1 << addr_bits:
            raise ValueError(f"memory: size_bytes must be a multiple of {BURST_BYTES} and at most 2**{addr_bits}, "
                             f"not {size_bytes}")
        if base < 0 or base % BURST_BYTES or base + size_bytes > 1 << addr_bits:
            raise ValueError(f"memory: base must be a multiple of {BURST_BYTES} and at most 2**{addr_bits} - "
                             f"{size_bytes}, not {base}")
        self._dram, self._data_bits, self._base = dram, data_bits, base
        self._words = size_bytes * 8 // data_bits
        self._read_words = read_room(dram, data_bits)
        super().__init__({"axi": In(AXI4Signature(addr_bits, data_bits)), "refreshing": Out(1),
                          "host": In(HostSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scheduler = scheduler = Scheduler(self._dram, self._data_bits, self._words)
        self._front_end(m, scheduler)
        reading, writing, stored = Signal(), Signal(), Signal(self._data_bits)
        m.d.comb += [reading.eq(scheduler.access & ~scheduler.write), writing.eq(scheduler.access & scheduler.write)]
        self._return_words(m, scheduler, reading, stored)
        self._store_words(m, scheduler, writing, stored)
        m.d.comb += self.refreshing.eq(
            delayed(m, scheduler.refreshing, self._dram.read_latency(self._data_bits), "refreshing"))
        return m

    def _requests(self, m: Module, channel: Any, name: str, depth: int) -> Any:
        """The requests of an address channel, checked and queued, as a stream: the number of the first word, the number
        of words less one, and the response."""
        address, shift = channel.payload, exact_log2(self._data_bits // 8)
        layout = data.StructLayout({"word": ceil_log2(self._words), "len": 8, "resp": Resp})
        m.submodules[f"{name}_queue"] = queue = SyncFIFO(width=layout.size, depth=depth)
        request = Signal(layout, name=name)
        words_before = address.addr[shift:exact_log2(BURST_BYTES)]
        # From the first byte. An address below it wraps to an offset behind the last byte, since the memory ends within
        # the address space.
        offset = Signal.like(address.addr, name=f"{name}_offset")
        m.d.comb += [
            offset.eq(address.addr - self._base),
            request.word.eq(offset >> shift),
            request.len.eq(address.len),
            queue.w_data.eq(request),
            queue.w_en.eq(channel.valid),
            channel.ready.eq(queue.w_rdy),
        ]
        with m.If((offset >> shift) + address.len >= self._words):
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

    def _front_end(self, m: Module, scheduler: Scheduler) -> None:
        """Bursts of both queues in turn, cut into segments."""
        axi, segment = self.axi, scheduler.segment
        read = self._requests(m, axi.ar, "read", READS)
        write = self._requests(m, axi.aw, "write", WRITES)

        # Writes whose data has been received and that are still in the queue.
        complete_writes = Signal(range(_WRITE_WORDS + 1))
        m.d.sync += complete_writes.eq(complete_writes + (axi.w.valid & axi.w.ready & axi.w.payload.last)
                                       - (write.valid & write.ready))

        # A burst keeps its turn until its last segment; ``offset`` words of it have been passed to the scheduler.
        offset, writing, previous_writing = Signal(8), Signal(), Signal()
        write_ready = write.valid & (complete_writes != 0)

        # Room in the FIFO of words read, less what is reserved for the bursts that the scheduler has.
        free, read_ready, reserve = Signal(range(self._read_words + 1), init=self._read_words), Signal(), Signal()
        m.d.comb += read_ready.eq(read.valid & (free > read.payload.len))
        m.d.comb += reserve.eq(segment.valid & segment.ready & ~writing & (offset == 0))
        m.d.sync += free.eq(free + (axi.r.valid & axi.r.ready) - Mux(reserve, read.payload.len + 1, 0))
        m.d.comb += writing.eq(Mux(offset != 0, previous_writing, write_ready & ~(read_ready & previous_writing)))

        request, last = Signal.like(read.payload), Signal()
        word, remaining = Signal.like(read.payload.word), Signal(8)
        room = Signal(segment_bits(self._dram, self._data_bits))  # words that follow ``word`` in its row
        m.d.comb += [
            request.eq(Mux(writing, write.payload, read.payload)),
            word.eq(request.word + offset),
            remaining.eq(request.len - offset),
            room.eq(~word[:len(room)]),
            last.eq(remaining <= room),
            segment.valid.eq((offset != 0) | Mux(writing, write_ready, read_ready)),
            Cat(segment.payload.word).eq(word),
            segment.payload.more.eq(Mux(last, remaining, room)),
            segment.payload.write.eq(writing),
            segment.payload.resp.eq(request.resp),
            segment.payload.last.eq(last),
            read.ready.eq(segment.valid & segment.ready & ~writing & last),
            write.ready.eq(segment.valid & segment.ready & writing & last),
        ]
        with m.If(segment.valid & segment.ready):
            m.d.sync += [
                offset.eq(Mux(last, 0, offset + segment.payload.more + 1)),
                previous_writing.eq(writing),
            ]

    def _return_words(self, m: Module, scheduler: Scheduler, reading: Signal, stored: Signal) -> None:
        """Words read wait in a FIFO until the time at which they have come in; ``stored`` is read when ``reading``."""
        axi = self.axi
        okay = scheduler.resp == Resp.OKAY
        word = data.StructLayout({"at": TIME, "payload": axi.r.payload.shape()})
        m.submodules.read_words = words = SyncFIFO(width=word.size, depth=self._read_words)
        arriving, oldest = Signal(word), Signal(word)
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

    def _store_words(self, m: Module, scheduler: Scheduler, writing: Signal, stored: Signal) -> None:
        """Words to write, the responses to them, and the storage. ``stored`` becomes the word at the scheduler's
        address; a word is written there when ``writing``."""
        axi = self.axi
        okay = scheduler.resp == Resp.OKAY
        m.submodules.write_words = words = SyncFIFO(width=axi.w.payload.shape().size, depth=_WRITE_WORDS)
        m.submodules.responses = responses = SyncFIFO(width=2, depth=WRITES)
        word = Signal(axi.w.payload.shape())
        m.d.comb += [
            words.w_data.eq(axi.w.payload),
            words.w_en.eq(axi.w.valid),
            axi.w.ready.eq(words.w_rdy),
            Cat(word).eq(words.r_data),
            words.r_en.eq(writing),
            scheduler.write_credit.eq(words.r_rdy & responses.w_rdy),
            responses.w_data.eq(scheduler.resp),
            responses.w_en.eq(writing & scheduler.last),
            Cat(axi.b.payload).eq(responses.r_data),
            axi.b.valid.eq(responses.r_rdy),
            responses.r_en.eq(axi.b.ready),
        ]
        with m.If(writing):
            m.d.sync += Assert(word.last == scheduler.last)

        address = Cat(scheduler.word)
        m.submodules.ram = Instance(
            "ram", p_WIDTH=self._data_bits, p_DEPTH=self._words, p_ADDR_BITS=len(address),
            i_clk=ClockSignal(), i_raddr=address, o_rdata=stored,
            i_waddr=address, i_wdata=word.data, i_wstrb=Mux(writing & okay, word.strb, 0),
            i_host_load=self.host.load, i_host_store=self.host.store,
            i_host_addr=self.host.addr, i_host_count=self.host.count)
