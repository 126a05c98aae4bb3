"""Activation buffer: holds the FP16 vector of one product and reads it out again for every group of rows.

The vector arrives in beats, contiguous as in memory, and leaves ``c`` elements at a time from any multiple of ``c``.
So that ``c`` need not divide a beat, the store is split into banks of gcd(c, elements of a beat) elements: a beat
fills neighbouring banks, a word starts in some bank and goes on into the next, one row further after the last.

The greatest exponent field is found while the vector arrives. Reading starts when it is complete.

Latency 2 cycles from the last beat to the first word (behind a register), one beat a cycle in, one word a cycle out.
"""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.spec import FP16_FRACTION
from hw.config import EngineConfig

__all__ = ["ActivationBuffer", "raw_word"]

_ELEMENT = 16


def raw_word(config: EngineConfig) -> data.StructLayout:
    """``c`` FP16 activations as bits, and whether the word is the first or the last of its rows."""
    return data.StructLayout({"x": data.ArrayLayout(_ELEMENT, config.c), "first": 1, "last": 1})


class ActivationBuffer(wiring.Component):
    """Vector store with a read-out that repeats.

    Members
    -------
    start : In(1)
        A new vector follows; what was held and read is forgotten.
    beats : In
        Beats of the vector, which memory holds padded with zeros to ``blocks * c`` elements.
    blocks : In
        Words of one read-out: ceil(columns / c).
    i : In(stream of bus_bits)
        Beats of the vector; ``ready`` is 1 until it is complete.
    o : Out(stream of raw_word)
        Words 0 to blocks - 1, over and over.
    shared : Out(5)
        Greatest biased exponent field, subnormals counting as 1; valid once ``o`` is.
    not_finite : Out(1)
        Some element was NaN or infinite.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        self._elements = config.beat_activations
        self._bank = gcd(config.c, self._elements)
        # A row holds whole beats, and at least one whole word.
        self._row = max(self._elements, 1 << ceil_log2(config.c))
        self._depth = -(-config.max_blocks * config.c // self._row)
        super().__init__({
            "start": In(1),
            "beats": In(range(config.max_activation_beats + 1)),
            "blocks": In(range(config.max_blocks + 1)),
            "i": In(stream.Signature(config.bus_bits)),
            "o": Out(stream.Signature(raw_word(config))),
            "shared": Out(5, init=1),
            "not_finite": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        banks, bank_bits = self._row // self._bank, self._bank * _ELEMENT
        beat_banks, word_banks = self._elements // self._bank, self._config.c // self._bank
        beats_in_row = banks // beat_banks

        # Write side: beat n goes to row n // beats_in_row, from bank beat_banks * (n % beats_in_row) on.
        left, beat = Signal.like(self.beats), Signal.like(self.beats)
        write = Signal()
        m.d.comb += [self.i.ready.eq(left != 0), write.eq(self.i.valid & self.i.ready)]
        with m.If(self.start):
            m.d.sync += [left.eq(self.beats), beat.eq(0)]
        with m.Elif(write):
            m.d.sync += [left.eq(left - 1), beat.eq(beat + 1)]
        write_part, write_row = beat[:ceil_log2(beats_in_row)], beat[ceil_log2(beats_in_row):]

        self._find_exponent(m, write)

        # Read side: word n starts in bank word_banks * n; `position` counts banks, `row` whole rows.
        index, row, position = Signal.like(self.blocks), Signal(range(self._depth)), Signal(range(max(banks, 2)))
        loaded, advance = Signal(), Signal()
        next_position = Signal(range(banks + word_banks))
        is_last = Signal()
        m.d.comb += [is_last.eq(index + 1 == self.blocks), next_position.eq(position + word_banks)]
        with m.If(self.start):
            m.d.sync += [index.eq(0), row.eq(0), position.eq(0)]
        with m.Elif(loaded & advance):
            m.d.sync += [index.eq(index + 1), position.eq(next_position)]
            with m.If(next_position >= banks):
                m.d.sync += [row.eq(row + 1), position.eq(next_position - banks)]
            with m.If(is_last):
                m.d.sync += [index.eq(0), row.eq(0), position.eq(0)]
        # The exponent of the last beat is in place a cycle after it.
        complete = Signal()
        m.d.sync += [complete.eq((left == 0) & ~self.start), loaded.eq(complete & (left == 0) & ~self.start)]

        outputs = []
        for number in range(banks):
            memory = Memory(shape=bank_bits, depth=self._depth, init=[])
            m.submodules[f"bank{number}"] = memory
            write_port, read_port = memory.write_port(), memory.read_port()
            part, slot = divmod(number, beat_banks)
            m.d.comb += [
                write_port.addr.eq(write_row),
                write_port.data.eq(self.i.payload.word_select(slot, bank_bits)),
                write_port.en.eq(write & (write_part == part)),
                # Banks before the first of the word belong to the next row.
                read_port.addr.eq(row + (position > number) if number < banks - 1 else row),
                read_port.en.eq(advance),
            ]
            outputs.append(read_port.data)

        valid, first, last, turn = Signal(), Signal(), Signal(), Signal.like(position)
        m.d.comb += advance.eq(~valid | self.o.ready)
        with m.If(self.start):
            m.d.sync += valid.eq(0)
        with m.Elif(advance):
            m.d.sync += [valid.eq(loaded), first.eq(index == 0), last.eq(is_last), turn.eq(position)]
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.first.eq(first), self.o.payload.last.eq(last)]
        # Only these banks ever start a word; the multiplexers need no other inputs.
        starts = sorted({n * word_banks % banks for n in range(banks)})
        with m.Switch(turn):
            for start in starts:
                with m.Case(start):
                    m.d.comb += self.o.payload.x.as_value().eq(
                        Cat(outputs[(start + i) % banks] for i in range(word_banks)))
        return m

    def _find_exponent(self, m, write):
        """Track the greatest exponent field of the beats written, a register behind the bus."""
        fields = [self.i.payload.word_select(i, _ELEMENT)[FP16_FRACTION:15] for i in range(self._elements)]
        level = 0
        while len(fields) > 1:
            merged = []
            for i in range(0, len(fields), 2):
                larger = Signal(5, name=f"larger{level}_{i // 2}")
                m.d.comb += larger.eq(Mux(fields[i] < fields[i + 1], fields[i + 1], fields[i]))
                merged.append(larger)
            fields, level = merged, level + 1
        greatest, fresh = Signal(5), Signal()
        m.d.sync += [greatest.eq(fields[0]), fresh.eq(write)]
        with m.If(self.start):
            m.d.sync += [self.shared.eq(1), self.not_finite.eq(0)]
        with m.Elif(fresh):
            with m.If(greatest > self.shared):
                m.d.sync += self.shared.eq(greatest)
            with m.If(greatest == 31):
                m.d.sync += self.not_finite.eq(1)
