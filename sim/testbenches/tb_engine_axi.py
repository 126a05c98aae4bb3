"""The engine on an AXI4 memory and behind an AXI4-Lite master that are not ours: cocotbext-axi's.

Every channel pauses at random; so the engine is seen to keep to AXI4 whatever the other side does.
"""

import itertools
import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from golden.product import factor, product
from hw.registers import OFFSETS, REGISTERS, Status
from sim.runner import arguments
from sim.streams import start

MEMORY = 1 << 16


def _pauses(share):
    return itertools.cycle([random.random() < share for _ in range(997)])


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.3])
async def products_are_exact(dut, pause):
    config, cases = arguments()
    ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY)
    registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    await start(dut)
    if pause:
        for channel in (ram.read_if.ar_channel, ram.read_if.r_channel, ram.write_if.aw_channel,
                        ram.write_if.w_channel, ram.write_if.b_channel):
            channel.set_pause_generator(_pauses(pause))
    for weights, image, activations, x in cases:
        rows, cols = weights.shape
        weight_addr, result_addr = 0x1000, 0xC000
        ram.write(0, activations)
        ram.write(weight_addr, image)
        ram.write(result_addr, bytes([0xA5]) * 1024)
        exponent = int(factor(weights, config.act_bits).view(np.uint32)) >> 23
        for name, value in {
            "ACTIVATION_ADDR": 0, "WEIGHT_ADDR": weight_addr, "RESULT_ADDR": result_addr, "ROWS": rows,
            "BLOCKS": config.blocks(cols), "ACTIVATION_BEATS": len(activations) // config.bus_bytes,
            "WEIGHT_BEATS": len(image) // config.bus_bytes, "FACTOR_EXPONENT": exponent, "CONTROL": 1,
        }.items():
            await registers.write_dword(OFFSETS[name], value)
        await with_timeout(RisingEdge(dut.irq), 1, "ms")
        status = Status.from_bits(await registers.read_dword(OFFSETS["STATUS"]))
        assert (status.busy, status.done, status.read_error, status.write_error, status.not_finite) == (0, 1, 0, 0, 0)
        expected = product(weights, x, config.act_bits)
        assert ram.read(result_addr, 4 * rows) == expected.tobytes()
        assert ram.read(result_addr + 4 * rows, 8) == bytes([0xA5]) * 8, "more was written than the results"
        counted = {name: await registers.read_dword(OFFSETS[name]) for name in
                   (register.name for register in REGISTERS[-6:])}
        assert counted["BEATS"] * config.bus_bytes == counted["BYTES_READ"] == len(activations) + len(image)
        assert counted["BYTES_WRITTEN"] == -(-4 * rows // config.bus_bytes) * config.bus_bytes
        assert counted["BEATS"] + counted["STARVED"] + counted["STALLED"] <= counted["CYCLES"]
