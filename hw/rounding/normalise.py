"""Normalise: rounds an exact integer sum to a significand of 24 bits times a power of two, to nearest, ties to even.

Latency: :func:`normalise_latency` cycles. Rate: one sum a cycle.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import EngineConfig
from hw.parts.pipeline import Step, fused, pipeline
from hw.payloads import FACTOR_BITS, SIGNIFICAND, float_layout, row_scale, sum_layout

__all__ = ["Normalise", "normalise_latency"]


def _width(config: EngineConfig) -> int:
    """Width of the magnitude, which is shifted up until its top bit is set."""
    return max(config.sum_bits, SIGNIFICAND + 2)


def normalise_latency(config: EngineConfig) -> int:
    """Cycles from a sum to its significand: the magnitude, two binary digits of the shift at a time, and the rounding.

    For high clocks each digit of the shift takes a cycle; the rounding takes three, for its direction, its addition and
    its carry; and registers of ``config.pipelining.normalise`` split the wires from the lanes. A sum of 67 bits takes 6
    cycles, or 12 for high clocks.
    """
    digits, steps = ceil_log2(_width(config)), config.pipelining.normalise
    return 4 + digits + steps if steps else 2 + -(-digits // 2)


class Normalise(wiring.Component):
    """Converts integers to floating-point numbers.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of sum_layout)
        Exact sums.
    o : Out(stream of float_layout)
        The same rounded, in the same order.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(sum_layout(config))),
            "o": Out(stream.Signature(float_layout(config))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # `shift` is the number of places by which the magnitude has been shifted up; `beside` is carried along.
        width = _width(self._config)
        steps = range(ceil_log2(width))
        beside = {**row_scale(self._config), "factor": FACTOR_BITS, "last": 1}
        layout = data.StructLayout({"sign": 1, "magnitude": width, "shift": len(steps), **beside})

        def absolute(now: Any, later: Any) -> None:
            m.d.comb += [
                later.sign.eq(now.sum < 0),
                later.magnitude.eq(Mux(now.sum < 0, -now.sum, now.sum)),
                *(later[name].eq(now[name]) for name in beside),
            ]

        def decided(now: Any, later: Any) -> None:
            kept, guard, rest = (now.magnitude[-SIGNIFICAND:], now.magnitude[-SIGNIFICAND - 1],
                                 now.magnitude[:-SIGNIFICAND - 1])
            m.d.comb += [
                *(later[name].eq(now[name]) for name in ("sign", "shift", *beside)),
                later.kept.eq(kept),
                later.up.eq(guard & (rest.any() | kept[0])),
            ]

        def rounded(now: Any, later: Any) -> None:
            m.d.comb += [
                *(later[name].eq(now[name]) for name in ("sign", *beside)),
                later.significand.eq(now.kept + now.up),
                later.exponent.eq(width - SIGNIFICAND - now.shift),
            ]

        def carried(now: Any, later: Any) -> None:
            carry = now.significand[SIGNIFICAND]
            m.d.comb += [
                *(later[name].eq(now[name]) for name in ("sign", *beside)),
                # After a carry out the other bits are 0: the significand is then a power of two.
                later.significand.eq(now.significand[:SIGNIFICAND] | Cat(Const(0, SIGNIFICAND - 1), carry)),
                later.exponent.eq(now.exponent + carry),
            ]

        shifts: list[Step] = [(layout, partial(self._shift_up, m, step=step)) for step in reversed(steps)]
        decision = data.StructLayout({"sign": 1, "kept": SIGNIFICAND, "up": 1, "shift": len(steps), **beside})
        ends: list[Step] = [(decision, decided), (float_layout(self._config, SIGNIFICAND + 1), rounded),
                            (float_layout(self._config), carried)]
        registers = [(sum_layout(self._config), None)] * self._config.pipelining.normalise
        if not registers:
            shifts, ends = fused(shifts, 2), fused(ends, len(ends))
        pipeline(m, self.i, self.o, [*registers, (layout, absolute), *shifts, *ends])
        return m

    @staticmethod
    def _shift_up(m: Module, now: Any, later: Any, step: int) -> None:
        """Shift the magnitude up by ``2**step`` places if that many of its top bits are clear."""
        clear = Signal(name=f"clear{step}")
        m.d.comb += [
            clear.eq(~now.magnitude[-(1 << step):].any()),
            later.eq(now),
            later.magnitude.eq(Mux(clear, now.magnitude << (1 << step), now.magnitude)),
            later.shift[step].eq(clear),
        ]
