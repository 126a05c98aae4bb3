"""Memory model, function: an AXI master that we did not write, the files of the host, error responses, reset."""

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBurstType, AxiMaster, AxiResp

from sim.bench.axi_master import open_master
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


async def _start(dut: Any, pause: float = 0.0) -> AxiMaster:
    """Reset; returns the master, idle or stalling on every channel with probability ``pause``."""
    master = open_master(dut, pause)
    await start(dut, dut.host__load, dut.host__store, dut.host__addr, dut.host__count)
    return master


async def _host(dut: Any, command: Any, addr: int, count: int) -> None:
    """Give the host's ``command`` for ``count`` words from word ``addr``."""
    dut.host__addr.value, dut.host__count.value = addr, count
    command.value = 1
    await RisingEdge(dut.clk)
    command.value = 0
    await RisingEdge(dut.clk)


async def _load(dut: Any, addr: int, words: list[int], width: int) -> None:
    """Put ``words`` (ints of ``width`` bytes) into memory from word ``addr``."""
    Path("memory.in").write_bytes(b"".join(word.to_bytes(width, "big") for word in words))
    await _host(dut, dut.host__load, addr, len(words))


async def _stored(dut: Any, addr: int, count: int) -> list[int]:
    """``count`` words of memory from word ``addr``."""
    await _host(dut, dut.host__store, addr, count)
    return [int(line, 16) for line in Path("memory.out").read_text().split()]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_files(dut: Any) -> None:
    """First of all tests: finds the memory as it starts."""
    _, _, data_bits, size, base = arguments()
    master, width = await _start(dut), data_bits // 8
    words = [random.getrandbits(data_bits) for _ in range(200)]
    addr = size // width - 300
    assert not any(await _stored(dut, 0, size // width))
    await _load(dut, addr, words, width)
    assert await _stored(dut, addr, 200) == words
    found = await master.read(base + addr * width, 200 * width, arid=0)
    assert found.data == b"".join(word.to_bytes(width, "little") for word in words)
    data = random.randbytes(5 * width)
    await master.write(base + (addr + 7) * width, data, awid=0)
    words[7:12] = [int.from_bytes(data[i:i + width], "little") for i in range(0, len(data), width)]
    assert await _stored(dut, addr + 3, 50) == words[3:53]


async def _random_traffic(dut: Any, pause: float) -> None:
    """Reads and writes of any length at any byte, at the same time where they do not overlap."""
    _, _, data_bits, size, base = arguments()
    master, width = await _start(dut, pause), data_bits // 8
    expected = bytearray(random.randbytes(size))
    await _load(dut, 0, [int.from_bytes(expected[i:i + width], "little") for i in range(0, size, width)], width)
    for _ in range(12):
        a, b = random.randrange(size), random.randrange(size)
        data = random.randbytes(min(random.randrange(1, 100 * width), size - a))
        count = min(random.randrange(1, 100 * width), size - b)
        reading = master.init_read(base + b, count, arid=0)
        if a < b + count and b < a + len(data):
            await reading.wait()
        before = bytes(expected[b:b + count])
        response = await master.write(base + a, data, awid=0)
        expected[a:a + len(data)] = data
        await reading.wait()
        assert response.resp == AxiResp.OKAY
        assert reading.data.resp == AxiResp.OKAY
        assert reading.data.data == before
    found = await _stored(dut, 0, size // width)
    assert b"".join(word.to_bytes(width, "little") for word in found) == bytes(expected)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def traffic(dut: Any) -> None:
    await _random_traffic(dut, 0.0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def traffic_with_pauses(dut: Any) -> None:
    await _random_traffic(dut, 0.4)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def errors(dut: Any) -> None:
    _, addr_bits, data_bits, size, base = arguments()
    master, width = await _start(dut, 0.2), data_bits // 8
    # Just outside, at both ends of the address space, and where the memory would be with a bit of the address flipped.
    near = base - 4096, base + size, 0, (1 << addr_bits) - 4096, *(base ^ 1 << bit for bit in range(12, addr_bits))
    outside = [addr for addr in near if 0 <= addr < 1 << addr_bits and not base <= addr < base + size]
    before = random.randbytes(4096)
    await master.write(base, before, awid=0)

    async def refused(addr: int, count: int, resp: AxiResp, **options: Any) -> None:
        read = await master.read(addr, count, arid=0, **options)
        assert read.resp == resp, f"read of {count} bytes at {addr:#x}, {options}: {read.resp!r}"
        assert not any(read.data)
        write = await master.write(addr, b"\xff" * count, awid=0, **options)
        assert write.resp == resp, f"write of {count} bytes at {addr:#x}, {options}: {write.resp!r}"

    for addr in outside:
        await refused(addr, width, AxiResp.DECERR)
    for _ in range(3):
        await refused(random.choice(outside), random.randrange(1, 20) * width, AxiResp.DECERR)
        await refused(base + random.randrange(512) // width * width, width, AxiResp.SLVERR, size=1)
        await refused(base + random.randrange(512) // width * width, width, AxiResp.SLVERR, burst=AxiBurstType.FIXED)
        await refused(base + random.randrange(512) // width * width, width, AxiResp.SLVERR, burst=AxiBurstType.WRAP)
    read = await master.read(base, 4096, arid=0)
    assert read.resp == AxiResp.OKAY
    assert read.data == before


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_the_middle(dut: Any) -> None:
    """After a reset nothing of the old requests comes back, and the model works from its first cycle on."""
    _, _, data_bits, _, base = arguments()
    master, width = await _start(dut), data_bits // 8
    data = random.randbytes(64 * width)
    await master.write(base, data, awid=0)
    for delay in (2, 6, 20, 50):
        master.init_read(base, 64 * width, arid=0)
        master.init_write(base + 128 * width, data, awid=0)
        await cycles(dut, delay)
        dut.rst.value = 1
        await cycles(dut, 2)
        dut.rst.value = 0
        for _ in range(40):
            await RisingEdge(dut.clk)
            assert not dut.s_axi_rvalid.value
            assert not dut.s_axi_bvalid.value
        found = await master.read(base, 64 * width, arid=0)
        assert found.data == data
