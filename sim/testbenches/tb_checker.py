"""Checker: it finds what exact arithmetic finds, for words at and around every limit, and in the cycles it says."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.dma.descriptor import DESCRIPTOR_BYTES
from hw.engine.checker import CHECK_LATENCY
from hw.registers.register_map import ADDRESSES, DESCRIPTOR_REGISTERS
from sim.bench.streams import cycles, start
from sim.tools.run import arguments

FINDINGS = ("bad_address", "bad_size", "bad_activations", "bad_weights")
ALL_FINDINGS = 6
"""Cycles from the registers to the last finding, and one to spare."""


def _bytes(words: dict[str, int], config: EngineConfig) -> dict[str, int]:
    """Bytes of each region, by the name of its address, in the order of the checks; the next descriptor counts whatever
    its address is."""
    return {"ACTIVATION_ADDR": words["ACTIVATION_BEATS"] * config.bus_bytes, "NEXT": DESCRIPTOR_BYTES,
            "WEIGHT_ADDR": words["WEIGHT_BEATS"] * config.bus_bytes, "RESULT_ADDR": 4 * words["ROWS"]}


def _sizes(config: EngineConfig, rows: int, blocks: int) -> dict[str, int]:
    """Words of a matrix of so many rows and blocks."""
    groups, heads = -(-rows // config.lanes), config.fmt.head_blocks
    return {"ROWS": rows, "BLOCKS": blocks, "ACTIVATION_BEATS": -(-(blocks - heads) * config.c * 16 // config.bus_bits),
            "WEIGHT_BEATS": -(-groups * blocks * config.word_bits // config.bus_bits), "FACTOR_EXPONENT": 100}


def _expected(config: EngineConfig, words: dict[str, int], shared: int) -> tuple[dict[str, bool], int | None]:
    """What is wrong with ``words``, where the vector to share has so many blocks, and the first bad address."""
    right = _sizes(config, words["ROWS"], words["BLOCKS"])
    address = None
    for name, size in _bytes(words, config).items():
        first = words[name] + (words[f"{name}_HI"] << 32)
        unit = max(config.bus_bytes, DESCRIPTOR_BYTES if name == "NEXT" else 1)
        if address is None and size and (first % unit or first + size > 1 << config.addr_bits):
            address = first
    return {
        "bad_address": address is not None,
        "bad_size": not (1 <= words["ROWS"] <= config.max_rows and 1 <= words["BLOCKS"] <= config.max_blocks
                         and words["BLOCKS"] >= config.least_blocks and 1 <= words["FACTOR_EXPONENT"] <= 254),
        "bad_activations": words["ACTIVATION_BEATS"] != (0 if shared == words["BLOCKS"] and
                                                         not words["ACTIVATION_BEATS"] else right["ACTIVATION_BEATS"]),
        "bad_weights": words["WEIGHT_BEATS"] != right["WEIGHT_BEATS"],
    }, address


def _legal(config: EngineConfig) -> dict[str, int]:
    """The words of a matrix that can be carried out."""
    least, most = config.least_blocks, config.max_blocks
    blocks = random.choice([least, min(least + 1, most), most, random.randint(least, most)])
    rows = random.choice([1, config.lanes, config.max_rows, random.randint(1, config.max_rows)])
    words = _sizes(config, rows, blocks)
    for name, size in _bytes(words, config).items():
        unit = max(config.bus_bytes, DESCRIPTOR_BYTES)
        last = ((1 << config.addr_bits) - size) // unit
        first = unit * random.choice([0, last, random.randint(0, last)])
        words |= {name: first % (1 << 32), f"{name}_HI": first >> 32}
    return words


async def _load(dut: Any, config: EngineConfig, words: dict[str, int]) -> None:
    """Load a descriptor: it is in the registers from the edge on that this returns at."""
    dut.load.value = 1
    await cycles(dut, 1)
    dut.load.value, excess = 0, 0
    for n, name in enumerate(ADDRESSES):
        address = words[name] + (words[f"{name}_HI"] << 32)
        excess |= (address >> config.addr_bits != 0) << n
        kept = address % (1 << config.addr_bits)
        getattr(dut, name.lower()).value, getattr(dut, f"{name.lower()}_hi").value = kept % (1 << 32), kept >> 32
    dut.excess.value = excess
    for name in DESCRIPTOR_REGISTERS:
        if name.removesuffix("_HI") not in ADDRESSES:
            getattr(dut, name.lower()).value = words[name]


async def _begin(dut: Any, config: EngineConfig, words: dict[str, int]) -> None:
    """Begin the matrix of ``words``."""
    await _load(dut, config, words)
    dut.begin.value = 1
    await cycles(dut, 1)
    dut.begin.value = 0


@cocotb.test()
async def findings_are_those_of_exact_arithmetic(dut: Any) -> None:
    (config,) = arguments()
    await start(dut, dut.start, dut.load, dut.begin, dut.excess,
                *(getattr(dut, name.lower()) for name in DESCRIPTOR_REGISTERS))
    shared, seen = 0, dict.fromkeys(FINDINGS, 0)
    for number in range(3000):
        words = _legal(config)
        if number % 4:
            name = random.choice(DESCRIPTOR_REGISTERS)
            words[name] = random.choice([
                0, 1, 2**31, 2**32 - 1, random.getrandbits(32), words[name] ^ 1 << random.randrange(32),
                *((words[name] + change) % (1 << 32) for change in (-config.lanes, -1, 1, 2, config.lanes))])
        if random.random() < 0.2:
            words["ACTIVATION_BEATS"] = 0
        wanted, address = _expected(config, words, shared)
        await _load(dut, config, words)
        await cycles(dut, ALL_FINDINGS)
        found = {name: bool(getattr(dut, name).value) for name in FINDINGS}
        # Beats of a matrix that is too large are not computed exactly.
        assert found | ({"bad_weights": True, "bad_activations": True} if wanted["bad_size"] else {}) == wanted | (
            {"bad_weights": True, "bad_activations": True} if wanted["bad_size"] else {}), words
        assert bool(dut.refused.value) == any(found.values())
        assert address is None or int(dut.address.value) == address % (1 << config.addr_bits)
        for name in FINDINGS:
            seen[name] += found[name]
        if number % 5 == 0:
            dut.start.value = 1
            await cycles(dut, 1)
            dut.start.value, shared = 0, 0
        elif number % 3 == 0 and not any(wanted.values()):
            await _begin(dut, config, words)
            shared = words["BLOCKS"]
    assert all(count > 20 for count in seen.values()), seen


@cocotb.test()
async def a_vector_is_shared_by_matrices_of_as_many_blocks(dut: Any) -> None:
    (config,) = arguments()
    together = config.least_blocks
    await start(dut, dut.start, dut.load, dut.begin, dut.excess)
    for blocks, other in ((together, 2 * together), (2 * together, together)):
        first, second = _legal(config), _legal(config)
        first |= _sizes(config, 1, blocks)
        await _begin(dut, config, first)
        for number, wrong in ((blocks, False), (other, True)):
            await _load(dut, config, second | _sizes(config, 1, number) | {"ACTIVATION_BEATS": 0})
            await cycles(dut, CHECK_LATENCY + 1)
            assert bool(dut.bad_activations.value) == wrong


@cocotb.test()
async def latency_is_as_published(dut: Any) -> None:
    """From the registers to the first findings; each is there before the sequencer can request what it is about."""
    (config,) = arguments()
    await start(dut, dut.start, dut.load, dut.begin, dut.excess)
    right = _legal(config)
    beat = config.bus_bytes // 2
    for wrong, latency in (({"ROWS": 0}, 0), ({"BLOCKS": 0}, 0), ({"ACTIVATION_BEATS": 0}, 0),
                           ({"ACTIVATION_ADDR": beat}, 0), ({"NEXT": beat}, 1), ({"WEIGHT_ADDR": beat}, 2),
                           ({"WEIGHT_BEATS": 0}, 2), ({"RESULT_ADDR": beat}, 3)):
        await _load(dut, config, right | wrong)
        for cycle in range(ALL_FINDINGS):
            await RisingEdge(dut.clk)
            assert bool(dut.checked.value) == (cycle >= CHECK_LATENCY)
            assert bool(dut.refused.value) == (cycle >= CHECK_LATENCY + latency), (wrong, cycle)
