"""Sweeps: what is run, what is kept, what becomes of points that fail; one small sweep in RTL."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic, sleep
from unittest.mock import Mock

import numpy as np
import pytest
from distributed import LocalCluster

from golden.spec import FP16, SEEDLM4, WeightFormat
from golden.tree import ROOT
from host import folders
from host.cli.main import main
from host.measure import cycle_model, sweep_point, sweep_workers
from host.measure.cycle_model import TOLERANCE
from host.measure.shapes import PRESETS, dense
from host.measure.sweep import Sweep, affordable, failures, points_of, run_sweep, summary
from host.measure.sweep_point import Point, Result, measured, predicted
from host.measure.sweep_workers import Runner, cluster, processes
from host.scheduler import Tls
from host.tables.causes import CAUSES
from host.tables.sweep import SweepRow
from host.tables.tables import cells
from hw.config import EngineConfig
from sim.dram.presets import PRESETS as MEMORIES
from sim.dram.presets import preset
from sim.tools.errors import ToolError

TINY = dense("tiny", 64, 96, 3, 4, 2, 16, 128, "made up")
SETTINGS = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128}
SWEEP = Sweep((TINY,), ("fp16", "seedlm4"), ("ddr4-2400",), context=10)


def quiet(what: str, done: float, total: float) -> None:
    assert 0 <= done <= total + 1e-9


def fake(result: Callable[[Point], Result], seen: list[Point]) -> Runner:
    """A runner that makes results up and notes what it was given."""
    def run(points: Sequence[Point]) -> Iterator[tuple[Point, Result]]:
        for point in points:
            seen.append(point)
            yield point, result(point)

    return run


def counters(point: Point) -> Result:
    """As from RTL: the model's, and 100 cycles more."""
    found = asdict(predicted(point))
    return {**found, "cycles": found["cycles"] + 100, "starved": found["starved"] + 100, "bit_exact": True}


def test_rows_and_what_is_kept(tmp_path: Path) -> None:
    seen: list[Point] = []
    points = points_of(SWEEP)
    rows = run_sweep(SWEEP, points, tmp_path, fake(counters, seen), quiet)
    assert sorted(seen, key=points.index) == points
    assert [(row.matrix, row.format, row.source) for row in rows] == [
        ("layer", "fp16", "rtl"), ("layer", "seedlm4", "rtl"),
        ("model", "fp16", "model"), ("model", "seedlm4", "model")]
    layer = rows[1]
    assert layer.cycles == sum(getattr(layer, cause.name) for cause in CAUSES)
    assert layer.model_cycles == layer.cycles - 100
    assert layer.model_tolerance is None
    assert layer.model_deviation == pytest.approx(-100 / layer.cycles)
    assert layer.speedup == rows[0].cycles / layer.cycles
    assert (layer.weights, layer.weights_from) == (TINY.layer_weights, "random")
    assert layer.weights_per_cycle == TINY.layer_weights / layer.cycles
    assert layer.bytes_per_weight == layer.bytes / TINY.layer_weights
    assert (layer.clock_mhz, layer.clock_source) == (300, "the memory's, 1200 MHz / 4")
    # A second sweep runs nothing, and gives the same.
    assert run_sweep(SWEEP, points, tmp_path, fake(counters, none := []), quiet) == rows
    assert not none


def test_a_summary(tmp_path: Path) -> None:
    columns, (row,) = summary(run_sweep(SWEEP, points_of(SWEEP)[1:], tmp_path, fake(counters, []), quiet))
    assert row["source"] == "rtl, model"
    assert row["model_deviation"] == pytest.approx(100 / row["seedlm4 cycles"])
    assert row["seedlm4 speedup"] == row["fp16 cycles"] / row["seedlm4 cycles"]
    assert row["fp16 tokens_per_s"] < row["seedlm4 tokens_per_s"]
    assert row["clock_mhz"] == 300
    assert (row["bit_exact"], row["weights"]) == (True, TINY.layer_weights)
    assert {column.key for column in columns} == set(row) - {"fp16 speedup", "fp16 byte_ratio", "model_tolerance"}


def test_a_modelled_row_says_how_far_it_may_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> tuple[list[float | None], list[str], list[str]]:
        rows = run_sweep(SWEEP, [], Path(), fake(counters, []), quiet)
        columns, records = summary(rows)
        source = next(column for column in columns if column.key == "source")
        return ([row.model_tolerance for row in rows], [cells(row.record(), [SweepRow.column("source")])[0]
                for row in rows], [cells(record, [source])[0] for record in records])

    (layer, _, token, _), texts, short = shown()
    assert (layer, texts, short) == (TOLERANCE, ["model"] * 4, ["model"])
    assert token == pytest.approx(TOLERANCE, rel=1e-3)
    # No more than what was checked: of this memory nothing was.
    monkeypatch.setattr("host.measure.cycle_model.COMPARED", ("ideal",))
    (layer, *_), texts, short = shown()
    assert (layer, texts[:2], short) == (1, ["model, ± 100 %"] * 2, ["model, ± 100 %"])


def test_a_token() -> None:
    (layer, token) = run_sweep(Sweep((TINY,), ("seedlm4",), ("ddr4-2400",), context=1000), [], Path(),
                               fake(counters, []), quiet)
    dram = preset("ddr4-2400")
    head = predicted(Point(TINY, "lm_head", "seedlm4", "ddr4-2400", 512)).cycles
    cache = 2 * 3 * 32 * 2 * 1000
    assert token.kv_cache_bytes == cache
    assert token.cycles == round(3 * layer.cycles + head + cache / 64 / dram.sequential_limit)
    assert token.tokens_per_s == 300e6 / token.cycles
    assert (token.source, token.layer_source, token.speedup) == ("model", "model", None)
    assert layer.bit_exact is None


def test_a_point_that_fails_leaves_the_others(tmp_path: Path) -> None:
    def result(point: Point) -> Result:
        return {"error": "no room"} if point.format == "fp16" else counters(point)

    seen: list[Point] = []
    rows = run_sweep(SWEEP, points_of(SWEEP), tmp_path, fake(result, seen), quiet)
    assert [(row.source, row.error) for row in rows[:2]] == [("model", "no room"), ("rtl", None)]
    assert rows[0].cycles == rows[0].model_cycles
    assert failures(rows) == ["tiny layer fp16 on ddr4-2400: no room"]
    # Only what failed is run again.
    run_sweep(SWEEP, points_of(SWEEP), tmp_path, fake(counters, again := []), quiet)
    assert [point.format for point in again] == ["fp16"]


def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    def result(point: Point) -> Result:
        if point.format == "seedlm4":
            raise KeyboardInterrupt
        return counters(point)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(SWEEP, points_of(SWEEP), tmp_path, fake(result, []), quiet)
    run_sweep(SWEEP, points_of(SWEEP), tmp_path, fake(counters, seen := []), quiet)
    assert [point.format for point in seen] == ["seedlm4"]


def test_other_sources_or_weights_are_other_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = replace(SWEEP, formats=("fp16",))
    count: list[Point] = []
    for name, source in (("tiny", "digest"), ("renamed", "digest"), ("tiny", "another digest")):
        monkeypatch.setattr("host.measure.sweep.sources", lambda stored, source=source: source)
        renamed = replace(sweep, models=(replace(TINY, name=name),))
        run_sweep(renamed, points_of(renamed), tmp_path, fake(counters, count), quiet)
    assert len(count) == 2


def test_what_there_is_time_for() -> None:
    points = points_of(Sweep(tuple(PRESETS.values()), ("fp16", "seedlm4"), ("ddr4-2400",)))
    by_size = sorted(points, key=lambda point: (point.weights, point.model.name))
    enough = sum(point.seconds for point in by_size[:4])
    assert affordable(points, enough * 1.001) == by_size[:4]
    # All formats of a model or none.
    assert affordable(points, enough * 0.999) == by_size[:2]
    assert affordable(points, 0) == []
    assert affordable(points, 1e9) == by_size


@pytest.mark.parametrize("bus_bits", [32, 64, 512])
@pytest.mark.parametrize("memory", MEMORIES)
def test_counters_suffice_for_the_largest_layer(memory: str, bus_bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one chain, of more than 4 GiB, and its cycles fit into 32 bits."""
    monkeypatch.setattr(cycle_model, "_MOST_BEATS", 200_000)
    point = Point(PRESETS["Llama-3.1-405B"], "layer", "fp16", memory, bus_bits)
    found = predicted(point)
    assert found.bytes_read > 1 << 32
    assert max(found.cycles, found.beats, found.bytes_written * 8 // bus_bits) < (1 << 32) - 1


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("fmt", [FP16, SEEDLM4])
def test_addresses_reach_the_whole_model(name: str, fmt: WeightFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle_model, "_MOST_BEATS", 200_000)
    model = PRESETS[name]
    points = [Point(model, matrix, fmt.name, "ideal", 512) for matrix in ("layer", "lm_head", "q_proj")]
    (config,) = {point.config for point in points}
    size = model.streamed_weights * fmt.bits_per_weight / 8
    assert size < 1 << config.addr_bits
    assert config == replace(EngineConfig(fmt), addr_bits=config.addr_bits)
    assert config.addr_bits == 32 or size * 1.01 > 1 << config.addr_bits - 1
    (layer, token) = run_sweep(Sweep((model,), (fmt.name,), ("ideal",)), [], Path(), fake(counters, []), quiet)
    assert layer.addr_bits == token.addr_bits == config.addr_bits


def test_addresses_of_the_largest_model() -> None:
    point = Point(PRESETS["Llama-3.1-405B"], "layer", "fp16", "ddr4-2400", 512)
    assert point.config.addr_bits == 40
    assert replace(point, format="seedlm4").config.addr_bits == 38


def test_results_that_differ_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    point = Point(TINY, "q_proj", "seedlm4", "ideal", 32)
    assert measured(point)["bit_exact"] is True
    product = sweep_point.product
    monkeypatch.setattr(sweep_point, "product", lambda *operands: -product(*operands))
    assert measured(point)["bit_exact"] is False


def test_slices_make_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come some rows at a time, to the same image, however many."""
    point = Point(TINY, "lm_head", "int4", "ideal", 32)
    images = []
    for size in (1, 1 << 20):
        monkeypatch.setattr(sweep_point, "_SLICE", size)
        made: list[np.ndarray] = []
        matrix = sweep_point._random("lm_head", 37, 64, point.config, np.ones(64, np.float16), made)
        images.append([len(part.codes) for part in matrix.slices()])  # type: ignore[union-attr]
        assert sum(map(len, made)) == 37
    assert images == [[2] * 18 + [1], [37]]  # groups of two rows: 33 bits times 16 blocks are half beats


FAILING = Point(TINY, "q_proj", "fp16", "ddr9", 512)
"""A point of a memory that does not exist, which is found out where it is to be run."""


def test_a_process_that_fails_tells_why() -> None:
    with processes(1) as runner:
        ((point, result),) = runner([FAILING])
    assert (point, list(result)) == (FAILING, ["error"])
    assert "unknown memory 'ddr9'" in result["error"]


def test_processes_end_with_a_sweep_that_is_killed() -> None:
    code = f"""
import multiprocessing, os, signal
from pathlib import Path
from host.measure.shapes import KvCache, LayerShape, MatrixShape, ModelShape
from host.measure.sweep_point import Point
from host.measure.sweep_workers import processes
with processes(1) as runner:
    next(iter(runner([{FAILING!r}])))
    print(multiprocessing.active_children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    deadline = monotonic() + 60
    while Path(f"/proc/{int(done.stdout)}").exists():
        assert monotonic() < deadline
        sleep(0.05)


def test_workers_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with (LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as local,
          cluster(local.scheduler_address, Tls()) as runner):
        ((point, result),) = runner([FAILING])
        assert (point, "unknown memory 'ddr9'" in result["error"]) == (FAILING, True)
        # A worker with other sources is not asked: its results would be kept under the wrong name.
        monkeypatch.setattr(sweep_workers, "sources", Mock(side_effect=["mine", "its own"]))
        ((_, result),) = runner([FAILING])
        assert "sources are not those that the sweep began with" in result["error"]


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["host", "sweep", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0  # type: ignore[return-value]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In RTL, by processes: the simulator is that of test_roofline.py."""
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    shape = tmp_path / "mine.json"
    shape.write_text(json.dumps(SETTINGS))
    arguments = ("--models", str(shape), "--formats", "seedlm4", "--memories", "ideal", "--bus", "32", "--exact",
                 "--matrices", "layer lm_head")
    assert command(monkeypatch, *arguments) == 0
    assert "weights random, results compared with golden bit for bit" in " ".join(capsys.readouterr().out.split())
    report = json.loads((tmp_path / "sweep" / "report.json").read_text())
    layer, head, token = report["results"]
    assert [row["matrix"] for row in (layer, head, token)] == ["layer", "lm_head", "model"]
    assert layer["bit_exact"] is True
    assert (layer["source"], head["source"], token["lm_head_source"]) == ("rtl", "rtl", "rtl")
    assert abs(layer["model_deviation"]) < 0.01  # rows so short that the engine holds memory up
    assert token["tokens_per_s"] is None  # this memory has no clock
    with (tmp_path / "sweep" / "report.csv").open() as file:
        assert [row["cycles"] for row in csv.DictReader(file)] == [str(row["cycles"]) for row in report["results"]]

    def broken(point: Point) -> Result:
        return {"error": "no compiler"}

    # A point that fails ends in status 1, and the report is there all the same.
    monkeypatch.setattr(sweep_workers, "processes", lambda count: nullcontext(fake(broken, [])))
    assert command(monkeypatch, *arguments[:-1], "q_proj") == 1
    assert "mine q_proj seedlm4 on ideal: no compiler" in capsys.readouterr().err
    assert json.loads((tmp_path / "sweep" / "report.json").read_text())["results"][0]["error"] == "no compiler"


@pytest.mark.parametrize(("arguments", "message"), [
    (["--models", "Llama-9"], "unknown model 'Llama-9'"), (["--memories", "ddr9"], "unknown memory 'ddr9'"),
    (["--formats", "fp7"], "unknown format 'fp7'"), (["--matrices", "w"], "unknown matrix 'w': MATRICES are of layer"),
    (["--models", " "], "no models given"), (["--bus", "48"], "bus_bits must be a power of two"),
])
def test_bad_input(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    assert command(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_compiler_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(simulator: str) -> None:
        raise ToolError("g++ is not installed")

    monkeypatch.setattr("sim.tools.toolchain.require", missing)
    assert command(monkeypatch, "--models", "Llama-2-7B") == 2
