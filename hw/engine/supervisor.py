"""Supervisor: ends a run that has gone wrong, keeps what went wrong and where, and waits until the bus is clean again.

An error of :data:`~hw.registers.register_map.ERRORS` raises ``abort``, which has three effects:

- The DMAs request nothing more and complete what they have requested, as AXI4 demands.
- The datapath is reset.
- ``status`` and ``error_addr`` keep the errors and the address of the first one until the next run.

``abort`` stays 1 until nothing is outstanding on the bus, into the next run if need be, so that a late response cannot
be mistaken for one of that run. It also lasts at least :data:`_LEAST` cycles, so that it outlasts what the datapath,
whose reset comes a cycle later, still sends.

After a reset nobody knows what memory still has to answer, and after an error of the protocol nobody can tell, whether
there is a run or not. Then ``abort`` lasts until the bus has been silent for the engine's ``settle_cycles``, and what
the DMAs took to be outstanding is forgotten. A reset therefore begins with an abort.

The watchdog counts the cycles of a run in which nothing is transferred on the bus. When it reaches the limit, the run
fails with a timeout. It does not count while silence is what the supervisor waits for.

A failed run is not held up for ever by a memory that owes answers, or that never stops answering: after
``settle_cycles`` of silence, once the watchdog has expired, or :data:`_PATIENCE` times ``settle_cycles`` after it has
failed, ``given_up`` lets the run end, while ``abort`` goes on.

Latency: ``abort`` rises two cycles after the strobe of an error.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.registers.register_map import ERRORS

__all__ = ["FINDINGS", "Supervisor"]

_LEAST = 4
"""Cycles of ``abort``: two in which the datapath's reset comes and goes, and two to spare."""
_PATIENCE = 16
"""For how many times the cycles of silence a failed run waits for a memory that answers on and on: a power of two."""
_STROBED = tuple(name for name in ERRORS if name != "timeout")
"""Errors that others find."""
FINDINGS = ("bad_address", "bad_size", "bad_activations", "bad_weights")
"""Errors that the checker finds."""


class Supervisor(wiring.Component):
    """Errors, the watchdog, and the abort of a run.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)
        Strobe: a run starts in the next cycle.
    busy : In(1)
        A run is under way.
    read_error, write_error, ... : In(1)
        For each of :data:`~hw.registers.register_map.ERRORS` but the timeout, a strobe: the error of this name has
        happened. Only ``protocol_error`` counts without a run.
    read_addr, write_addr : In(addr_bits)
        Byte addresses of the oldest outstanding bursts.
    vector_addr, protocol_addr : In(addr_bits)
        Byte addresses of the bursts that ``not_finite`` and ``protocol_error`` are about, in the cycle of the strobe.
    checked_addr : In(addr_bits)
        Byte address that ``bad_address`` is about.
    descriptor_addr : In(addr_bits)
        Byte address of the descriptor in which there is another error.
    reading : In(1)
        Reads are outstanding.
    progress : In(1)
        Something is transferred on the bus.
    limit : In(32)
        Cycles without progress after which the watchdog ends a run; 0 switches it off.
    quiet : In(1)
        Nothing is outstanding on the bus.
    offering : In(1)
        The DMAs offer something on the bus.
    abort : Out(1)
        The run has failed, or memory may still answer what went before.
    forget : Out(1)
        Strobe: what the DMAs take to be outstanding is not.
    failed : Out(1)
        The run has failed.
    given_up : Out(1)
        Nothing on the bus is waited for any longer.
    status : Out(struct of a bit for each of ERRORS)
        The errors that ended the run: the first, those of the same cycle, and a later timeout.
    error_addr : Out(addr_bits)
        Byte address that the first error is about; for a timeout and an abort by software, that of the oldest
        outstanding read, or of the oldest outstanding write if there is no read. It is 0 while there is no error.
    """

    def __init__(self, config: EngineConfig):
        self._settle_cycles = config.settle_cycles
        address = In(config.addr_bits)
        super().__init__({
            "start": In(1), "busy": In(1), **{name: In(1) for name in _STROBED},
            "read_addr": address, "write_addr": address, "vector_addr": address, "protocol_addr": address,
            "descriptor_addr": address, "checked_addr": address,
            "reading": In(1), "progress": In(1), "limit": In(32), "quiet": In(1), "offering": In(1),
            "abort": Out(1, init=1), "forget": Out(1), "failed": Out(1), "given_up": Out(1),
            "status": Out(data.StructLayout(dict.fromkeys(ERRORS, 1))), "error_addr": address.flip(),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        distrusted, silent = Signal(init=1), Signal()  # `distrusted`: what is outstanding on the bus is not known
        expired = self._watch(m, distrusted & ~silent)
        errors, broken, failed_addr = self._collect(m)
        aborted = Signal(_LEAST - 1)  # whether `abort` was 1 in each of the cycles before
        silence = Signal(range(self._settle_cycles + 1))  # up to a power of two, whose bit says that it is reached
        patience = Signal(range(_PATIENCE * self._settle_cycles + 1))  # its top bit is set once it is at an end
        m.d.comb += [
            silent.eq(silence[-1]),
            self.forget.eq(distrusted & silent & ~self.offering & aborted[-1]),
            self.given_up.eq(expired | silent | patience[-1]),
        ]
        m.d.sync += [
            silence.eq(Mux(self.progress | ~self.abort, 0, silence + ~silent)),
            aborted.eq(Mux(self.abort, Cat(self.abort, aborted), 0)),
            patience.eq(Mux(self.failed, patience + ~patience[-1], 0)),
        ]
        with m.If(Mux(distrusted, self.forget, aborted[-1] & self.quiet)):
            m.d.sync += [self.abort.eq(0), distrusted.eq(0)]
        with m.If(broken):
            m.d.sync += [self.abort.eq(1), distrusted.eq(1)]
        with m.If(self.start):
            # A run does not wait for an abort that begins with it, so it fails.
            m.d.sync += [self.status.eq(0), self.status.protocol_error.eq(errors.protocol_error), self.error_addr.eq(0),
                         self.failed.eq(errors.protocol_error)]
        with m.Elif(self.busy & ~self.failed & (expired | errors.as_value().any())):
            m.d.sync += [self.abort.eq(1), self.failed.eq(1), self.status.eq(errors), self.error_addr.eq(failed_addr)]
        with m.If(self.busy & expired & ~self.start):
            m.d.sync += self.status.timeout.eq(1)
        return m

    def _watch(self, m: Module, waiting: Value) -> Signal:
        """The watchdog, which does not count while ``waiting`` for silence. Returns whether it has expired: it stays so
        until there is progress or a run starts."""
        idle_cycles, progress, over, expired = Signal.like(self.limit), Signal(), Signal(), Signal()
        m.d.sync += [
            progress.eq(self.progress | self.start | waiting),
            over.eq((self.limit != 0) & (idle_cycles == self.limit) & ~self.start & ~progress),
        ]
        m.d.comb += expired.eq(over & ~progress)
        with m.If(progress):
            m.d.sync += idle_cycles.eq(0)
        with m.Elif(self.busy & (idle_cycles != self.limit)):
            m.d.sync += idle_cycles.eq(idle_cycles + 1)
        return expired

    def _collect(self, m: Module) -> tuple[data.View, Signal, Signal]:
        """The errors of a run, whether the protocol was broken, in a run or not, and what the errors are about, a cycle
        after their strobes, because these come from all over the device."""
        strobes, errors = Signal.like(self.status), Signal.like(self.status)
        failed_addr = Signal.like(self.error_addr, reset_less=True)
        # During an abort, what is found is about what went before. Software also aborts a run that waits for its end.
        counts = dict.fromkeys(_STROBED, self.busy & ~self.abort) | {"aborted": self.busy, "protocol_error": 1}
        m.d.sync += [strobes[name].eq(getattr(self, name) & counts[name]) for name in _STROBED]
        m.d.comb += [errors[name].eq(strobes[name] & (~self.abort if name == "protocol_error" else 1))
                     for name in _STROBED]
        address = Mux(self.reading, self.read_addr, self.write_addr)
        in_descriptor = Cat(getattr(self, name) for name in ("bad_descriptor", *FINDINGS)).any()
        for error, about in ((self.write_error, self.write_addr), (self.protocol_error, self.protocol_addr),
                             (self.not_finite, self.vector_addr), (in_descriptor, self.descriptor_addr),
                             (self.bad_address, self.checked_addr)):
            address = Mux(error, about, address)
        m.d.sync += failed_addr.eq(address)
        return errors, strobes.protocol_error, failed_addr
