"""The whole engine on the pins of its buses: memories and software that do what they should not, and others' models."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.product import product
from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, SEEDLM4R, WeightFormat
from host.device.driver import Driver
from hw.config import EngineConfig
from hw.dma.descriptor import DESCRIPTOR_BYTES
from hw.engine.pins import EnginePins
from hw.pipelining import FAST
from hw.registers.register_map import ID, OFFSETS, capability, identity
from sim.device.random_operands import finite_halves, random_weights
from sim.tools.build import build
from sim.tools.run import run
from tests.hw.stages import ECP5

EFFORT = int(os.environ.get("EFFORT", "1"))
"""By how much more than usual is tried: ``EFFORT=20 pytest tests/hw/engine/test_engine_axi.py`` is a campaign."""
TOP = (1 << 64) - (1 << 16)
"""Where a test's memory begins that ends with the last of 64-bit addresses."""


def _tiny(fmt: WeightFormat, bus_bits: int, addr_bits: int = 16) -> EngineConfig:
    """An engine of which memory is soon silent for long enough."""
    return EngineConfig(fmt, bus_bits, addr_bits=addr_bits, max_rows=64, max_cols=256 if fmt == INT4 else 64,
                        latency=16, write_beats=4)


def _ids(value: Any) -> Any:
    if not isinstance(value, EngineConfig):
        return value
    return f"{value.name}-{value.bus_bits}-{value.addr_bits}{'-fast' * (value.pipelining == FAST)}" + (
        f"-r{value.results_per_cycle}" if value.results_per_cycle > 1 else "")


LEAN4, LEAN3, GROUPS, HALVES = (_tiny(SEEDLM4, 64), _tiny(SEEDLM3, 64), _tiny(INT4, 64), _tiny(FP16, 64, 64))
DEEP = replace(_tiny(SEEDLM3, 128), **ECP5)
TWO = replace(LEAN4, results_per_cycle=2)
HEADS = _tiny(SEEDLM4R, 64)
SMALLEST = _tiny(SEEDLM4, 32)


@pytest.mark.parametrize(("config", "bench", "share", "simulator"), [
    *((config, "resets", share, "verilator") for config, share in (
        (LEAN3, 1), (LEAN4, 0.1), (GROUPS, 0.05), (HALVES, 0.1), (DEEP, 0.1))),
    *((config, "words", share, "verilator") for config, share in (
        (LEAN3, 0.5), (LEAN4, 0.1), (GROUPS, 0.1), (HALVES, 0.3), (HEADS, 0.1), (DEEP, 0.1))),
    *((config, "aborts", share, "verilator") for config, share in (
        (LEAN3, 0.5), (LEAN4, 0.1), (GROUPS, 0.1), (HALVES, 0.1), (DEEP, 0.2))),
    *((config, bench, share, "verilator") for config, share in ((LEAN3, 1), (DEEP, 0.3))
      for bench in ("silence", "memory", "registers")),
    *((config, "events", 0.5, "verilator") for config in (LEAN4, LEAN3, GROUPS, HALVES, DEEP)),
    *((TWO, bench, 0.05, "verilator") for bench in ("resets", "words", "aborts")),
    *((SMALLEST, bench, 0.04, "icarus") for bench in ("resets", "words", "aborts", "silence", "memory", "registers",
                                              "events")),
], ids=_ids)
def test_nothing_ends_in_a_silent_wrong_result(config: EngineConfig, bench: str, share: float, simulator: str) -> None:
    base = TOP if config.addr_bits == 64 else 0
    run(build(EnginePins, config, simulator=simulator), f"sim.testbenches.tb_engine_{bench}",
        (config, base, share * EFFORT))


class Recorder:
    """A device that keeps what is written to it."""

    memory_base, memory_bytes = 0, 1 << 16

    def __init__(self, config: EngineConfig) -> None:
        registers = {"ID": ID, "FORMAT": identity(config), "CAPABILITY": capability(config), "STATUS": 0}
        self._registers = {OFFSETS[name]: value for name, value in registers.items()}
        self.memory = bytearray()

    def read_register(self, offset: int) -> int:
        return self._registers[offset]

    def write_memory(self, address: int, content: bytes) -> None:
        assert address >= len(self.memory)
        self.memory += bytes(address - len(self.memory)) + content


@pytest.mark.parametrize(("config", "simulator"), [
    *((config, "verilator") for config in (LEAN4, LEAN3, GROUPS, replace(HALVES, addr_bits=16), DEEP, TWO)),
    *((_tiny(*args), "icarus") for args in ((SEEDLM4, 32), (FP16, 32))),
], ids=_ids)
def test_axi_as_others_see_it(config: EngineConfig, simulator: str) -> None:
    """Chains of matrices, the second with the vector of the first."""
    rng, products, x = np.random.default_rng(7), [], None
    for rows, cols, shared in ((1, 30, False), (7, 30, True), (40, 20, False), (5, 1, False)):
        x = x if shared else finite_halves(rng, cols)
        products.append((random_weights(config.fmt, rows, cols, rng), x))
    device = Recorder(config)
    matrices = Driver(device, config).load(*products).matrices
    results = [(placed.address("RESULT_ADDR"), product(weights, x, config.act_bits).tobytes())
               for placed, (weights, x) in zip(matrices, products, strict=True)]
    regions = [(name, address, DESCRIPTOR_BYTES if name == "the descriptor" else size) for placed in matrices
               for name, address, size in placed.regions(config.bus_bytes) if size]
    run(build(EnginePins, config, simulator=simulator), "sim.testbenches.tb_engine_axi",
        (config, bytes(device.memory), matrices[0].words, results, regions))
