"""The command line, ``python -m host``. Bad input ends in one sentence and exit status 2; a failed comparison in 1."""

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from golden.spec import ACT_BITS, FORMATS, FormatError, parse_format
from host.checkpoint.checkpoint import default_model
from host.cli import board as cli_board
from host.cli import measure as cli_measure
from host.cli import model as cli_model
from host.cli import sweep as cli_sweep
from host.cli import synth as cli_synth
from host.device.device import DeviceError
from host.errors import CheckError, TargetError, UserError
from host.folders import report_folder
from host.measure import published
from host.measure.layer import COLUMNS, PAPER_COLUMNS, Job, Matrix, gaussian_matrices, layer_matrices, simulate
from host.measure.roofline import COLUMNS as ROOFLINE
from host.measure.roofline import roofline as measure_roofline
from host.plots.roofline import measured_roofline
from host.plots.speedup import speedup_chart
from host.plots.style import save
from host.progress import work_progress
from host.report.report import report
from host.results import Column, Row, markdown, require_exact, show, write
from hw.config import ConfigError, EngineConfig
from hw.engine.pins import EnginePins
from hw.engine.registers import REGISTERS
from hw.flow.nextpnr import NextpnrError
from hw.flow.verilog import emit
from hw.flow.yosys import YosysError
from sim.dram.presets import PRESETS, preset
from sim.tools.errors import SimulationError, ToolError
from sim.tools.toolchain import require

__all__ = ["main"]

app = typer.Typer(help="SeedLM on an FPGA: compress, simulate, measure.", add_completion=False,
                  pretty_exceptions_enable=False)

Formats = Annotated[str, typer.Option(help="Formats: fp16, int4, seedlm4, seedlm3 or C,P,K; separated by blanks.")]
Memory = Annotated[str, typer.Option(help="Memory preset.")]
Bus = Annotated[int, typer.Option(help="Bus width in bits, a power of two from 32 to 1024.")]
ActBits = Annotated[int, typer.Option("--act-bits", help="Width of an activation, 16 or 8; FP16's stay as they are.")]
Simulator = Annotated[str, typer.Option("--sim", help="verilator, or icarus (slow: use with --rows and a narrow bus).")]

_FORMATS = " ".join(FORMATS)


def _job(formats: str, memory: str, bus: int, simulator: str, act_bits: int) -> Job:
    """A checked Job, before any work is done."""
    names = tuple(EngineConfig(parse_format(name), bus, act_bits=act_bits).name for name in formats.split())
    if not names:
        raise UserError("no formats given: name some, for example --formats 'fp16 seedlm4'")
    preset(memory)
    require(simulator)
    return Job(names, memory, bus, simulator, act_bits)


def _report(name: str, title: str, job: Job, matrices: list[Matrix], configuration: Row, columns: tuple[Column, ...],
            extra: dict[tuple[str, str], Row], chain: bool) -> None:
    """Simulate, print, plot and store; exit status 1 when a result differs from golden."""
    folder = report_folder(name)
    rows = [{**row, **extra.get((row["matrix"], row["format"]), {})} for row in simulate(job, matrices, chain)]
    settings = {**configuration, "formats": job.formats, "memory": job.memory, "bus_bits": job.bus_bits,
                "simulator": job.simulator, "act_bits": job.act_bits, "activations": "random, standard normal"}
    path = write(folder, settings, rows)
    (folder / "report.md").write_text(markdown(columns, rows))
    last = job.formats[-1]
    show(f"{title}; {job.memory} memory, {job.bus_bits}-bit bus; RTL simulated by {job.simulator}", columns,
         [{**row, "section": row["format"] == last} for row in rows])
    if "fp16" in job.formats and len(job.formats) > 1:
        save(speedup_chart(rows, f"{title}\n{job.memory} memory, {job.bus_bits}-bit bus; simulated in RTL"), folder,
             "speedup")
    print(f"report: {path}, and beside it report.md and speedup.png")
    require_exact(rows, "{matrix} {format}")


@app.command()
def sim(model: Annotated[str, typer.Option(help="GGUF file, .safetensors or Hugging Face folder.")] = "",
        layer: Annotated[int, typer.Option(help="Decoder layer.")] = 0,
        rows: Annotated[int, typer.Option(min=0, help="Only the first rows of each matrix; 0 for all.")] = 0,
        formats: Formats = _FORMATS, memory: Memory = "ddr4-2400", bus: Bus = 512,
        simulator: Simulator = "verilator", act_bits: ActBits = ACT_BITS) -> None:
    """One layer of a real checkpoint, compressed and streamed through the engine, against FP16 and int4."""
    job = _job(formats, memory, bus, simulator, act_bits)
    path = model or str(default_model())
    matrices = layer_matrices(path, layer, rows or None)
    name = path.rstrip("/").rpartition("/")[2]
    _report("sim", f"{name}, layer {layer}", job, matrices, {"model": name, "layer": layer, "first_rows": rows or None},
            COLUMNS, {}, True)


@app.command()
def sim_paper(formats: Formats = _FORMATS, memory: Memory = "paper", bus: Bus = 512,
              simulator: Simulator = "verilator", act_bits: ActBits = ACT_BITS) -> None:
    """The paper's three matrix sizes, Gaussian weights, on a memory like the paper's, beside the published figures."""
    job = _job(formats, memory, bus, simulator, act_bits)
    sizes = (512, 1024, 2048)
    extra: dict[tuple[str, str], Row] = {}
    for size in sizes:
        for name in job.formats:
            key = (f"{size}x{size}", name)
            extra[key] = {"published_cycles": published.CYCLES.get(key),
                          "published_speedup": published.SPEEDUP[key[0]] if name == "seedlm4" else None}
    _report("sim-paper", "the paper's matrices", job, gaussian_matrices(sizes), {"sizes": sizes, "sigma": 0.02},
            PAPER_COLUMNS, extra, False)


@app.command()
def roofline(formats: Formats = _FORMATS,
             memories: Annotated[str, typer.Option(help="Memory presets, separated by blanks.")] = " ".join(PRESETS),
             bus: Bus = 64, simulator: Simulator = "verilator") -> None:
    """What every memory gives at most, and what each engine takes of it in steady state."""
    names = tuple(memories.split())
    for name in names:
        preset(name)
    job = _job(formats, names[0] if names else "", bus, simulator, ACT_BITS)
    folder = report_folder("roofline")
    settings = {"formats": job.formats, "memories": names, "bus_bits": bus, "simulator": simulator}
    rows: list[Row] = []
    with work_progress() as progress:
        for row in measure_roofline(job.formats, names, bus, simulator, progress):
            rows.append(row)
            path = write(folder, settings, rows)
            (folder / "report.md").write_text(markdown(ROOFLINE, rows))
    show(f"roofline; {bus}-bit bus; RTL simulated by {simulator}", ROOFLINE,
         [{**row, "section": row["format"] == job.formats[-1]} for row in rows])
    if figure := measured_roofline(rows):
        save(figure, folder, "roofline")
    print(f"report: {path}, and beside it report.md and roofline.png")
    require_exact(rows, "{memory} {format}")


@app.command()
def registers() -> None:
    """The register map, as Markdown."""
    rows = [{"offset": f"{register.offset:#04x}", "name": register.name, "access": register.access,
             "doc": register.doc} for register in REGISTERS]
    print(markdown((("offset", "offset", ""), ("name", "register", ""), ("access", "access", ""),
                    ("doc", "meaning", "")), rows), end="")


@app.command()
def verilog(formats: Formats = _FORMATS, bus: Bus = 512, act_bits: ActBits = ACT_BITS) -> None:
    """The engine as SystemVerilog, with flat AXI pins, into build/rtl."""
    folder = report_folder("rtl")
    for name in formats.split():
        config = EngineConfig(parse_format(name), bus, act_bits=act_bits)
        path = folder / f"engine-{config.name.replace(',', '_')}-{bus}.sv"
        emit(EnginePins(config), path, "seedlm_engine")
        print(path)


for _command in (cli_model.compress, cli_model.decompress, cli_model.inspect, cli_measure.bench_encode,
                 cli_measure.bench_sim, cli_measure.quality, cli_measure.explore, cli_synth.area, cli_synth.pnr,
                 cli_board.bitstream, cli_board.run, cli_board.run_simulated, cli_sweep.sweep,
                 report):
    app.command()(_command)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except (UserError, ToolError, ConfigError, FormatError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (CheckError, TargetError, DeviceError, SimulationError, YosysError, NextpnrError) as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
