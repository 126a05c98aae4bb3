"""Software and memory do one thing after the other in no sensible order: whatever came before, a correct run is exact.

Two chains, and one whose last descriptor is bad, are started, aborted and reset at any time, while memory pauses, falls
silent, answers with errors, with RLAST in the wrong place, or without being asked.
"""

import random
from typing import Any

import cocotb

from hw.parts.axi import Resp
from hw.registers.register_map import ABORT, DESCRIPTOR_REGISTERS, OFFSETS, START
from sim.bench.engine_bench import Chain, EngineBench, open_bench
from sim.bench.engine_model import Outcome, descriptor, expect
from sim.bench.hostile_memory import CHANNELS, Behaviour
from sim.bench.streams import cycles
from sim.tools.run import arguments

EVENTS = 12
"""Events, at most, before a correct run."""


class Walk:
    """Events on the engine of a bench.

    Parameters
    ----------
    bench : EngineBench
    chain : Chain
        The chain that is exact whenever memory and software are sensible.
    """

    def __init__(self, bench: EngineBench, chain: Chain) -> None:
        self._bench, self._chain = bench, chain
        self._other = bench.chain(beside=chain)
        self._bad = bench.chain(beside=self._other)
        words = self._bad.descriptors[-1]
        self._bad.memory.write(self._bad.places[-1], descriptor({**words, "RESERVED": random.randint(1, 0xFFFFFFFF)}))
        self._chains = [chain, self._other, self._bad]

    def load(self) -> None:
        """Fill the memory with all chains, which may all run from now on."""
        outcomes = [expect(self._bench.config, chain.descriptors[0], self._bad.memory) for chain in self._chains]
        self._bench.load(self._bad.memory, Outcome(
            results=[result for outcome in outcomes for result in outcome.results],
            reads=[region for outcome in outcomes for region in outcome.reads],
            writes=[region for outcome in outcomes for region in outcome.writes]))

    async def event(self) -> None:
        """Do something."""
        bench = self._bench
        name = random.choice(("start", "start", "start again", "abort", "abort", "reset", "wait", "wait", "wait",
                              "behave", "be silent", "wake up", "fail", "break", "ask"))
        bench.dut._log.info("%s", name)
        await getattr(self, "_" + name.replace(" ", "_"))()

    async def _start(self) -> None:
        """A new run, unless there is one."""
        bench = self._bench
        words = dict(random.choice(self._chains).descriptors[0])
        if random.random() < 0.2:
            words[random.choice(("ROWS", "BLOCKS", "WEIGHT_BEATS", "FACTOR_EXPONENT", "NEXT_HI"))] = 0xFFFFFFFF
        if not (await bench.status()).busy:
            for name in DESCRIPTOR_REGISTERS:
                await bench.registers.write(name, words[name])
            await bench.registers.write("WATCHDOG", random.choice((0, 50, 600)))
            await bench.registers.write("IRQ_PENDING", 1)
            await bench.registers.write("CONTROL", START)

    async def _start_again(self) -> None:
        """Without a look whether there is a run. If there is none, this one is refused, because the descriptor that is
        left of an aborted run may be half of one and half of another."""
        await self._bench.registers.write_at(OFFSETS["ROWS"], 0)
        await self._bench.registers.write_at(OFFSETS["CONTROL"], START)

    async def _abort(self) -> None:
        await self._bench.registers.write("CONTROL", ABORT)

    async def _reset(self) -> None:
        """The memory goes on only if it will not be silent for longer than the engine waits."""
        survives = random.random() < 0.5
        if survives:
            self._bench.memory.behaviour = Behaviour()
        await self._bench.reset(random.randint(1, 3), survives)
        await cycles(self._bench.dut, 1)

    async def _wait(self) -> None:
        await cycles(self._bench.dut, random.choice((1, 5, 20, 60, 100)))

    async def _behave(self) -> None:
        self._bench.memory.behaviour = Behaviour(
            pause=random.choice((0.0, 0.3, 0.7)), latency=random.choice((1, 6, 20)),
            order=random.choice(("any", "aw", "w", "random")), early=random.choice(("", "", "aw", "w")))

    async def _be_silent(self) -> None:
        self._bench.memory.behaviour.silent = set(random.sample(CHANNELS, random.choice((1, 1, 5))))

    async def _wake_up(self) -> None:
        self._bench.memory.behaviour.silent = set()

    async def _fail(self) -> None:
        """Bad responses."""
        regions = self._bench.outcome.reads if random.random() < 0.5 else self._bench.outcome.writes
        first, size = random.choice(regions)
        width = self._bench.config.bus_bytes
        self._bench.memory.behaviour.resp = dict.fromkeys(
            range(first, first + size, width), random.choice((Resp.SLVERR, Resp.DECERR, Resp.EXOKAY)))

    async def _break(self) -> None:
        """RLAST in the wrong place."""
        wrong = random.choice((lambda beats: [False] * beats, lambda beats: [True], lambda beats: [True] * beats,
                               lambda beats: [False] * (beats + 3) + [True]))
        memory = self._bench.memory
        memory.behaviour.last = {len(memory.reads) + random.randrange(3): wrong}

    async def _ask(self) -> None:
        """An answer that nobody asked for; one to reads only where it cannot be taken for one that was."""
        memory = self._bench.memory
        if random.random() < 0.5:
            memory.ask_b()
        else:
            memory.ask_r(random.getrandbits(self._bench.config.bus_bits), last=not memory.owes)




async def _recover(bench: EngineBench) -> None:
    """Make memory sensible, and get rid of the run that may be under way."""
    bench.memory.behaviour = Behaviour()
    if random.random() < 0.5:
        await cycles(bench.dut, random.randrange(400))
    while (await bench.status()).busy:
        await bench.registers.write("CONTROL", ABORT)
    await bench.drained()


@cocotb.test()
async def events_in_any_order_do_no_harm(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    walk = Walk(bench, chain)
    for _ in range(max(1, round(60 * arguments()[2]))):
        walk.load()
        for _ in range(random.randint(1, EVENTS)):
            await walk.event()
        await _recover(bench)
        bench.check_no_harm()
        await bench.check_exact(chain)
