"""Activation store: block RAMs that are written with the beats of a vector and read in words of ``c`` elements.

So that ``c`` need not divide a beat, the store is split into banks whose rows have gcd(c, elements of a beat) elements.
A beat fills neighbouring banks. A word starts in some bank and goes on in the next ones; after the last bank it goes on
in the next row of the first. The zeros that pad the widest vector to whole words are not stored, because they would
take another row of every bank.

Latency: :func:`store_latency` cycles from a request to its word. A beat may be requested in the cycle after it is
written. Rate: one beat and one word a cycle; the store never stalls.
"""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.config import EngineConfig
from hw.parts.delay import delayed, own_copy
from hw.payloads import ELEMENT_BITS, raw_word, word_ends

__all__ = ["ActivationStore", "StoreShape", "request_layout", "store_latency",
           "write_layout"]

_RAM_BITS = 16 * 1024
"""Bits of a block RAM of ECP5 without its parity bits (FPGA-DS-02012, 2.9)."""


class StoreShape:
    """How the elements of a vector lie in the banks.

    Parameters
    ----------
    config : EngineConfig

    Attributes
    ----------
    bank : int
        Number of elements in a row of a bank.
    banks, depth, rows : int
        Number of banks, number of rows that each stores, and number of rows that words extend over. Where ``rows`` is
        more than ``depth``, ``depth`` is a power of two, and the elements of the rows that are not stored are 0.
    beat_banks, word_banks : int
        Number of neighbouring banks that a beat fills, and that a word lies in.
    """

    def __init__(self, config: EngineConfig):
        self.bank = gcd(config.c, config.beat_activations)
        # A row of all banks holds whole beats, and at least one whole word.
        row = max(config.beat_activations, 1 << ceil_log2(config.c))
        self.banks, self.rows = row // self.bank, -(-config.max_weight_blocks * config.c // row)
        self.depth = min(self.rows, max(config.max_cols // row, 1))
        self.beat_banks, self.word_banks = config.beat_activations // self.bank, config.c // self.bank


def write_layout(config: EngineConfig) -> data.StructLayout:
    """A beat of the vector: its ``data``, its ``number`` from 0 on, and whether it is ``valid``."""
    return data.StructLayout({"valid": 1, "number": range(config.max_activation_beats + 1), "data": config.bus_bits})


def request_layout(config: EngineConfig) -> data.StructLayout:
    """A word to read: the ``row`` that it starts in and the ``position`` there, the number of its first bank. The other
    fields are those of :func:`~hw.payloads.raw_word`."""
    shape = StoreShape(config)
    return data.StructLayout({"row": range(shape.rows), "position": range(max(shape.banks, 2)),
                              **word_ends(config), "shared": 5})


def _hops(config: EngineConfig) -> int:
    """Number of registers between requests and block RAMs, which lie all over the device. For high clocks each bank has
    one of its own, and each block RAM has the others."""
    return config.pipelining.store and 1 + config.pipelining.store


def store_latency(config: EngineConfig) -> int:
    """Cycles from a request to its word: registers of the address, the block RAM, for high clocks a register behind it,
    and the register behind the choice of banks."""
    hops = _hops(config)
    return hops + 1 + bool(hops) + 1


class ActivationStore(wiring.Component):
    """The banks of memory.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    write : In(write_layout)
        Beats to write.
    i : In(stream of request_layout)
        Words to read; ``ready`` is always 1.
    o : Out(stream of raw_word)
        The words in the order of the requests, whatever ``ready`` is.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        self._shape = StoreShape(config)
        self._padded = self._shape.rows > self._shape.depth
        super().__init__({
            "write": In(write_layout(config)),
            "i": In(stream.Signature(request_layout(config))),
            "o": Out(stream.Signature(raw_word(config))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, shape = self._config, self._shape
        hops = _hops(config)
        m.d.comb += self.i.ready.eq(1)

        request = delayed(m, self.i.payload, store_latency(config) - 1, "request")
        valid = delayed(m, self.i.valid, store_latency(config), "valid")
        outputs = [self._bank(m, number, hops) for number in range(shape.banks)]

        word = Signal.like(self.o.payload)
        # Words start in these banks only, so that the multiplexers need no other inputs.
        with m.Switch(request.position):
            for start in sorted({n * shape.word_banks % shape.banks for n in range(shape.banks)}):
                with m.Case(start):
                    m.d.sync += word.x.as_value().eq(
                        Cat(outputs[(start + i) % shape.banks] for i in range(shape.word_banks)))
        m.d.sync += [word[name].eq(request[name]) for name in (*word_ends(config), "shared")]
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(word)]
        return m

    def _bank(self, m: Module, number: int, hops: int) -> Value:
        """What bank ``number`` holds of the requested word, a cycle before the word is put together."""
        shape, bits = self._shape, self._shape.bank * ELEMENT_BITS
        # Banks before the first one of a word hold the part of it that lies in the next row.
        row = self.i.payload.row
        if number < shape.banks - 1:
            row = row + (self.i.payload.position > number)
        access = self._access(m, number, row)
        if hops:
            access = own_copy(m, access, f"access{number}")
        step = max(_RAM_BITS // shape.depth, 1) if hops else bits
        found = [self._memory(m, f"{number}_{low}", access, range(low, min(low + step, bits)), hops)
                 for low in range(0, bits, step)]
        stored = delayed(m, Cat(found), bool(hops), f"read{number}", reset_less=True)
        if self._padded:
            stored = Mux(delayed(m, self._past(row), store_latency(self._config) - 1, f"past{number}"), 0, stored)
        return stored

    def _access(self, m: Module, number: int, row: Value) -> data.View:
        """The access to bank ``number``: the part of a beat that is written to it, and ``row`` to be read."""
        shape = self._shape
        beats_in_row, bits = shape.banks // shape.beat_banks, shape.bank * ELEMENT_BITS
        part, slot = divmod(number, shape.beat_banks)
        # Beat n is written to row n // beats_in_row, from bank beat_banks * (n % beats_in_row) on.
        beat = self.write.number
        to = beat[ceil_log2(beats_in_row):]
        access = Signal(self._access_layout(bits), name=f"access{number}")
        valid = self.write.valid & (beat[:ceil_log2(beats_in_row)] == part)
        m.d.comb += [
            access.valid.eq(valid & ~self._past(to) if self._padded else valid),
            access.to.eq(to),
            access.data.eq(self.write.data.word_select(slot, bits)),
            access["from"].eq(row),
        ]
        return access

    def _memory(self, m: Module, name: str, access: data.View, bits: range, hops: int) -> Signal:
        """What the memory of these ``bits`` of a bank reads, ``max(hops, 1)`` cycles after ``access`` requests it."""
        near = Signal(self._access_layout(len(bits)), name=f"access{name}")
        m.d.comb += [
            *(near[field].eq(access[field]) for field in ("valid", "to", "from")),
            near.data.eq(access.data[bits.start:bits.stop]),
        ]
        for n in range(1, hops):
            near = own_copy(m, near, f"access{name}_{n}")
        # No row is read in the cycle in which it is written. Where a memory is so marked and its register is one of
        # ours, synthesis adds no bypass.
        m.submodules[f"bank{name}"] = memory = Memory(shape=len(bits), depth=self._shape.depth, init=[],
                                                      attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port(domain="comb")
        found = Signal(len(bits), name=f"found{name}", reset_less=True)
        m.d.sync += found.eq(read.data)
        m.d.comb += [
            write.en.eq(near.valid),
            write.addr.eq(near.to),
            write.data.eq(near.data),
            read.addr.eq(near["from"]),
        ]
        return found

    def _past(self, row: Value) -> Value:
        """Whether ``row`` comes after those that are stored."""
        return row[exact_log2(self._shape.depth):].any()

    def _access_layout(self, bits: int) -> data.StructLayout:
        """An access to a memory ``bits`` wide: ``data`` for row ``to`` if ``valid``, and the row ``from`` to read."""
        return data.StructLayout({"valid": 1, "to": range(self._shape.depth), "data": bits,
                                  "from": range(self._shape.depth)})
