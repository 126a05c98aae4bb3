"""Activation buffer: keeps the FP16 vector of one matrix and has it read out again for every group of rows.

The vector arrives in beats, contiguous as in memory, and goes to the store (:mod:`hw.activations.store`); requests for
its words come out, ``c`` elements at a time. The greatest exponent field is found while the vector arrives. Reading
starts when it is complete, and the next vector is taken when the last word has been asked for; a matrix without beats
uses the vector that is there.

Latency :func:`exponent_latency` cycles from the last beat to the first request; one beat a cycle in, one request a
cycle out.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.spec import FP16_FRACTION
from hw.activations.store import StoreShape, request_layout, write_layout
from hw.config import EngineConfig
from hw.parts.delay import delayed
from hw.payloads import ELEMENT_BITS, job_layout, matrix_layout

__all__ = ["ActivationBuffer", "exponent_latency"]


def _levels(config: EngineConfig) -> int:
    """Of the tree that finds the greatest exponent field of a beat."""
    return ceil_log2(config.beat_activations)


def _tree_registers(config: EngineConfig) -> int:
    """Registers in that tree: one half-way, or, for high clocks, one behind each level."""
    return _levels(config) if config.pipelining.buffer else min(_levels(config), 1)


def exponent_latency(config: EngineConfig) -> int:
    """Cycles from a beat to the greatest exponent field: the beat's registers, those in the tree and the greatest of
    all beats."""
    return config.pipelining.buffer + _tree_registers(config) + 1


class ActivationBuffer(wiring.Component):
    """Control of the vector's store.

    Members
    -------
    jobs : In(stream of job_layout)
        The next is taken when the one before is done.
    i : In(stream of bus_bits)
        Beats of the vector.
    write : Out(write_layout)
        The same for the store.
    o : Out(stream of request_layout)
        Words 0 to blocks - 1, once for every group of rows.
    matrices : Out(stream of matrix_layout)
        A job whose words follow; for formats with block-floating-point activations ``shared`` is part of the factor.
    not_finite : Out(1)
        Strobe, :func:`exponent_latency` cycles after the beat: some element was NaN or infinite.
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

    def elaborate(self, platform):
        m = Module()
        job, opening = Signal(job_layout(self._config)), Signal()
        taken, issue, due = Signal(), Signal(), Signal()
        # Cycles until the exponent is known, beyond the two that it takes to notice that the vector is complete.
        wait = exponent_latency(self._config) - 2
        waiting = Signal(range(max(wait, 2)))
        request, matrix, told = self.o.payload, self.matrices, Signal()
        # Whether the rows under way are the last ones.
        final, lanes = Signal(), self._config.lanes

        # One job after the other. What follows of a matrix is told a cycle after the request for its first word.
        m.d.sync += told.eq(opening & issue)
        with m.If(told):
            m.d.sync += matrix.valid.eq(1)
        with m.Elif(matrix.ready):
            m.d.sync += matrix.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.jobs.ready.eq(1)
                m.d.sync += [job.eq(self.jobs.payload), opening.eq(1), due.eq(self.jobs.payload.beats != 0),
                             final.eq(self.jobs.payload.rows <= lanes)]
                with m.If(self.jobs.valid):
                    m.next = "LOAD"
                    with m.If(self.jobs.payload.beats == 0):
                        m.next = "READ"
            with m.State("LOAD"):
                m.d.comb += [self.i.ready.eq(due), taken.eq(self.i.valid & due)]
                with m.If(taken):
                    m.d.sync += [job.beats.eq(job.beats - 1), due.eq(job.beats != 1)]
                with m.If(~due):
                    m.d.sync += waiting.eq(wait - 1 if wait else 0)
                    m.next = "SETTLE" if wait else "READ"
            if wait:
                with m.State("SETTLE"):
                    m.d.sync += waiting.eq(waiting - 1)
                    with m.If(waiting == 0):
                        m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.o.valid.eq(~opening | ~matrix.valid)
                m.d.comb += issue.eq(self.o.valid & self.o.ready)
                with m.If(issue):
                    m.d.sync += opening.eq(0)
                    with m.If(opening):
                        m.d.sync += matrix.payload.rows.eq(job.rows)
                    with m.If(request.last):
                        m.d.sync += [job.rows.eq(job.rows - lanes), final.eq(job.rows <= 2 * lanes)]
                        with m.If(final):
                            m.next = "IDLE"

        fresh = self.jobs.ready & self.jobs.valid & (self.jobs.payload.beats != 0)
        # Beats come from all over the device, and may have to rest.
        hops = self._config.pipelining.buffer
        m.d.comb += [
            self.write.valid.eq(delayed(m, taken, hops, "taken")),
            self.write.data.eq(delayed(m, self.i.payload, hops, "beat")),
        ]
        shared, before = self._find_exponent(m, fresh)
        with m.If(told):
            m.d.sync += matrix.payload.factor.eq(job.factor + before if self._config.fmt.block_floating else job.factor)
        m.d.comb += request.shared.eq(shared)
        with m.If(issue):
            m.d.sync += self.write.number.eq(0)
        with m.Elif(self.write.valid):
            m.d.sync += self.write.number.eq(self.write.number + 1)
        self._count_words(m, issue, request, job.blocks)
        return m

    def _count_words(self, m, issue, request, blocks):
        """Where the next word starts: word n in bank word_banks * n, counted through all rows."""
        shape = StoreShape(self._config)
        row, position, first = Signal.like(request.row), Signal.like(request.position), Signal(init=1)
        following = Signal(range(shape.banks + shape.word_banks))
        # Words after the next, less one: the sign tells the last.
        left = Signal(signed(len(blocks) + 1))
        m.d.comb += [
            request.row.eq(row),
            request.position.eq(position),
            request.last.eq(Mux(first, blocks == 1, left < 0)),
            following.eq(position + shape.word_banks),
        ]
        with m.If(issue):
            m.d.sync += [first.eq(0), left.eq(Mux(first, blocks - 3, left - 1)), position.eq(following)]
            with m.If(following >= shape.banks):
                m.d.sync += [row.eq(row + 1), position.eq(following - shape.banks)]
            with m.If(request.last):
                m.d.sync += [first.eq(1), row.eq(0), position.eq(0)]

    def _find_exponent(self, m, fresh):
        """Greatest exponent field of the beats written since ``fresh``; and a cycle later."""
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
        greatest, so_far, shared = Signal(5), Signal(5, init=1), Signal(5)
        written = delayed(m, self.write.valid, _tree_registers(self._config), "written")
        m.d.comb += [
            shared.eq(Mux(greatest > so_far, greatest, so_far)),
            self.not_finite.eq(greatest == (1 << 5) - 1),
        ]
        m.d.sync += [
            greatest.eq(Mux(written, fields[0], 0)),
            so_far.eq(Mux(fresh, 1, shared)),
        ]
        return shared, so_far
