"""Harness for placing and routing a component that has more ports than a package has pins.

A chain of flip-flops, one for each input bit, shifts data in from one pin. Each output bit is registered, and the
registers are folded into one pin by pipelined XORs of four. So every path from and to a port is a real path between
flip-flops, the placer puts the ends of these paths wherever it likes, the clock is a global net, and nothing is
optimised away. The harness takes one flip-flop for each port bit and, for each output bit, about a third of a
flip-flop and of a LUT.

Input bit n has the value of the pin ``i`` n + 1 cycles ago. An output bit reaches the pin ``o`` after 1 cycle, and 1
more for each level of the fold: ceil(log4(output bits)).
"""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Harness"]


class Harness(wiring.Component):
    """A component between one input and one output pin.

    Parameters
    ----------
    component : wiring.Component
        Component in the domain ``sync``. Its reset comes from a flip-flop of the harness.

    Members
    -------
    i : In(1)
        Data that are shifted into the component's inputs.
    o : Out(1)
        XOR of all bits of its outputs.
    """

    def __init__(self, component: wiring.Component) -> None:
        self._component = component
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += ClockDomain("component", local=True)
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        m.d.comb += [ClockSignal("component").eq(ClockSignal()), ResetSignal("component").eq(reset)]
        m.submodules.component = DomainRenamer("component")(self._component)

        ports = list(self._component.signature.flatten(self._component))
        inputs = Cat(port for _, member, port in ports if member.flow is In)
        outputs = Cat(port for _, member, port in ports if member.flow is Out)
        chain = Signal(len(inputs), reset_less=True)
        m.d.sync += chain.eq(Cat(self.i, chain))
        m.d.comb += inputs.eq(chain)

        level = 0
        fold = Signal(len(outputs), name="fold0", reset_less=True)
        m.d.sync += fold.eq(outputs)
        while len(fold) > 1:
            level += 1
            folded = Signal(-(-len(fold) // 4), name=f"fold{level}", reset_less=True)
            m.d.sync += folded.eq(Cat(fold[i:i + 4].xor() for i in range(0, len(fold), 4)))
            fold = folded
        m.d.comb += self.o.eq(fold)
        return m
