"""Descriptor: what the engine has to know of one matrix, and its way out of memory into the registers.

A chain of matrices is a list of descriptors, each of which holds the address of the next. In memory a descriptor is
:data:`DESCRIPTOR_BYTES` long: the 32-bit words of :data:`WORDS`, little-endian, in this order, and zeros. Its address
is a multiple of :func:`descriptor_alignment`.

Latency: :func:`descriptor_latency` cycles from a beat to the registers. Rate: one beat a cycle.
"""

import struct
from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.parts.delay import delayed, own_copy
from hw.registers.register_map import DESCRIPTOR_REGISTERS

__all__ = ["DESCRIPTOR_BYTES", "WORDS", "DescriptorReader", "beat_words", "descriptor_alignment", "descriptor_beats",
           "descriptor_image", "descriptor_latency"]

WORDS = (*DESCRIPTOR_REGISTERS, "FORMAT")
"""Words of a descriptor in the order of memory: those of the registers of the same names, and what the FORMAT register
of the engine reads."""
DESCRIPTOR_BYTES = 64
"""Length of a descriptor in memory, bytes."""
_ALL_WORDS = DESCRIPTOR_BYTES // 4
"""Words of a descriptor, those that have to be 0 included."""


def descriptor_alignment(config: EngineConfig) -> int:
    """Bytes of which a descriptor's address has to be a multiple: its length, or that of a wider beat."""
    return max(DESCRIPTOR_BYTES, config.bus_bytes)


def descriptor_beats(config: EngineConfig) -> int:
    """Number of beats in which a descriptor is read."""
    return descriptor_alignment(config) // config.bus_bytes


def beat_words(config: EngineConfig) -> int:
    """Number of a descriptor's words in a beat: word n is number ``n % beat_words`` of its beat."""
    return min(config.bus_bits // 32, _ALL_WORDS)


def descriptor_latency(config: EngineConfig) -> int:
    """Cycles from a beat to the registers and to the report of what is wrong with it: one, and those that the engine's
    pipelining spends on the way from the bus."""
    return 1 + config.pipelining.descriptor


def descriptor_image(words: Mapping[str, int]) -> bytes:
    """A descriptor of :data:`DESCRIPTOR_BYTES` as it lies in memory, from the values of its :data:`WORDS`.

    Raises
    ------
    KeyError
        When a word is missing.
    struct.error
        When a word does not fit into 32 bits.
    """
    return struct.pack(f"<{len(WORDS)}I", *(words[name] for name in WORDS)).ljust(DESCRIPTOR_BYTES, b"\0")


class DescriptorReader(wiring.Component):
    """Beats of a descriptor become register writes.

    Parameters
    ----------
    config : EngineConfig
    identity : int
        Value that a descriptor's FORMAT must have.

    Members
    -------
    enable : In(1)
        Beats are accepted while it is 1.
    i : In(stream of bus_bits)
    words : Out(array of beat_words of 32 bits)
        Values for the registers.
    load : Out(bits)
        For each of :data:`~hw.registers.register_map.DESCRIPTOR_REGISTERS`, 1 in the cycle in which ``words`` holds its
        value: word n is number ``n % beat_words``. The register holds it from the next cycle on.
    done : Out(1)
        Strobe, :func:`descriptor_latency` - 1 cycles after the last beat of the descriptor is accepted.
    bad : Out(1)
        Strobe, :func:`descriptor_latency` cycles after the beat: the descriptor is for another engine, or a word behind
        :data:`WORDS` is not 0.
    """

    def __init__(self, config: EngineConfig, identity: int):
        self._config, self._identity = config, identity
        super().__init__({
            "enable": In(1),
            "i": In(stream.Signature(config.bus_bits)),
            "words": Out(data.ArrayLayout(32, beat_words(config))),
            "load": Out(len(DESCRIPTOR_REGISTERS)),
            "done": Out(1),
            "bad": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats, in_beat = descriptor_beats(self._config), beat_words(self._config)
        beat, accepted = Signal(range(max(beats, 2))), Signal()
        # Which words of a descriptor the beat holds.
        held = Signal(_ALL_WORDS)
        hops = descriptor_latency(self._config) - 1
        m.d.comb += [
            self.i.ready.eq(self.enable),
            accepted.eq(self.i.valid & self.enable),
            self.done.eq(delayed(m, accepted & (beat == beats - 1), hops, "done")),
            *(held[n].eq(accepted & (beat == n // in_beat)) for n in range(_ALL_WORDS)),
        ]
        with m.If(accepted):
            m.d.sync += beat.eq(0 if beats == 1 else beat + 1)
        content = own_copy(m, self.i.payload, "content") if hops else self.i.payload
        content = delayed(m, content, max(hops - 1, 0), "content", reset_less=True)
        arriving = delayed(m, held, hops, "held")
        m.d.comb += [self.words.eq(content[:32 * in_beat]), self.load.eq(arriving)]

        def wrong(n: int, expected: int) -> Value:
            """Whether the beat holds word ``n``, and that is not what it has to be."""
            return arriving[n] & (self.words[n % in_beat] != expected)

        m.d.sync += self.bad.eq(wrong(WORDS.index("FORMAT"), self._identity)
                                | Cat(wrong(n, 0) for n in range(len(WORDS), _ALL_WORDS)).any())
        return m
