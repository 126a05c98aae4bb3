"""CONTROL.abort ends every run in every state; the run behind it is exact."""

import random
from typing import Any

import cocotb

from hw.parts.axi import Resp
from hw.registers.register_map import ABORT, OFFSETS, START
from sim.bench.engine_bench import open_bench, sample
from sim.bench.engine_model import descriptor, expect
from sim.bench.hostile_memory import Behaviour
from sim.bench.sparse_memory import SparseMemory
from sim.bench.streams import cycles
from sim.tools.run import arguments


@cocotb.test()
async def an_abort_in_any_cycle(dut: Any) -> None:
    _, _, share = arguments()
    bench, chain = await open_bench(dut)
    for at in sample(range(await bench.duration(chain) + 8), share):
        await bench.begin_run(chain, Behaviour(pause=random.choice((0.0, 0.3)), order=random.choice(("any", "random")),
                                               latency=random.choice((1, 6, 20))), watchdog=0)
        await cycles(dut, at)
        await bench.abort()
        if random.random() < 0.5:
            await bench.abort()
        errors = await bench.ended()
        assert errors in (set(), {"aborted"}), errors
        bench.check_no_harm()
        await bench.check_exact(chain)


@cocotb.test()
async def an_abort_without_a_run_does_nothing(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    for value in (ABORT, START | ABORT):
        await bench.registers.write_at(OFFSETS["CONTROL"], value)
        await cycles(dut, 50)
        status = await bench.status()
        assert not any(status[name] for name in ("busy", "done", "aborted"))
        assert not dut.irq.value
    await bench.check_exact(chain)
    before = (await bench.status()).as_bits()
    await bench.registers.write("CONTROL", ABORT)
    await cycles(dut, 50)
    assert (await bench.status()).as_bits() == before
    assert not dut.irq.value
    await bench.check_exact(chain)


@cocotb.test()
async def an_endless_chain_is_aborted(dut: Any) -> None:
    """A descriptor whose NEXT is its own address."""
    bench, chain = await open_bench(dut)
    memory, words = SparseMemory(chain.memory), dict(chain.descriptors[-1])
    words |= {"NEXT": chain.places[-1] & 0xFFFFFFFF, "NEXT_HI": chain.places[-1] >> 32}
    memory.write(chain.places[-1], descriptor(words))
    outcome = expect(bench.config, chain.descriptors[0], memory)
    assert outcome.endless
    for _ in range(3):
        bench.memory.behaviour = Behaviour()
        bench.load(memory, outcome)
        await bench.launch(chain.descriptors[0], watchdog=random.choice((0, 1 << 16)))
        await bench.check_outcome()
        await bench.check_exact(chain)


@cocotb.test()
async def a_start_while_busy_is_refused_and_an_abort_of_a_start_is_not(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    await bench.begin_run(chain, Behaviour(silent={"r"}))
    await cycles(dut, 60)
    assert await bench.registers.write_at(OFFSETS["CONTROL"], START) == Resp.SLVERR
    await bench.abort()
    assert await bench.ended(bench.ends) == {"aborted"}
    bench.memory.behaviour.silent = set()
    await bench.check_exact(chain)
