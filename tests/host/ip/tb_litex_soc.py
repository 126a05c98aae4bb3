"""A product over the bus of the package's LiteX SoC: the host outside loads memory, starts the engine and reads."""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

PACKAGE = Path(os.environ["PACKAGE"])
REGISTERS, RAM = 0x1000_0000, 0x4000_0000


@cocotb.test()
async def a_product_over_the_bus(dut: Any) -> None:
    """The first matrix of the bench's chain, with its addresses moved into the SoC's RAM."""
    table = json.loads(next((PACKAGE / "registers").glob("*.json")).read_text())["registers"]
    chain = json.loads((PACKAGE / "bench" / "operands" / "chain.json").read_text())
    registers = {each["name"]: each for each in table}
    moved = RAM - int(chain["memory"]["base"], 16)
    Clock(dut.clk, 10, "ns").start()
    host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "host"), dut.clk, dut.rst)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)

    async def read(name: str) -> int:
        return await host.read_dword(REGISTERS + registers[name]["offset"])

    for name in ("ID", "FORMAT", "CAPABILITY"):
        assert await read(name) == registers[name]["reset"], name
    matrix = chain["matrices"][0]
    for name, address in matrix["regions"].items():
        await host.write(int(address, 16) + moved, (PACKAGE / "bench" / "operands" / name).read_bytes())
    words = {**matrix["words"], "NEXT": 0, "NEXT_HI": 0}
    for name in ("ACTIVATION_ADDR", "WEIGHT_ADDR", "RESULT_ADDR"):
        address = words[name] + (words[f"{name}_HI"] << 32) + moved
        words |= {name: address % (1 << 32), f"{name}_HI": address >> 32}
    for name, value in {**words, "IRQ_ENABLE": 1, "CONTROL": 1}.items():
        if name != "FORMAT":
            await host.write_dword(REGISTERS + registers[name]["offset"], value)
    await with_timeout(RisingEdge(dut.irq), 1, "ms")
    status = next(each for each in registers["STATUS"]["fields"] if each["name"] == "done")
    assert await read("STATUS") == 1 << status["lsb"]
    expected = (PACKAGE / "bench" / "operands" / matrix["results"]["file"]).read_bytes()
    assert (await host.read(words["RESULT_ADDR"], len(expected))).data == expected
