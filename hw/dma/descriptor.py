"""Descriptor: what the engine has to know of one matrix, and its way out of memory into the registers.

A chain of matrices is a list of descriptors, each of which holds the address of the next. In memory a descriptor is
:data:`DESCRIPTOR_BYTES` long: the 32-bit words of :data:`WORDS`, little-endian, in this order, and zeros. Its address
is a multiple of :func:`descriptor_alignment`.

Latency: :func:`descriptor_latency` cycles from a beat to the registers. Rate: one beat a cycle.
"""

import struct
from collections.abc import Mapping

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.parts.delay import delayed, own_copy

__all__ = ["DESCRIPTOR_BYTES", "WORDS", "DescriptorReader", "descriptor_alignment", "descriptor_beats",
           "descriptor_image", "descriptor_latency"]

WORDS = ("NEXT", "FORMAT", "ACTIVATION_ADDR", "WEIGHT_ADDR", "RESULT_ADDR", "ROWS", "BLOCKS", "ACTIVATION_BEATS",
         "WEIGHT_BEATS", "FACTOR_EXPONENT")
"""Words of a descriptor in the order of memory; each goes to the register of the same name."""
DESCRIPTOR_BYTES = 64
"""Length of a descriptor in memory, bytes."""


def descriptor_alignment(config: EngineConfig) -> int:
    """Bytes of which a descriptor's address has to be a multiple: its length, or that of a wider beat."""
    return max(DESCRIPTOR_BYTES, config.bus_bytes)


def descriptor_beats(config: EngineConfig) -> int:
    """Number of beats in which a descriptor is read."""
    return descriptor_alignment(config) // config.bus_bytes


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
    words : Out(array of 32 bits)
        Values for the registers, in the order of :data:`WORDS`.
    load : Out(bits)
        For each of ``words``, 1 in the cycle in which it is valid. The registers hold it from the next cycle on.
    done : Out(1)
        Strobe, :func:`descriptor_latency` - 1 cycles after the last beat of the descriptor is accepted.
    bad : Out(1)
        Strobe, :func:`descriptor_latency` cycles after the beat: the descriptor is for another engine, or the next
        one's address is not a multiple of :func:`descriptor_alignment`.
    """

    def __init__(self, config: EngineConfig, identity: int):
        self._config, self._identity = config, identity
        super().__init__({
            "enable": In(1),
            "i": In(stream.Signature(config.bus_bits)),
            "words": Out(data.ArrayLayout(32, len(WORDS))),
            "load": Out(len(WORDS)),
            "done": Out(1),
            "bad": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats, beat_words = descriptor_beats(self._config), self._config.bus_bits // 32
        beat, accepted, load = Signal(range(max(beats, 2))), Signal(), Signal.like(self.load)
        hops = descriptor_latency(self._config) - 1
        m.d.comb += [
            self.i.ready.eq(self.enable),
            accepted.eq(self.i.valid & self.enable),
            self.done.eq(delayed(m, accepted & (beat == beats - 1), hops, "done")),
            self.load.eq(delayed(m, load, hops, "load")),
        ]
        with m.If(accepted):
            m.d.sync += beat.eq(0 if beats == 1 else beat + 1)
        content = own_copy(m, self.i.payload, "content") if hops else self.i.payload
        content = delayed(m, content, max(hops - 1, 0), "content", reset_less=True)
        for n in range(len(WORDS)):
            number, place = divmod(n, beat_words)
            m.d.comb += [
                self.words[n].eq(content.word_select(place, 32)),
                load[n].eq(accepted & (beat == number)),
            ]
        following, found = (WORDS.index(name) for name in ("NEXT", "FORMAT"))
        m.d.sync += self.bad.eq(
            (self.load[following] & self.words[following][:ceil_log2(descriptor_alignment(self._config))].any())
            | (self.load[found] & (self.words[found] != self._identity)))
        return m
