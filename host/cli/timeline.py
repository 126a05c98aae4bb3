"""The command that shows a run as time goes by."""

from dataclasses import asdict

from golden.spec import ACT_BITS
from host.cli.options import ActBits, Bus, EngineFormat, FirstRows, Layer, Memory, Model, Revision, engines
from host.cli.reporting import reports
from host.errors import UserError
from host.folders import report_folder

__all__ = ["timeline"]


@reports
def timeline(model: Model = "", revision: Revision = "", layer: Layer = 0, first_rows: FirstRows = 0,
             fmt: EngineFormat = "seedlm4", memory: Memory = "ddr4-2400", bus: Bus = 512, act_bits: ActBits = ACT_BITS
             ) -> None:
    """Draw how a layer passes the engine in RTL: at each stream between its stages, who waits for whom, and when."""
    from host.checkpoint.checkpoint import default_model
    from host.checkpoint.hub import find_model
    from host.measure import timeline as measure
    from host.measure.layer import Job, layer_matrices
    from host.plots.timeline import timeline_chart
    from host.progress import work_progress
    from host.report.writer import finish
    from host.tables.tables import markdown
    from host.tables.timeline import TimelineRow
    from sim.dram.presets import preset
    from sim.tools.toolchain import require

    if len(configs := engines(fmt, bus, act_bits)) > 1:
        raise UserError(f"a timeline is of one format: give one of {fmt}")
    preset(memory)
    require("verilator")
    path = model or str(default_model())
    matrices, experts = layer_matrices(str(find_model(path, revision)), layer, first_rows or None)
    job, folder = Job((configs[0].name,), memory, bus, "verilator", act_bits), report_folder("timeline")
    with work_progress(measure.timeline_steps(job, matrices)) as progress:
        found = measure.timeline(job, matrices, progress)
    name = path.rstrip("/").rpartition("/")[2]
    run = [row for row in found.rows if row.view == "run"]
    what = f"{name}, layer {layer}{experts and f', {experts}'}"
    settings = {"model": name, "layer": layer, "first_rows": first_rows or None, "format": job.formats[0],
                "memory": memory, "bus_bits": bus, "act_bits": act_bits, "simulator": job.simulator,
                "matrices": [asdict(span) for span in found.matrices]}
    finish(folder, settings, found.rows, f"{what}, {job.formats[0]}; {memory} memory, {bus}-bit bus; {run[0].cycles:,} "
           "cycles in RTL, by what the streams did", shown=run,
           table=markdown(TimelineRow.columns(), [row.record() for row in run]),
           charts=lambda: {"timeline": timeline_chart(
               found.rows, [(span.name, span.first, span.last) for span in found.matrices],
               f"{what}: {job.formats[0]}\n{memory} memory, {bus}-bit bus; simulated in RTL")})
