"""A tiny model speaks through the simulated engine."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

import pytest
import tokenizers
import torch

from golden.spec import FP16, SEEDLM4
from host.checkpoint.checkpoint import open_checkpoint
from host.cli.demo import demo as command
from host.compress.compress import compress
from host.compress.plan import Options
from host.demo import demo as room
from host.demo.demo import Job, demo, matrices, plain_text
from host.demo.engines import engine_of
from host.demo.steps import demo_steps
from host.device.device import DeviceError
from host.device.driver import Counters
from host.errors import CheckError, UserError
from host.measure.cycle_model import Step, predict
from host.model.golden_linear import GoldenLinear
from host.model.llama import Llama
from host.model.tokenizer import Tokenizer
from host.packing.image import StoredMatrix
from host.update import no_progress
from hw.config import EngineConfig
from sim.device.native_device import NativeDevice
from sim.dram.presets import preset
from tests.host.models.tiny import tiny

CONFIG = EngineConfig(SEEDLM4, 64)
JOB = Job(CONFIG, "ddr4-2400", (5, 17, 99), 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny llama, whose vocabulary are the numbers from 0 to 127."""
    path = tmp_path_factory.mktemp("demo")
    tiny("llama 3.2").save_pretrained(path)
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({str(n): n for n in range(128)}, unk_token="0"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture
def model(folder: Path) -> tuple[Llama, Tokenizer]:
    checkpoint = open_checkpoint(folder)
    return Llama(checkpoint), Tokenizer(checkpoint)


def test_the_command_leaves_what_was_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(model=str(folder), prompt="5 17 99", raw=True, tokens=3, bus=64, out=tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    rows, settings = report["results"], report["configuration"]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert " ".join(str(row["token"]) for row in rows) == settings["text"]
    assert all(row["bit_exact"] and row["cycles"] > 0 and 0 < row["limit_fraction"] < 1 for row in rows)
    assert len({row["bytes"] for row in rows}) == 1
    shown = capsys.readouterr().out
    assert f"in seedlm4, through the engine: {settings['text']}" in shown
    assert f"as it is, in float32: {settings['plain_text']}" in shown
    assert "logits that equal golden's, bit for bit: those of 3 of 3 tokens" in shown


def test_the_cycles_of_fp16_are_those_of_all_its_chains(model: tuple[Llama, Tokenizer]) -> None:
    row = next(demo(*model, JOB, no_progress))
    chains = [[(128, 64, 0), (64, 64, 1), (64, 64, 1)], [(64, 128, 0)], [(96, 64, 0), (96, 64, 1)], [(64, 96, 0)]]
    assert row.fp16_cycles == sum(
        predict(EngineConfig(FP16, 64), preset("ddr4-2400"), [Step(*step[:2], bool(step[2])) for step in chain]).cycles
        for chain in [*chains * 2, [(128, 64, 0)]])
    assert row.speedup == row.fp16_cycles / row.cycles


def test_logits_that_differ_are_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden's arithmetic is off by a millionth, but for the prompt."""
    class Wrong(GoldenLinear):
        def __call__(self, names: object, x: torch.Tensor) -> list[torch.Tensor]:
            return [y * (1 + 2**-20) if len(x) == 1 else y for y in super().__call__(names, x)]  # type: ignore[arg-type]

    monkeypatch.setattr(room, "GoldenLinear", Wrong)
    with pytest.raises(CheckError, match="results differ from golden: token 1, token 2"):
        command(model=str(folder), prompt="5 17 99", raw=True, tokens=2, bus=64, out=tmp_path / "report")
    assert [row["bit_exact"] for row in json.loads((tmp_path / "report" / "report.json").read_text())["results"]] == [
        False, False]


def test_a_device_that_dies_in_the_middle_of_a_token(model: tuple[Llama, Tokenizer], monkeypatch: pytest.MonkeyPatch
                                                     ) -> None:
    opened: list[NativeDevice] = []

    class Watched(NativeDevice):
        def __init__(self, config: EngineConfig, memory: str) -> None:
            super().__init__(config, memory)
            opened.append(self)

    def update(what: str, done: float, total: float) -> None:
        if what == "token 2: model.layers.1.mlp.down_proj.weight":
            opened[0]._process.kill()

    monkeypatch.setattr(room, "NativeDevice", Watched)
    rows = demo(*model, JOB, update)
    assert next(rows).number == 1
    with pytest.raises(DeviceError, match=r"^token 2 of 3 was not finished, because of the device: the simulator ended "
                                          r"before its work was done \(SIGKILL\); its last lines; the report has the"):
        next(rows)


def test_draws_are_those_of_golden_and_of_the_plain_model(model: tuple[Llama, Tokenizer]) -> None:
    job = Job(CONFIG, "ddr4-2400", (5, 17), 3, temperature=5.0, seed=4)
    said: list[str] = []
    rows = list(demo(*model, job, lambda what, done, total: said.append(what)))
    assert all(row.bit_exact for row in rows)
    steps = demo_steps(job.tokens)
    assert all(any(each.startswith(step.begins) for step in steps) for each in said)
    assert {step.begins for step in steps if not any(each.startswith(step.begins) for each in said)} == {
        ("the model as it is",)}  # which the command says
    assert plain_text(*model, job) == plain_text(*model, job)


def test_a_compressed_folder_speaks_with_its_own_codes(folder: Path, model: tuple[Llama, Tokenizer], tmp_path: Path
                                                       ) -> None:
    compress(folder, tmp_path / "small", Options("seedlm4"))
    checkpoint = open_checkpoint(tmp_path / "small")
    job = Job(CONFIG, "ddr4-2400", (5, 17), 1)
    found, wanted = (next(demo(llama, model[1], job, no_progress)) for llama in (Llama(checkpoint), model[0]))
    assert found == wanted
    other = Job(EngineConfig(FP16, 64), "ddr4-2400", (5, 17), 1)
    with pytest.raises(UserError, match=r"q_proj.weight in .* is compressed in seedlm4, and the engine is for fp16"):
        next(demo(Llama(checkpoint), model[1], other, no_progress))


class Engine(GoldenLinear):
    """Linear layers on an engine, computed by golden, so that no simulator is built for another format."""

    def __init__(self, device: EngineConfig, config: EngineConfig, read: Callable[[str], StoredMatrix]) -> None:
        def own(name: str) -> StoredMatrix:
            matrix = read(name)
            assert matrix.fmt == device.fmt == config.fmt
            return matrix

        super().__init__(own)
        self.runs: list[Counters] = []
        self.loaded: set[tuple[str, ...]] = set()

    def load(self, names: Sequence[str]) -> None:
        self.loaded.add(tuple(names))

    def __call__(self, names: Sequence[str], x: torch.Tensor) -> list[torch.Tensor]:
        assert tuple(names) in self.loaded
        self.runs.append(Counters(**{each.name: len(names) for each in fields(Counters)}))
        return super().__call__(names, x)


def test_a_folder_of_several_formats_speaks_through_an_engine_for_each(
        folder: Path, model: tuple[Llama, Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compress(folder, tmp_path / "mixed", Options(bits=4.4, formats="8,3,16 4,2,8"))
    checkpoint = open_checkpoint(tmp_path / "mixed")
    llama = Llama(checkpoint)
    engines = engine_of(checkpoint, matrices(llama), CONFIG)
    queries_keys_values = llama.matrices(0)[0]
    assert {engines[name].name for name in queries_keys_values} == {"seedlm4", "4,2,8"}  # they share an input
    assert engines["model.embed_tokens.weight"] == CONFIG
    monkeypatch.setattr(room, "NativeDevice", lambda config, memory: nullcontext(config))
    monkeypatch.setattr(room, "DeviceLinear", Engine)
    row = next(demo(llama, model[1], Job(CONFIG, "ddr4-2400", (5, 17), 1), no_progress))
    assert row.bit_exact
    assert row.cycles == len(engines)  # the runs of both engines count
    assert row.format == "seedlm4 and 4,2,8"
    with pytest.raises(UserError, match=r"are compressed in .*seedlm4.*, and the engine for all others is one of"):
        engine_of(checkpoint, matrices(llama), EngineConfig(FP16, 64))


def test_a_text_longer_than_the_context(model: tuple[Llama, Tokenizer]) -> None:
    with pytest.raises(UserError, match="a text of 129 tokens is longer than the context of"):
        next(demo(*model, Job(CONFIG, "ddr4-2400", (5,) * 100, 30), no_progress))
