"""Commands that run the engine in RTL simulators: on a layer, on the paper's matrices, on made-up ones."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden.spec import ACT_BITS, BlockFormat, parse_format
from host.cli.options import (
    COMPARED,
    ActBits,
    Bus,
    Cols,
    Formats,
    Layer,
    Memories,
    Memory,
    Model,
    ResultsPerCycle,
    Revision,
    Rows,
    Simulator,
    Waves,
    engines,
    names,
)
from host.cli.reporting import reports
from host.folders import report_folder
from host.printable import printable
from sim.dram.presets import PRESETS, preset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.measure.layer import Job
    from host.measure.matrices import Matrix
    from host.tables.layer import LayerRow

__all__ = ["bench_sim", "memories", "roofline", "sim", "sim_paper"]

_PAPER_SIZES = (512, 1024, 2048)
_ALL_MEMORIES = " ".join(PRESETS)
_BENCH_SECONDS = 60.0
"""Seconds that the two builds of a format take on two cores, about."""


def _job(formats: str, memory: str, bus: int, simulator: str, act_bits: int, waves: str = "") -> "Job":
    """Return a checked job, before any work is done."""
    from host.measure.layer import Job
    from sim.tools.toolchain import require
    from sim.waves.window import Window, require_window

    configs = engines(formats, bus, act_bits)
    preset(memory)
    require(simulator)
    window = require_window(Window.parse(waves), simulator)
    return Job(tuple(config.name for config in configs), memory, bus, simulator, act_bits, window)


def _note_encoded_again(job: "Job", matrices: "Sequence[Matrix]") -> None:
    """Say which matrices of a compressed folder are not streamed as they are stored, because an engine is for another
    of SeedLM's formats."""
    for name in job.formats:
        fmt = parse_format(name)
        others = [matrix for matrix in matrices if matrix.stored and matrix.stored.fmt != fmt]
        if others and isinstance(fmt, BlockFormat):
            stored = " and ".join(dict.fromkeys(matrix.stored.fmt.name for matrix in others if matrix.stored))
            print(f"note: for {name}, {len(others)} of {len(matrices)} matrices are encoded again, as the folder has "
                  f"them in {stored}: {printable(', '.join(matrix.name for matrix in others))}", file=sys.stderr)


def _finish(folder: Path, title: str, job: "Job", rows: "Sequence[LayerRow]", configuration: Mapping[str, Any]
            ) -> None:
    """Print, plot and store the rows of a job."""
    from host.plots.speedup import speedup_chart
    from host.report.writer import finish

    memory = f"{job.memory} memory, {job.bus_bits}-bit bus"

    def charts() -> "Mapping[str, Figure | None]":
        return {"speedup": speedup_chart(rows, f"{title}\n{memory}; simulated in RTL")}

    settings = {**configuration, "formats": job.formats, "memory": job.memory, "bus_bits": job.bus_bits,
                "simulator": job.simulator, "act_bits": job.act_bits, "activations": "random, standard normal"}
    finish(folder, settings, rows, f"{title}; {memory}; RTL simulated by {job.simulator}",
           ends_section=lambda row: row.format == job.formats[-1], charts=charts)


@reports
def sim(model: Model = "", revision: Revision = "", layer: Layer = 0,
        rows: Annotated[int, typer.Option(min=0, help="Only the first rows of each matrix; 0 for all.")] = 0,
        formats: Formats = COMPARED, memory: Memory = "ddr4-2400", bus: Bus = 512,
        simulator: Simulator = "verilator", act_bits: ActBits = ACT_BITS, waves: Waves = "") -> None:
    """Run one layer of a real checkpoint, compressed, through the simulated engine, beside FP16 and int4."""
    from host.checkpoint.checkpoint import default_model
    from host.checkpoint.hub import find_model
    from host.measure import layer as measure
    from host.measure.layer_steps import layer_steps
    from host.progress import work_progress

    job = _job(formats, memory, bus, simulator, act_bits, waves)
    path = model or str(default_model())
    matrices, experts = measure.layer_matrices(str(find_model(path, revision)), layer, rows or None)
    _note_encoded_again(job, matrices)
    folder = report_folder("sim")
    with work_progress(layer_steps(job, matrices, True)) as progress:
        results = measure.simulate(job, matrices, True, progress)
    name = path.rstrip("/").rpartition("/")[2]
    _finish(folder, f"{name}, layer {layer}{experts and f', {experts}'}", job, results,
            {"model": name, "layer": layer, "first_rows": rows or None, **({"experts": experts} if experts else {})})


@reports
def sim_paper(formats: Formats = COMPARED, memory: Memory = "paper", bus: Bus = 512,
              simulator: Simulator = "verilator", act_bits: ActBits = ACT_BITS, waves: Waves = "") -> None:
    """Run the paper's three matrix sizes, Gaussian weights, on a memory fitted to its cycles, beside its figures.

    On any other memory the paper's figures are left out, because they are not of that memory.
    """
    from host.measure import layer as measure
    from host.measure.layer_steps import layer_steps
    from host.measure.matrices import SIGMA, gaussian_matrices
    from host.measure.published import beside_published
    from host.progress import work_progress

    job = _job(formats, memory, bus, simulator, act_bits, waves)
    folder = report_folder("sim-paper")
    matrices = gaussian_matrices(_PAPER_SIZES)
    with work_progress(layer_steps(job, matrices, False)) as progress:
        results = measure.simulate(job, matrices, False, progress)
    _finish(folder, "the paper's matrices", job, beside_published(results),
            {"sizes": _PAPER_SIZES, "sigma": SIGMA})


@reports
def roofline(formats: Formats = COMPARED,
             memories: Memories = _ALL_MEMORIES,
             bus: Bus = 64, simulator: Simulator = "verilator",
             cols: Annotated[int, typer.Option(min=1, max=1 << 16, help="Columns of the matrices; by default whole "
                                               "blocks and groups in every format.")] = 1536,
             results_per_cycle: ResultsPerCycle = 1) -> None:
    """Measure what every memory delivers at most, and what each engine takes of it in steady state."""
    from host.measure import roofline as measure
    from host.plots.roofline import measured_roofline
    from host.progress import work_progress
    from host.report.writer import finish, write
    from host.tables.roofline import RooflineRow

    chosen = names("memories", memories, "--memories 'ddr4-2400 hbm2'")
    for name in chosen:
        preset(name)
    job = _job(formats, chosen[0], bus, simulator, ACT_BITS)
    folder = report_folder("roofline")
    settings = {"formats": job.formats, "memories": chosen, "bus_bits": bus, "simulator": simulator, "cols": cols,
                "results_per_cycle": results_per_cycle}
    rows: list[RooflineRow] = []
    with work_progress() as progress:
        for row in measure.roofline(job.formats, chosen, bus, cols, results_per_cycle, simulator, progress):
            rows.append(row)
            write(folder, settings, rows)  # what is measured stays when the command is interrupted
    finish(folder, settings, rows, f"roofline; {bus}-bit bus; {cols} columns; results per cycle: {results_per_cycle}; "
           f"RTL simulated by {simulator}",
           ends_section=lambda row: row.format == job.formats[-1],
           charts=lambda: {"roofline": measured_roofline(rows)})


@reports
def memories(bus: Bus = 64, simulator: Simulator = "icarus") -> None:
    """Measure what every memory preset delivers to a master that only reads, beside independent simulators."""
    from host.measure import memories as measure
    from host.progress import work_progress
    from host.report.writer import finish
    from host.tables.memory import MemoryRow
    from host.tables.tables import markdown
    from sim.tools.toolchain import require

    require(simulator)
    folder = report_folder("memories")
    with work_progress() as progress:
        rows = list(measure.memories(bus, simulator, progress))
    remarks = [f"{row.memory}: {row.remark}" for row in rows if row.remark]
    table = markdown(MemoryRow.columns(), [row.record() for row in rows])
    finish(folder, {"bus_bits": bus, "simulator": simulator}, rows,
           f"memory presets; {bus}-bit bus; RTL simulated by {simulator}", notes="\n".join(remarks),
           table="\n".join([table, *(f"- {remark}" for remark in remarks), ""]))


@reports
def bench_sim(formats: Formats = "fp16 seedlm4", memory: Memory = "ddr4-2400", bus: Bus = 512, rows: Rows = 2048,
              cols: Cols = 2048,
              seconds: Annotated[float, typer.Option(min=0, help="Time for which each simulator is measured at least."
                                                     )] = 3.0) -> None:
    """Measure the simulators: cycles and weights a second, of the native one and of cocotb, on the same work."""
    from host.device.driver import check_shape
    from host.display.meter import Step
    from host.measure import bench_sim as measure
    from host.progress import stage_progress
    from host.report.writer import finish
    from sim.tools.toolchain import require

    configs = engines(formats, bus)
    for config in configs:
        check_shape(config, (rows, cols))
    preset(memory)
    require("verilator")
    folder, work = report_folder("bench-sim"), measure.Work(rows, cols, memory, bus, seconds)
    results = []
    steps = [Step((f"{config.name}: ",), _BENCH_SECONDS + 2 * seconds) for config in configs]
    with stage_progress(steps) as progress:
        for config in configs:
            progress(f"{config.name}: build and run")
            results += measure.bench_sim(config.name, work)
    load = os.getloadavg()[0]
    finish(folder, {**asdict(work), "formats": [config.name for config in configs], "load_average": load}, results,
           f"{rows} x {cols}, {memory} memory, {bus}-bit bus; simulated in RTL by Verilator; load average {load:.1f}")
