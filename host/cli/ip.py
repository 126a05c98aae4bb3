"""The command that writes the engine as an IP core for other people's designs."""

from pathlib import Path
from typing import Annotated

import typer

from golden.spec import ACT_BITS
from host.cli.options import ActBits, Bus, EngineFormat, ResultsPerCycle

__all__ = ["ip"]


def ip(format_name: EngineFormat = "seedlm4", bus: Bus = 128,
       addr_bits: Annotated[int, typer.Option(help="Width of an address in bits, up to 64.")] = 64,
       max_rows: Annotated[int, typer.Option(help="Most rows of a matrix, a power of two.")] = 1 << 17,
       max_cols: Annotated[int, typer.Option(help="Most columns of a matrix, a power of two.")] = 1 << 16,
       latency: Annotated[int, typer.Option(help="Cycles from a read request to its first beat that the engine covers, "
                                            "a power of two.")] = 256,
       act_bits: ActBits = ACT_BITS,
       fast: Annotated[bool, typer.Option("--fast", help="Every stage in its form for high clocks.")] = False,
       dsp: Annotated[bool, typer.Option("--dsp", help="Products of window bits and coefficients by the device's "
                                         "multipliers.")] = False,
       results_per_cycle: ResultsPerCycle = 1,
       cache: Annotated[int, typer.Option(help="AxCACHE of all requests, 0 to 15.")] = 3,
       prot: Annotated[int, typer.Option(help="AxPROT of all requests, 0 to 7.")] = 0,
       qos: Annotated[int, typer.Option(help="AxQOS of all requests, 0 to 15.")] = 0,
       name: Annotated[str, typer.Option(help="Name of the core; by default format and bus, such as "
                                         "seedlm4_128.")] = "",
       out: Annotated[Path | None, typer.Option(help="Folder to write; by default build/ip/NAME.")] = None) -> None:
    """Write the engine as an IP core: SystemVerilog, register map, bench, FuseSoC, Vivado, LiteX, Linux."""
    from golden.spec import parse_format
    from host.folders import report_folder
    from host.ip.core import Core, default_name
    from host.ip.ip import write_package
    from hw.config import EngineConfig
    from hw.pipelining import FAST, LEAN

    config = EngineConfig(parse_format(format_name), bus, addr_bits=addr_bits, max_rows=max_rows, max_cols=max_cols,
                          latency=latency, act_bits=act_bits, narrow_products="dsp" if dsp else "lut",
                          results_per_cycle=results_per_cycle, pipelining=FAST if fast else LEAN, cache=cache,
                          prot=prot, qos=qos)
    core = Core(config, name or default_name(config))
    folder = (out or report_folder("ip") / core.name).absolute()
    write_package(core, folder)
    print(f"{folder}: {core.vlnv}; README.md says how to use it")
