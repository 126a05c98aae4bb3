"""Sweeps over models, formats and memories, point by point: in RTL as far as time allows, else by the cycle model.

Finished points are kept below ``build/sweep/points``, each under a digest of itself and of the sources that its result
depends on, so that a sweep that was interrupted continues where it was. Tokens a second follow from these points: a
token reads all layers (of experts those that it uses), lm_head, and the keys and values of its context, these at the
rate at which the memory streams.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from golden.products import read_sealed, write_sealed
from golden.spec import ACT_BITS
from host.device.driver import Counters, check_shape
from host.errors import UserError
from host.folders import write_whole
from host.json_reader import parse_json
from host.measure.roles import LAYER
from host.measure.shapes import HEAD, ModelShape
from host.measure.sweep_point import Point, Result, predicted, predicted_within
from host.measure.sweep_workers import Runner, sources
from host.tables.causes import CAUSES
from host.tables.row import Column
from host.tables.sweep import SweepRow
from host.update import Update
from sim.dram.dram import Dram
from sim.dram.presets import PRESETS, preset

__all__ = ["Sweep", "affordable", "failures", "points_of", "run_sweep", "summary", "write_csv"]

_STREAM, _STREAM_OF_VARIANTS = 1e-3, 3e-3
"""Share by which the rate of a long read may differ from :attr:`~sim.dram.dram.Dram.sequential_limit`: what the tests
of presets allow, and those of their variants."""

@dataclass(frozen=True)
class Sweep:
    """What to sweep over.

    Parameters
    ----------
    models : tuple of ModelShape
    formats, memories : tuples of str
        Names of formats, and memory presets.
    matrices : tuple of str
        ``layer`` for the layers of every kind that a model has, ``lm_head``, names of matrices of the commonest kind,
        or ``all`` for all of these, of experts only the first.
    bus_bits, act_bits : int
        Width of the memory bus and of an activation.
    context : int
        Tokens whose keys and values a token reads.
    layer : int
        Number of the decoder layer, of models that are checkpoints. Of another kind of layers it is the first one.
    """

    models: tuple[ModelShape, ...]
    formats: tuple[str, ...]
    memories: tuple[str, ...]
    matrices: tuple[str, ...] = ("layer",)
    bus_bits: int = 512
    act_bits: int = ACT_BITS
    context: int = 2048
    layer: int = 0


def _names(model: ModelShape, matrices: Sequence[str]) -> list[str]:
    """Return the names of what is streamed of a model.

    Raises
    ------
    UserError
        When it has nothing of a name.
    """
    kinds = [kind.name for kind in model.kinds]
    every = [*kinds, *(matrix.name for matrix in model.kinds[0].chain
                       if not matrix.name.startswith("experts.") or matrix.name.startswith("experts.0.")), HEAD]
    found = [name for given in matrices
             for name in (kinds if given == LAYER else every if given == "all" else [given])]
    for name in found:
        model.chain(name)
    return list(dict.fromkeys(found))


def _point(sweep: Sweep, model: ModelShape, matrix: str, name: str, memory: str) -> Point:
    """Return a point of a sweep."""
    kind = next((kind for kind in model.kinds if kind.name == matrix), model.kinds[0])
    layer = sweep.layer if sweep.layer in kind.numbers else kind.numbers[0]
    return Point(model, matrix, name, memory, sweep.bus_bits, sweep.act_bits, layer)


def points_of(sweep: Sweep) -> list[Point]:
    """Return all points of a sweep, in the order of the report.

    Raises
    ------
    UserError
        When a model has no matrix of a name, or a checkpoint has no layer of the number.
    """
    for model in sweep.models:
        if model.path and not any(sweep.layer in kind.numbers for kind in model.kinds):
            raise UserError(f"no layer {sweep.layer} in {model.path}, which has {model.layers} layers: choose another "
                            "with --layer")
    return [_point(sweep, model, matrix, name, memory)
            for memory in sweep.memories for model in sweep.models for matrix in _names(model, sweep.matrices)
            for name in sweep.formats]


def affordable(points: Sequence[Point], seconds: float) -> list[Point]:
    """Return the points that RTL can run in so many seconds on one core.

    Small ones come first. A matrix is taken in all formats or in none, so that its speed-ups are from RTL.
    """
    works: dict[tuple[int, str, str, str], list[Point]] = {}
    for point in points:
        works.setdefault((point.weights, point.model.name, point.matrix, point.memory), []).append(point)
    chosen: list[Point] = []
    for _, work in sorted(works.items()):
        seconds -= sum(point.seconds for point in work)
        if seconds < 0:
            break
        chosen += work
    return chosen


def _kept(point: Point, folder: Path) -> Path:
    """Return the file in which the result of a point is kept.

    Its name is a digest of what is run, of sizes and times of the checkpoint's files, and of the sources. Models do not
    count: those with the same matrices share their results.
    """
    files = sorted(path for path in point.model.path.rglob("*") if path.is_file()) if point.model.path and \
        point.model.path.is_dir() else [point.model.path] if point.model.path else []
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    text = repr((point.chain, point.config, point.memory, point.layer if point.stored else None, stamps,
                 sources(point.stored)))
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _result(path: Path) -> Result | None:
    """Return the result that is kept in a file; None when there is none, or it is damaged: it is then made again."""
    content = read_sealed(path)
    if content is None:
        return None
    try:
        kept = parse_json(content, path, "remove it")
        return {**{field.name: kept[field.name].whole(0) for field in fields(Counters)},
                "bit_exact": kept["bit_exact"].truth()}
    except UserError:
        return None


def _in_rtl(points: Sequence[Point], folder: Path, runner: Runner, update: Update) -> Iterator[tuple[Point, Result]]:
    """Yield points and their results, those first that were kept."""
    done, total = 0.0, sum(point.seconds for point in points)
    missing = []
    for point in points:
        if (kept := _result(_kept(point, folder))) is None:
            missing.append(point)
            continue
        yield point, kept
        done += point.seconds
    update(f"{len(missing)} points to run" if missing else "all points are known", done, total)
    # Large ones first, so that the processes end at about the same time.
    for point, result in runner(sorted(missing, key=lambda point: -point.seconds)):
        done += point.seconds
        update(f"{point.model.name} {point.matrix} {point.format} {point.memory}", done, total)
        if "error" not in result:
            write_sealed(_kept(point, folder), json.dumps(result).encode())
        yield point, result


def _rates(cycles: int, moved: float, weights: int, dram: Dram, bus_bits: int) -> dict[str, Any]:
    """Return the fields of a row that follow from its cycles, its bytes and its weights."""
    return {
        "cycles": cycles, "bytes": moved, "weights": weights, "bytes_per_weight": moved / weights,
        "weights_per_cycle": weights / cycles,
        "limit_fraction": moved * 8 / bus_bits / (dram.sequential_limit * dram.word_rate(bus_bits) * cycles),
        "clock_mhz": dram.fabric_mhz, "clock_source": f"the memory's, {dram.ck_mhz:g} MHz / {dram.ratio}"
        if dram.ck_mhz else None,
    }


def _point_row(point: Point, result: Result | None) -> SweepRow:
    """Return the row of a point: of its result from RTL, or of the cycle model where there is none."""
    model = asdict(predicted(point))
    in_rtl = result is not None and "error" not in result
    counters = result if result is not None and in_rtl else model
    return SweepRow(
        model=point.model.name, matrix=point.matrix, format=point.format, memory=point.memory, bus_bits=point.bus_bits,
        addr_bits=point.config.addr_bits,
        source="rtl" if in_rtl else "model", model_cycles=model["cycles"],
        bit_exact=counters["bit_exact"] if in_rtl else None,
        weights_from=str(point.model.path or "random") if in_rtl else None,
        model_deviation=model["cycles"] / counters["cycles"] - 1 if in_rtl else None,
        model_tolerance=None if in_rtl else predicted_within(point),
        error=result.get("error") if result else None,
        **{cause.name: counters[cause.name] for cause in CAUSES},
        **_rates(counters["cycles"], counters["beats"] * point.bus_bits // 8 + counters["bytes_written"], point.weights,
                 preset(point.memory), point.bus_bits))


def _token_row(layers: Sequence[tuple[int, SweepRow]], head: SweepRow, model: ModelShape, sweep: Sweep) -> SweepRow:
    """Return the row of a token, which reads all layers, lm_head and the KV cache.

    Parameters
    ----------
    layers : sequence of (int, SweepRow)
        Of every kind of layers: how many there are, and the row of one.
    """
    dram = preset(head.memory)
    cache_bytes = model.kv_cache_bytes(sweep.context)
    cache_cycles = cache_bytes * 8 / sweep.bus_bits / (dram.sequential_limit * dram.word_rate(sweep.bus_bits))
    parts = [*layers, (1, head)]
    cycles = round(sum(count * row.cycles for count, row in parts) + cache_cycles)
    off = (sum(count * row.cycles * (row.model_tolerance or 0) for count, row in parts)
           + cache_cycles * (_STREAM if head.memory in PRESETS else _STREAM_OF_VARIANTS))
    return SweepRow(
        model=head.model, matrix="model", format=head.format, memory=head.memory, bus_bits=head.bus_bits,
        addr_bits=head.addr_bits, kv_cache_bytes=cache_bytes, context=sweep.context, source="model",
        layer_source=", ".join(dict.fromkeys(row.source for _, row in layers)), lm_head_source=head.source,
        model_tolerance=off / cycles, tokens_per_s=dram.fabric_mhz * 1e6 / cycles if dram.fabric_mhz else None,
        **_rates(cycles, sum(count * row.bytes for count, row in parts) + cache_bytes, model.streamed_weights, dram,
                 sweep.bus_bits))


def run_sweep(sweep: Sweep, in_rtl: Sequence[Point], folder: Path, runner: Runner, update: Update) -> list[SweepRow]:
    """Return the rows of all points of a sweep, of which ``in_rtl`` are run, and of whole models.

    A point that fails has a row from the cycle model, which says in ``error`` why it failed.

    Parameters
    ----------
    folder : Path
        Folder in which results of points are kept.
    update : callable
        Called with what has just been finished, and with seconds of work on one core, done and in all.

    Raises
    ------
    UserError
        When an engine cannot take a matrix.
    """
    points = points_of(sweep)
    for point in points:
        for shape in point.shapes:
            check_shape(point.config, shape)
    results = dict(_in_rtl(in_rtl, folder, runner, update))
    rows = {point: _point_row(point, results.get(point)) for point in points}
    for model in sweep.models:
        for memory in sweep.memories:
            for name in sweep.formats:
                parts = [(kind.count, _point(sweep, model, kind.name, name, memory)) for kind in model.kinds]
                head = _point(sweep, model, HEAD, name, memory)
                modelled = {point: rows.get(point) or _point_row(point, None)
                            for point in (*(point for _, point in parts), head)}
                rows[replace(head, matrix="model")] = _token_row(
                    [(count, modelled[point]) for count, point in parts], modelled[head], model, sweep)
    for point, row in rows.items():
        if baseline := rows.get(replace(point, format="fp16")):
            rows[point] = replace(row, speedup=baseline.cycles / row.cycles, byte_ratio=baseline.bytes / row.bytes)
    order = {model: n for n, model in enumerate(sweep.models)}
    return [rows[point] for point in sorted(rows, key=lambda point: (
        sweep.memories.index(point.memory), order[point.model], point.matrix == "model"))]


def summary(rows: Sequence[SweepRow]) -> tuple[tuple[Column, ...], list[dict[str, Any]]]:
    """Return layers in short, a record for each model and memory, and the columns that it has.

    The columns depend on the formats: ``cycles``, ``speedup``, ``byte_ratio`` and ``tokens_per_s`` are there once for
    each.
    """
    def by_format(key: str, names: Sequence[str]) -> list[Column]:
        return [replace(column, key=f"{name} {key}", heading=f"{name} {column.heading}")
                for column in SweepRow.columns((key,)) for name in names]

    formats = list(dict.fromkeys(row.format for row in rows))
    compared = [name for name in formats if "fp16" in formats and name != "fp16"]
    columns = (
        *SweepRow.columns(("model", "memory")), replace(SweepRow.column("weights"), heading="weights of a layer"),
        *by_format("cycles", formats), *by_format("speedup", compared), *by_format("byte_ratio", compared),
        *by_format("tokens_per_s", formats),
        *SweepRow.columns(("clock_mhz", "source")), replace(SweepRow.column("model_deviation"), spec=".4%"),
        SweepRow.column("bit_exact"))
    short: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key, name = (row.memory, row.model), row.format
        if row.matrix == LAYER:
            mine = short.setdefault(key, {"model": row.model, "memory": row.memory, "weights": row.weights,
                                          "clock_mhz": row.clock_mhz, "source": row.source, "model_deviation": None,
                                          "model_tolerance": None, "bit_exact": row.bit_exact})
            mine |= {f"{name} cycles": row.cycles, f"{name} speedup": row.speedup, f"{name} byte_ratio": row.byte_ratio}
            if row.source not in mine["source"]:
                mine["source"] = "rtl, model"
            if row.model_tolerance is not None:
                mine["model_tolerance"] = max(mine["model_tolerance"] or 0, row.model_tolerance)
            if row.model_deviation is not None:
                mine["model_deviation"] = max(mine["model_deviation"] or 0, abs(row.model_deviation))
                mine["bit_exact"] = mine["bit_exact"] is not False and row.bit_exact
        elif row.matrix == "model" and key in short:
            short[key][f"{name} tokens_per_s"] = row.tokens_per_s
    return columns, list(short.values())


def write_csv(rows: Sequence[SweepRow], path: Path) -> None:
    """Write the rows as a table for spreadsheets."""
    records = [row.record() for row in rows]
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(key for record in records for key in record)), lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    write_whole(path, text.getvalue())


def failures(rows: Sequence[SweepRow]) -> list[str]:
    """Return a sentence for each point that failed."""
    return [f"{row.label}: {row.error}" for row in rows if row.error]
