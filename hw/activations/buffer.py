"""Activation buffer: keeps the FP16 vector of a matrix, and requests its words again for every group of rows.

The vector is received in beats, contiguous as in memory, and written to the store (:mod:`hw.activations.store`).
Meanwhile the greatest exponent field of its elements is found. When the vector is complete, its words of ``c`` elements
are requested from the store. The next vector is accepted once the last word has been requested. A matrix without beats
uses the vector of the matrix before it.

Where rows have heads, each group of rows has a word more before the others, which goes with the heads and is any word.

Latency: :func:`exponent_latency` cycles from the last beat to the first request. Rate: one beat a cycle in, and one
request a cycle out.
"""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.spec import FP16_FRACTION
from hw.activations.store import StoreShape, request_layout, write_layout
from hw.config import EngineConfig
from hw.parts.delay import delayed
from hw.payloads import ELEMENT_BITS, job_layout, matrix_layout

__all__ = ["ActivationBuffer", "exponent_latency"]


def _levels(config: EngineConfig) -> int:
    """Number of levels of the tree that finds the greatest exponent field of a beat."""
    return ceil_log2(config.beat_activations)


def _tree_registers(config: EngineConfig) -> int:
    """Number of registers in that tree: one half-way, or, for high clocks, one behind each level."""
    return _levels(config) if config.pipelining.buffer else min(_levels(config), 1)


def exponent_latency(config: EngineConfig) -> int:
    """Cycles from a beat to the greatest exponent field: the beat's registers, those in the tree, and the register of
    the beat's own greatest field."""
    return config.pipelining.buffer + _tree_registers(config) + 1


class ActivationBuffer(wiring.Component):
    """Controls the store of the vector.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    jobs : In(stream of job_layout)
        Each is accepted when the one before it is done.
    i : In(stream of bus_bits)
        Beats of the vector.
    write : Out(write_layout)
        The beats for the store.
    o : Out(stream of request_layout)
        Requests for the words of the vector, ``blocks`` of them with that of the heads, once for every group of rows.
    matrices : Out(stream of matrix_layout)
        The matrix that the requests are for, offered 2 cycles after the request for its first word. For formats with
        block-floating-point activations its factor contains their shared exponent.
    not_finite : Out(1)
        Strobe, :func:`exponent_latency` cycles after a beat: one of its elements is NaN or infinite.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "jobs": In(stream.Signature(job_layout(config))),
            "i": In(stream.Signature(config.bus_bits)),
            "write": Out(write_layout(config)),
            "o": Out(stream.Signature(request_layout(config))),
            "matrices": Out(stream.Signature(matrix_layout(config))),
            "not_finite": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # `first`: the next request is the first one of the job.
        job, first = Signal(job_layout(self._config)), Signal()
        accepted, requested = Signal(), Signal()
        self._do_jobs(m, job, first, accepted, requested)
        self._write(m, accepted, requested)
        shared, shared_before = self._find_exponent(m)
        m.d.comb += self.o.payload.shared.eq(shared)
        self._announce(m, job, first & requested, shared_before)
        self._count_words(m, requested, job.blocks)
        return m

    def _do_jobs(self, m: Module, job: data.View, first: Signal, accepted: Signal, requested: Signal) -> None:
        """One job after the other: accept its beats, wait for the greatest exponent, request words for all its rows."""
        # The two cycles in which the end of the vector is noticed are part of the exponent's latency.
        wait, lanes = exponent_latency(self._config) - 2, self._config.lanes
        # `pending`: there are beats to accept. `final`: the group of rows is the last one.
        pending, waiting, final = Signal(), Signal(range(max(wait, 2))), Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.jobs.ready.eq(1)
                m.d.sync += [job.eq(self.jobs.payload), first.eq(1), pending.eq(self.jobs.payload.beats != 0),
                             final.eq(self.jobs.payload.rows <= lanes)]
                with m.If(self.jobs.valid):
                    m.next = "LOAD"
                    with m.If(self.jobs.payload.beats == 0):
                        m.next = "REQUEST"
            with m.State("LOAD"):
                m.d.comb += [self.i.ready.eq(pending), accepted.eq(self.i.valid & pending)]
                with m.If(accepted):
                    m.d.sync += [job.beats.eq(job.beats - 1), pending.eq(job.beats != 1)]
                with m.If(~pending):
                    m.d.sync += waiting.eq(wait - 1 if wait else 0)
                    m.next = "SETTLE" if wait else "REQUEST"
            if wait:
                with m.State("SETTLE"):
                    m.d.sync += waiting.eq(waiting - 1)
                    with m.If(waiting == 0):
                        m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.o.valid.eq(~first | ~self.matrices.valid)
                m.d.comb += requested.eq(self.o.valid & self.o.ready)
                with m.If(requested):
                    m.d.sync += first.eq(0)
                    with m.If(first):
                        m.d.sync += self.matrices.payload.rows.eq(job.rows)
                    with m.If(self.o.payload.last):
                        m.d.sync += [job.rows.eq(job.rows - lanes), final.eq(job.rows <= 2 * lanes)]
                        with m.If(final):
                            m.next = "IDLE"

    def _write(self, m: Module, accepted: Signal, requested: Signal) -> None:
        """Write the accepted beats. The first request resets their number for the next vector."""
        # For high clocks, registers split the wires of the bus, which lead here from all over the device.
        hops = self._config.pipelining.buffer
        m.d.comb += [
            self.write.valid.eq(delayed(m, accepted, hops, "accepted")),
            self.write.data.eq(delayed(m, self.i.payload, hops, "beat")),
        ]
        with m.If(requested):
            m.d.sync += self.write.number.eq(0)
        with m.Elif(self.write.valid):
            m.d.sync += self.write.number.eq(self.write.number + 1)

    def _announce(self, m: Module, job: data.View, starts: Value, shared_before: Signal) -> None:
        """Offer a matrix 2 cycles after its first word is requested (``starts``)."""
        matrix, announced = self.matrices, Signal()
        m.d.sync += announced.eq(starts)
        with m.If(announced):
            factor = job.factor + shared_before if self._config.fmt.block_floating else job.factor
            m.d.sync += [matrix.valid.eq(1), matrix.payload.factor.eq(factor)]
        with m.Elif(matrix.ready):
            m.d.sync += matrix.valid.eq(0)

    def _count_words(self, m: Module, requested: Signal, blocks: Value) -> None:
        """Where the next word starts: word n in bank ``word_banks * n``, counted through all rows of the store."""
        shape, request = StoreShape(self._config), self.o.payload
        row, position, first = Signal.like(request.row), Signal.like(request.position), Signal(init=1)
        following = Signal(range(shape.banks + shape.word_banks))
        # Words after the next one, less one, so that the sign tells whether the next is the last.
        remaining = Signal(signed(len(blocks) + 1))
        m.d.comb += [
            request.row.eq(row),
            request.position.eq(position),
            request.last.eq(Mux(first, blocks == 1, remaining < 0)),
            following.eq(position + shape.word_banks),
        ]
        with m.If(requested):
            m.d.sync += [first.eq(0), remaining.eq(Mux(first, blocks - 3, remaining - 1))]
            # The heads of rows take nothing of the vector.
            with m.If(~first if self._config.fmt.head_blocks else Const(1)):
                m.d.sync += position.eq(following)
                with m.If(following >= shape.banks):
                    m.d.sync += [row.eq(row + 1), position.eq(following - shape.banks)]
            with m.If(request.last):
                m.d.sync += [first.eq(1), row.eq(0), position.eq(0)]
        if self._config.fmt.group_blocks > 1:
            self._end_scales(m, requested, remaining)

    def _end_scales(self, m: Module, requested: Signal, remaining: Signal) -> None:
        """Where the blocks that share a scale end: after ``group_blocks`` words, if as many follow in the row, so that
        the last scale of a row serves what is left of it."""
        blocks = self._config.fmt.group_blocks
        # `remaining` says nothing before the second word of a row, and no scale ends there unless the row does.
        count = Signal(range(blocks))
        m.d.comb += self.o.payload.scale_ends.eq(
            self.o.payload.last | ((count == blocks - 1) & (remaining >= blocks - 1)))
        with m.If(requested):
            m.d.sync += count.eq(Mux(self.o.payload.last, 0, count + 1))

    def _find_exponent(self, m: Module) -> tuple[Signal, Signal]:
        """The greatest exponent field of the vector's beats, where subnormals count as 1, and what it was a cycle
        before."""
        starts = self.jobs.ready & self.jobs.valid & (self.jobs.payload.beats != 0)
        fields = [self.write.data.word_select(i, ELEMENT_BITS)[FP16_FRACTION:15]
                  for i in range(self._config.beat_activations)]
        levels = _levels(self._config)
        for level in range(levels):
            every_level = _tree_registers(self._config) == levels
            domain = "sync" if every_level or level == (levels - 1) // 2 else "comb"
            merged = []
            for i in range(0, len(fields), 2):
                larger = Signal(5, name=f"larger{level}_{i // 2}")
                value = Mux(fields[i] < fields[i + 1], fields[i + 1], fields[i])
                m.d[domain] += larger.eq(value)
                merged.append(larger)
            fields = merged
        greatest, shared_before, shared = Signal(5), Signal(5, init=1), Signal(5)
        written = delayed(m, self.write.valid, _tree_registers(self._config), "written")
        m.d.comb += [
            shared.eq(Mux(greatest > shared_before, greatest, shared_before)),
            self.not_finite.eq(greatest == (1 << 5) - 1),
        ]
        m.d.sync += [
            greatest.eq(Mux(written, fields[0], 0)),
            shared_before.eq(Mux(starts, 1, shared)),
        ]
        return shared, shared_before
