"""The registers of the whole engine as software sees them: rights, strobes, responses, and the interrupt."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.parts.axi import Resp
from hw.registers.register_map import (
    ADDR_BITS,
    ADDRESSES,
    DESCRIPTOR_REGISTERS,
    ID,
    OFFSETS,
    REGISTERS,
    START,
    Register,
    capability,
    identity,
)
from sim.bench.engine_bench import Chain, EngineBench, open_bench
from sim.bench.hostile_memory import Behaviour
from sim.bench.streams import cycles


async def _try_all(bench: EngineBench) -> None:
    """Write to every register during a run, with START to CONTROL: all is refused and changes nothing."""
    registers = bench.registers
    for register in REGISTERS:
        before, resp = await registers.read_at(register.offset)
        assert resp == Resp.OKAY
        if register.access in ("rw", "ro", "wo"):
            value = START if register.access == "wo" else random.getrandbits(32)
            resp = await registers.write_at(register.offset, value)
            assert resp == Resp.SLVERR, f"a write to {register.name} in a run was answered by {resp.name}"
            if register.access != "ro":
                assert await registers.read(register.name) == before, register.name
    assert (await bench.status()).busy


@cocotb.test()
async def writes_in_a_run_are_refused(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    for at in (0, 5, 40, 90):
        await bench.begin_run(chain, watchdog=0)
        await cycles(dut, at)
        # Descriptors must not come meanwhile, because they change registers.
        bench.memory.behaviour.silent = {"r", "ar", "aw"}
        await cycles(dut, 10)
        if not dut.irq.value:
            await _try_all(bench)
        bench.memory.behaviour.silent = set()
        await bench.check_ended_exact()


@cocotb.test()
async def accesses_in_a_run_disturb_nothing(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    choices = [register for register in REGISTERS if register.access in ("rw", "ro")]
    for pause in (0.0, 0.5, 0.8):
        await bench.begin_run(chain, Behaviour(pause=pause))
        for name in ("ROWS", "RESULT_ADDR", "NEXT"):  # as soon as it can be
            assert await bench.registers.write_at(OFFSETS[name], random.getrandbits(32)) == Resp.SLVERR
        while not dut.irq.value:
            assert (await bench.registers.read_at(random.choice(choices).offset))[1] == Resp.OKAY
            if not dut.irq.value:
                await bench.registers.write_at(random.choice(choices).offset, random.getrandbits(32))
        await bench.check_ended_exact()


def _bits(bench: EngineBench, register: Register) -> int:
    """The bits that a register has."""
    address, high = register.name.removesuffix("_HI"), register.name.endswith("_HI")
    bits = max(bench.config.addr_bits - 32 * high, 0) if address in ADDRESSES else 32
    return sum((1 << field.bits) - 1 << field.lsb for field in register.fields) or (1 << min(bits, 32)) - 1


@cocotb.test()
async def strobes_choose_the_bytes_that_are_written(dut: Any) -> None:
    bench, _ = await open_bench(dut)
    for register in REGISTERS:
        if register.access not in ("rw", "rw always"):
            continue
        mask = _bits(bench, register)
        held = await bench.registers.read(register.name)
        assert held == register.init, register.name
        for strobes in (0, *range(15, -1, -1)):
            value, bytes_ = random.getrandbits(32), sum(0xFF << 8 * n for n in range(4) if strobes >> n & 1)
            assert await bench.registers.write_at(register.offset, value, strobes) == Resp.OKAY
            held = (held & ~bytes_ | value & bytes_) & mask
            assert await bench.registers.read(register.name) == held, f"{register.name} with strobes {strobes:#b}"
    for strobes in (0, 2, 4, 8, 14):
        assert await bench.registers.write_at(OFFSETS["CONTROL"], 0xFFFFFFFF, strobes) == Resp.OKAY
        assert not (await bench.status()).busy


@cocotb.test()
async def constants_and_unmapped_addresses(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    for name, value in (("ID", ID), ("FORMAT", identity(bench.config)), ("CAPABILITY", capability(bench.config)),
                        ("CONTROL", 0)):
        assert await bench.registers.read(name) == value, name
    for register in REGISTERS:
        if register.access == "ro":
            assert await bench.registers.write_at(register.offset, 0xFFFFFFFF) == Resp.SLVERR, register.name
    for offset in range(REGISTERS[-1].offset + 4, 1 << ADDR_BITS, 4):
        assert await bench.registers.write_at(offset, START) == Resp.SLVERR
        assert (await bench.registers.read_at(offset))[1] == Resp.SLVERR
    assert not (await bench.status()).as_bits()
    await bench.check_exact(chain)


async def _run_to_end(bench: EngineBench, chain: Chain, enable: int) -> None:
    """Run ``chain``, with IRQ_ENABLE as given and IRQ_PENDING as it is."""
    bench.load(chain.memory, chain.expect())
    for name in DESCRIPTOR_REGISTERS:
        await bench.registers.write(name, chain.descriptors[0][name])
    await bench.registers.write("IRQ_ENABLE", enable)
    await bench.registers.write("CONTROL", START)
    while not (await bench.status()).done:
        pass


@cocotb.test()
async def the_interrupt_is_a_level_that_is_masked_and_acknowledged(dut: Any) -> None:
    bench, chain = await open_bench(dut)
    registers = bench.registers
    assert await registers.read("IRQ_ENABLE") == await registers.read("IRQ_PENDING") == 0
    raised: list[int] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.irq)
            raised.append(bench.memory.cycle)

    cocotb.start_soon(watch())
    await _run_to_end(bench, chain, 0)
    assert await registers.read("IRQ_PENDING") == 1
    assert not raised, "the interrupt is masked"
    await registers.write("IRQ_ENABLE", 0xFFFFFFFF)
    assert await registers.read("IRQ_ENABLE") == 1
    await cycles(dut, 100)
    assert dut.irq.value, "the interrupt is a level"
    for value, strobes in ((0, 15), (0xFFFFFFFE, 15), (1, 14), (1, 0)):
        await registers.write_at(OFFSETS["IRQ_PENDING"], value, strobes)
        assert dut.irq.value, "only a 1 acknowledges"
        assert await registers.read("IRQ_PENDING") == 1
    await registers.write("IRQ_ENABLE", 0)
    await cycles(dut, 2)
    assert not dut.irq.value
    await registers.write("IRQ_ENABLE", 1)
    await cycles(dut, 2)
    assert dut.irq.value, "what is pending shows when it is unmasked"
    await _run_to_end(bench, chain, 1)
    assert dut.irq.value, "a start clears nothing"
    await registers.write("IRQ_PENDING", 1)
    await cycles(dut, 2)
    assert not dut.irq.value
    assert await registers.read("IRQ_PENDING") == 0
    await registers.write("CONTROL", 0)
    await cycles(dut, 50)
    assert not dut.irq.value
    await bench.check_exact(chain)


@cocotb.test()
async def an_acknowledgement_never_takes_a_later_end_with_it(dut: Any) -> None:
    """IRQ_PENDING is cleared in each of the cycles about the end of a run, which raises the interrupt nevertheless."""
    bench, _ = await open_bench(dut)
    chain = bench.chain(((1, bench.config.least_blocks, False),))
    duration = await bench.duration(chain)
    for at in range(duration - 10, duration + 2):
        await bench.begin_run(chain)
        raised = cocotb.start_soon(_rise(dut))
        await cycles(dut, at)
        await bench.registers.write("IRQ_PENDING", 1)
        await cycles(dut, 20)
        assert raised.done(), f"the end was not told when IRQ_PENDING was cleared in cycle {at} of {duration}"
        await bench.registers.write("IRQ_PENDING", 1)
        assert (await bench.status()).done


async def _rise(dut: Any) -> None:
    await RisingEdge(dut.irq)
