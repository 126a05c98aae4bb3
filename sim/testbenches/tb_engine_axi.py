"""The engine on an AXI4 memory and behind an AXI4-Lite master that are not ours: cocotbext-axi's.

Every channel pauses at random, beats fail, the memory falls silent, the reset comes in the middle: the engine keeps to
AXI4 whatever the other side does, ends every run and reports what went wrong where, and the run after that is exact.
"""

import itertools
import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from hw.config import EngineConfig
from hw.registers.cycle_classes import CYCLE_CLASSES
from hw.registers.register_map import COUNTERS, DESCRIPTOR_REGISTERS, ERRORS, OFFSETS, START, Status
from sim.bench.streams import cycles, start
from sim.tools.run import arguments

MEMORY = 1 << 16
WATCHDOG = 400
CHANNELS = ("ar", "r", "aw", "w", "b")


class Bench:
    """The device under test with its memory and the master of its registers.

    The arguments of the testbench are the engine's configuration, the memory's content, the first descriptor's words,
    the expected results (address, bytes), and all regions (name, address, number of bytes).
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.config: EngineConfig
        self.content: bytes
        self.words: dict[str, int]
        self.results: list[tuple[int, bytes]]
        self.regions: list[tuple[str, int, int]]
        self.config, self.content, self.words, self.results, self.regions = arguments()
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        reads, writes = self.ram.read_if, self.ram.write_if
        self.channels = {"ar": reads.ar_channel, "r": reads.r_channel, "aw": writes.aw_channel,
                         "w": writes.w_channel, "b": writes.b_channel}
        self.resp = AxiResp.SLVERR
        self.failing: set[int] = set()
        self.bursts: list[tuple[str, int, int]] = []
        self._make_fail(reads, "_read", self.channels["r"], "rresp")
        self._make_fail(writes, "_write", self.channels["b"], "bresp")

    def _make_fail(self, side: Any, access: str, channel: Any, resp: str) -> None:
        """Let accesses to the addresses in ``failing`` end with the response ``self.resp``, in the field ``resp``."""
        inner, send = getattr(side, access), channel.send

        async def checked(address: int, *rest: Any) -> Any:
            if address in self.failing:
                raise ValueError("this address fails")
            return await inner(address, *rest)

        async def answer(item: Any) -> None:
            if getattr(item, resp, AxiResp.OKAY) == AxiResp.SLVERR:
                setattr(item, resp, self.resp)
            await send(item)

        setattr(side, access, checked)
        channel.send = answer

    async def begin(self, pause: float = 0.0) -> None:
        """Reset, with channels that pause for a share ``pause`` of cycles."""
        await start(self.dut)
        for channel in self.channels.values():
            pattern = [random.random() < pause for _ in range(997)]
            channel.set_pause_generator(itertools.cycle(pattern))
        cocotb.start_soon(self._watch())
        await RisingEdge(self.dut.clk)
        for name in ("m_axi_ar", "m_axi_aw", "m_axi_w", "s_axil_b", "s_axil_r"):
            assert not getattr(self.dut, f"{name}valid").value, f"{name} is valid in the first cycle after reset"
        assert not self.dut.irq.value

    async def _watch(self) -> None:
        """Check that what is offered stays until it is accepted; note requests as (channel, address, bytes)."""
        dut = self.dut
        held: dict[str, tuple[int, ...] | None] = {}
        fields = {"ar": ("addr", "len"), "aw": ("addr", "len"), "w": ("data", "strb", "last")}
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value:
                held.clear()
                continue
            for name, parts in fields.items():
                valid, ready = (bool(getattr(dut, f"m_axi_{name}{part}").value) for part in ("valid", "ready"))
                offered = tuple(int(getattr(dut, f"m_axi_{name}{part}").value) for part in parts) if valid else None
                assert held.get(name) in (None, offered), f"{name} withdrew or changed what it offered"
                held[name] = None if ready else offered
                if offered and ready and name != "w":
                    self.bursts.append((name, offered[0], (offered[1] + 1) * self.config.bus_bytes))

    def load(self) -> None:
        """Fill the memory; where results go, it holds something else than what is expected."""
        self.ram.write(0, self.content.ljust(MEMORY, b"\xA5"))

    async def launch(self) -> None:
        """Write the registers and start."""
        self.bursts.clear()
        descriptor = {name: self.words[name] for name in DESCRIPTOR_REGISTERS}
        for name, value in {**descriptor, "WATCHDOG": WATCHDOG, "IRQ_ENABLE": 1, "CONTROL": START}.items():
            await self.registers.write_dword(OFFSETS[name], value)

    async def ended(self) -> set[str]:
        """Wait for the end of the run, acknowledge it, and return the errors that STATUS reports."""
        if not self.dut.irq.value:
            await with_timeout(RisingEdge(self.dut.irq), 1, "ms")
        await self.registers.write_dword(OFFSETS["IRQ_PENDING"], 1)
        status = Status.from_bits(await self.registers.read_dword(OFFSETS["STATUS"]))
        assert (status.busy, status.done) == (0, 1)
        return {name for name in ERRORS if status[name]}

    async def check_exact(self) -> None:
        """Check that a run from fresh memory is exact, and that nothing but results is written."""
        self.load()
        await self.launch()
        assert await self.ended() == set()
        expected = bytearray(self.content.ljust(MEMORY, b"\xA5"))
        for address, content in self.results:
            expected[address:address + len(content)] = content
        assert self.ram.read(0, MEMORY) == bytes(expected)
        found = {name: await self.registers.read_dword(OFFSETS[name.upper()]) for name in COUNTERS}
        assert sum(found[name] for name in CYCLE_CLASSES) == found["cycles"]
        size = self.config.bus_bytes
        assert found["beats"] * size == sum(count for name, _, count in self.regions if name != "results")
        assert found["write_beats"] == sum(-(-len(content) // size) for _, content in self.results)

    def burst_of(self, channel: str, address: int) -> int:
        """Address of the burst of which ``address`` was a part."""
        return next(first for name, first, count in self.bursts if name == channel and first <= address < first + count)


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.3, 0.7])
async def chains_are_exact(dut: Any, pause: float) -> None:
    bench = Bench(dut)
    await bench.begin(pause)
    for _ in range(2):
        await bench.check_exact()


@cocotb.test()
async def a_reset_in_the_middle_leaves_nothing_behind(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin(0.2)
    for _ in range(8):
        bench.load()
        await bench.launch()
        await cycles(dut, random.randrange(1, 900))
        dut.rst.value = 1
        await cycles(dut, 2)
        dut.rst.value = 0
        await cycles(dut, 2)
        assert not dut.irq.value
        await bench.check_exact()


@cocotb.test()
@cocotb.parametrize(resp=[AxiResp.SLVERR, AxiResp.DECERR])
async def an_error_on_any_beat_ends_the_run(dut: Any, resp: AxiResp) -> None:
    bench = Bench(dut)
    bench.resp = resp
    await bench.begin(0.2)
    size = bench.config.bus_bytes
    for name, first, count in bench.regions:
        beats = -(-count // size)
        for beat in {0, random.randrange(beats), beats - 1}:
            address = first + beat * size
            bench.load()
            bench.failing = {address}
            await bench.launch()
            errors = await bench.ended()
            assert errors == {"write_error" if name == "results" else "read_error"}, (name, beat)
            found = await bench.registers.read_dword(OFFSETS["ERROR_ADDR"])
            assert found == bench.burst_of("aw" if name == "results" else "ar", address), (name, beat)
            bench.failing = set()
    await bench.check_exact()


@cocotb.test()
@cocotb.parametrize(channel=list(CHANNELS))
async def silence_ends_the_run(dut: Any, channel: str) -> None:
    bench = Bench(dut)
    await bench.begin()
    silent = bench.channels[channel]
    for before in (0, 30, 120, 400):
        bench.load()
        silence = cocotb.start_soon(_fall_silent(dut, silent, before))
        await bench.launch()
        errors = await bench.ended()
        assert errors == {"timeout"} or (before and not errors), "unless the silence came too late"
        await silence  # an engine may be faster
        # While the memory is silent, every run ends like this.
        await bench.launch()
        assert await bench.ended() == {"timeout"}
        silent.clear_pause_generator()
        silent.pause = False
        await bench.check_exact()


async def _fall_silent(dut: Any, channel: Any, before: int) -> None:
    await cycles(dut, before)
    channel.clear_pause_generator()
    channel.pause = True


@cocotb.test()
async def activations_that_are_not_finite_are_found(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin(0.1)
    size = bench.config.bus_bytes
    for name, first, count in bench.regions:
        if name == "activations":
            bench.load()
            place = first + random.randrange(count // size) * size
            bench.ram.write(place, b"\x00\x7C")
            await bench.launch()
            assert await bench.ended() == {"not_finite"}
            found = await bench.registers.read_dword(OFFSETS["ERROR_ADDR"])
            assert found == bench.burst_of("ar", place)
    await bench.check_exact()


@cocotb.test()
async def descriptors_of_another_engine_are_refused(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    for name, first, _ in bench.regions:
        if name == "the descriptor":
            bench.load()
            place = first + 4 * len(DESCRIPTOR_REGISTERS)
            bench.ram.write(place, bytes([bench.content[place] ^ 1]))
            await bench.launch()
            assert await bench.ended() == {"bad_descriptor"}
            assert await bench.registers.read_dword(OFFSETS["ERROR_ADDR"]) == first
    await bench.check_exact()
