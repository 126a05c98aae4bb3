"""Activation buffer: holds the FP16 vector of one matrix and reads it out again for every group of rows.

The vector arrives in beats, contiguous as in memory, and leaves ``c`` elements at a time from any multiple of ``c``.
So that ``c`` need not divide a beat, the store is split into banks of gcd(c, elements of a beat) elements: a beat
fills neighbouring banks, a word starts in some bank and goes on into the next, one row further after the last.

The greatest exponent field is found while the vector arrives. Reading starts when it is complete, and the next vector
is taken when the last word has been read; a matrix without beats uses the vector that is there.

Latency 4 cycles from the last beat to the first word (behind two registers), 5 in a fast engine, where each bank has
address and data registers of its own; one beat a cycle in, one word a cycle out.
"""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.spec import FP16_FRACTION
from hw.config import EngineConfig
from hw.drain import matrix_layout
from hw.pipeline import pipeline

__all__ = ["ActivationBuffer", "job_layout", "raw_word"]

_ELEMENT = 16


def raw_word(config: EngineConfig) -> data.StructLayout:
    """``c`` FP16 activations as bits, whether the word is the first or the last of its rows, and the greatest biased
    exponent field of the vector, subnormals counting as 1."""
    return data.StructLayout({"x": data.ArrayLayout(_ELEMENT, config.c), "first": 1, "last": 1, "shared": 5})


def job_layout(config: EngineConfig) -> data.StructLayout:
    """What to do for a matrix.

    ``beats`` of its vector, which memory holds padded with zeros to ``blocks * c`` elements, or 0 for that of the
    matrix before; ``blocks``, words of one read-out: ceil(columns / c); ``rows``; and the biased exponent of the
    ``factor`` by which the matrix's sums are to be multiplied.
    """
    return data.StructLayout({"beats": range(config.max_activation_beats + 1), "blocks": range(config.max_blocks + 1),
                              "rows": range(config.max_rows + 1), "factor": 8})


class ActivationBuffer(wiring.Component):
    """Vector store with a read-out that repeats.

    Members
    -------
    jobs : In(stream of job_layout)
        The next is taken when the one before is done.
    i : In(stream of bus_bits)
        Beats of the vector.
    o : Out(stream of raw_word)
        Words 0 to blocks - 1, once for every group of rows.
    matrices : Out(stream of matrix_layout)
        A job whose words follow; for formats with block-floating-point activations ``shared`` is part of the factor.
    not_finite : Out(1)
        Strobe, 2 cycles after the beat: some element was NaN or infinite.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        self._elements = config.beat_activations
        self._bank = gcd(config.c, self._elements)
        # A row holds whole beats, and at least one whole word.
        self._row = max(self._elements, 1 << ceil_log2(config.c))
        self._depth = -(-config.max_blocks * config.c // self._row)
        super().__init__({
            "jobs": In(stream.Signature(job_layout(config))),
            "i": In(stream.Signature(config.bus_bits)),
            "o": Out(stream.Signature(raw_word(config))),
            "matrices": Out(stream.Signature(matrix_layout(config))),
            "not_finite": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word = stream.Signature(raw_word(self._config)).create()
        job, opening = Signal(job_layout(self._config)), Signal()
        write, reading, advance = Signal(), Signal(), Signal()
        pending = Signal()
        # What is asked of the store.
        asked = Signal(data.StructLayout({"valid": 1, "first": 1, "last": 1, "shared": 5}))
        matrix = self.matrices
        m.d.comb += advance.eq(~word.valid | word.ready)

        # One job after the other. What follows of a matrix is told with its first word.
        with m.If(matrix.ready):
            m.d.sync += matrix.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.jobs.ready.eq(1)
                m.d.sync += [job.eq(self.jobs.payload), opening.eq(1)]
                with m.If(self.jobs.valid):
                    m.next = "LOAD"
                    with m.If(self.jobs.payload.beats == 0):
                        m.next = "READ"
            with m.State("LOAD"):
                m.d.comb += [self.i.ready.eq((job.beats != 0) & ~pending), write.eq(self.i.valid & self.i.ready)]
                with m.If(write):
                    m.d.sync += job.beats.eq(job.beats - 1)
                with m.If(job.beats == 0):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(~opening | ~matrix.valid)
                with m.If(reading & advance):
                    m.d.sync += opening.eq(0)
                    with m.If(opening):
                        m.d.sync += [matrix.valid.eq(1), matrix.payload.rows.eq(job.rows)]
                    with m.If(asked.last):
                        m.d.sync += job.rows.eq(job.rows - self._config.lanes)
                        with m.If(job.rows <= self._config.lanes):
                            m.next = "IDLE"

        shared = self._find_exponent(m, write, self.jobs.ready & self.jobs.valid & (self.jobs.payload.beats != 0))
        with m.If(opening & reading & advance):
            m.d.sync += matrix.payload.factor.eq(job.factor + shared if self._config.fmt else job.factor)
        m.d.comb += [asked.valid.eq(reading), asked.shared.eq(shared)]
        answered = self._copy(m, asked, "answered", advance)
        if self._config.fast:
            m.d.comb += pending.eq(answered.valid)
        with m.If(advance):
            m.d.sync += [
                word.valid.eq(answered.valid),
                *(word.payload[name].eq(answered[name]) for name in ("first", "last", "shared")),
            ]
        self._store(m, word.payload, write, reading & advance, advance, asked, job.blocks)

        # Block RAMs are slow to answer: a register between them and what works on the words.
        pipeline(m, word, self.o, [(raw_word(self._config), None)])
        return m

    def _copy(self, m, value, name, enable=1):
        """``value``, in a fast engine in a register, which is never merged with others."""
        if not self._config.fast:
            return value
        copy = Signal.like(value, name=name, attrs={"keep": 1})
        with m.If(enable):
            m.d.sync += copy.eq(value)
        return copy

    def _store(self, m, word, write, issue, advance, asked, blocks):
        """Where beats go to and words come from."""
        banks, bank_bits = self._row // self._bank, self._bank * _ELEMENT
        beat_banks, word_banks = self._elements // self._bank, self._config.c // self._bank
        beats_in_row = banks // beat_banks

        # Beat n goes to row n // beats_in_row, from bank beat_banks * (n % beats_in_row) on.
        beat = Signal(range(self._config.max_activation_beats + 1))
        write_part, write_row = beat[:ceil_log2(beats_in_row)], beat[ceil_log2(beats_in_row):]
        with m.If(issue):
            m.d.sync += beat.eq(0)
        with m.Elif(write):
            m.d.sync += beat.eq(beat + 1)

        # Word n starts in bank word_banks * n; `position` counts banks, `row` whole rows.
        index, row, position = Signal.like(blocks), Signal(range(self._depth)), Signal(range(max(banks, 2)))
        next_position = Signal(range(banks + word_banks))
        m.d.comb += [
            asked.first.eq(index == 0),
            asked.last.eq(index + 1 == blocks),
            next_position.eq(position + word_banks),
        ]
        with m.If(issue):
            m.d.sync += [index.eq(index + 1), position.eq(next_position)]
            with m.If(next_position >= banks):
                m.d.sync += [row.eq(row + 1), position.eq(next_position - banks)]
            with m.If(asked.last):
                m.d.sync += [index.eq(0), row.eq(0), position.eq(0)]

        outputs = []
        for number in range(banks):
            memory = Memory(shape=bank_bits, depth=self._depth, init=[])
            m.submodules[f"bank{number}"] = memory
            write_port, read_port = memory.write_port(), memory.read_port()
            part, slot = divmod(number, beat_banks)
            place, beat_part, enable = Signal.like(row), Signal(bank_bits), Signal()
            read_row = Signal.like(row)
            m.d.comb += [
                place.eq(write_row),
                beat_part.eq(self.i.payload.word_select(slot, bank_bits)),
                enable.eq(write & (write_part == part)),
                # Banks before the first of the word belong to the next row.
                read_row.eq(row + (position > number) if number < banks - 1 else row),
                write_port.addr.eq(self._copy(m, place, f"write_row{number}")),
                write_port.data.eq(self._copy(m, beat_part, f"beat_part{number}")),
                write_port.en.eq(self._copy(m, enable, f"write{number}")),
                read_port.addr.eq(self._copy(m, read_row, f"read_row{number}", advance)),
                read_port.en.eq(advance),
            ]
            outputs.append(read_port.data)

        turn, turned = Signal.like(position), self._copy(m, position, "turned", advance)
        with m.If(advance):
            m.d.sync += turn.eq(turned)
        # Only these banks ever start a word; the multiplexers need no other inputs.
        starts = sorted({n * word_banks % banks for n in range(banks)})
        with m.Switch(turn):
            for start in starts:
                with m.Case(start):
                    m.d.comb += word.x.as_value().eq(
                        Cat(outputs[(start + i) % banks] for i in range(word_banks)))

    def _find_exponent(self, m, write, fresh):
        """Greatest exponent field of the beats written since ``fresh``, 2 cycles after a beat."""
        fields = [self.i.payload.word_select(i, _ELEMENT)[FP16_FRACTION:15] for i in range(self._elements)]
        levels = ceil_log2(len(fields))
        for level in range(levels):
            merged = []
            for i in range(0, len(fields), 2):
                larger = Signal(5, name=f"larger{level}_{i // 2}")
                value = Mux(fields[i] < fields[i + 1], fields[i + 1], fields[i])
                # A register half-way.
                m.d["sync" if level == (levels - 1) // 2 else "comb"] += larger.eq(value)
                merged.append(larger)
            fields = merged
        written, greatest, so_far, shared = Signal(), Signal(5), Signal(5, init=1), Signal(5)
        m.d.comb += [
            shared.eq(Mux(greatest > so_far, greatest, so_far)),
            self.not_finite.eq(greatest == (1 << 5) - 1),
        ]
        m.d.sync += [
            written.eq(write),
            greatest.eq(Mux(written, fields[0], 0)),
            so_far.eq(Mux(fresh, 1, shared)),
        ]
        return shared
