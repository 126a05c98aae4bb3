"""Ctrl-C, SIGTERM and the end of a terminal at random moments of commands: one sentence, the status 128 + the number of
the signal, nothing left running, and the same command goes on to the same bytes. `make test` tries a few moments, `make
faults` 50 of each command."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.tree import BUILD
from tests.faults.commands import START, Command, moments

FEW = 2
COUNTS = [FEW, pytest.param(50, marks=pytest.mark.faults)]
"""Moments of each command."""
CONFIG = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
          "num_key_value_heads": 2, "vocab_size": 128}
KINDS = [(signal.SIGINT, True, 1), (signal.SIGINT, False, 1), (signal.SIGINT, True, 2), (signal.SIGTERM, False, 1),
         (signal.SIGHUP, True, 1)]
"""Signals, whether they go to all processes of the command, and how often."""


def shapes() -> dict[str, tuple[int, int]]:
    """The matrices of a small Llama's layer."""
    return {"self_attn.q_proj": (64, 64), "self_attn.k_proj": (32, 64), "self_attn.v_proj": (32, 64),
            "self_attn.o_proj": (64, 64), "mlp.gate_proj": (96, 64), "mlp.up_proj": (96, 64), "mlp.down_proj": (64, 96)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small Llama, as a file."""
    rng, path = np.random.default_rng(0), tmp_path / "model.safetensors"
    save_file({f"model.layers.{layer}.{name}.weight": rng.normal(0, 0.02, shape).astype(np.float32)
               for layer in range(4) for name, shape in shapes().items()}, path)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A build folder of its own, in which there are the simulators and kernels of the usual one."""
    build = tmp_path / "build"
    build.mkdir()
    for name in ("simulators", "verilog", "kernels", "tools"):
        (BUILD / name).mkdir(parents=True, exist_ok=True)
        (build / name).symlink_to(BUILD / name)
    return {"SEEDLM_BUILD": str(build)}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(report: Path) -> object:
    """The rows of a report, without when and where it was made."""
    return json.loads(report.read_text())["results"]


def try_moments(command: Callable[[Path], Command], outcome: Callable[[Path], object], folder: Path, count: int,
                warm: bool = True) -> None:
    """Interrupt a command that writes to a folder at some moments, each time with a new folder, and let it go on.

    Parameters
    ----------
    command : callable
        The command for a folder.
    outcome : callable
        What it leaves in the folder, which is the same after an interruption.
    warm : bool
        Whether to time a second run, which finds kernels and simulators built.
    """
    seconds = command(folder / "first").run()
    if warm:
        seconds = command(folder / "second").run()
    whole, early = outcome(folder / "first"), 0
    for n, moment in enumerate(moments(count, max(seconds, 2 * START))):
        out = folder / f"out-{n}"
        early += command(out).interrupted(moment, *KINDS[n % len(KINDS)])
        command(out).run()
        assert outcome(out) == whole, f"after {moment} s"
        shutil.rmtree(out)
    assert early < count


def compress(model: Path, out: Path, *more: str) -> list[str]:
    return ["compress", str(model), str(out), "--format", "8,3,13", "--slice-weights", "1", *more]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["alone", "processes"])
def test_compress(more: tuple[str, ...], count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    try_moments(lambda out: Command(compress(model, out, *more), environment), content, tmp_path, count)


def in_folder(out: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a command whose build folder is ``out``, where there are the simulators of ``environment``."""
    out.mkdir(exist_ok=True)
    for link in Path(environment["SEEDLM_BUILD"]).iterdir():
        if not (out / link.name).exists():
            (out / link.name).symlink_to(link)
    return environment | {"SEEDLM_BUILD": str(out)}


@pytest.mark.parametrize("count", COUNTS)
def test_sim(count: int, model: Path, environment: dict[str, str], tmp_path: Path) -> None:
    arguments = ["sim", "--model", str(model), "--formats", "seedlm4", "--bus", "32", "--memory", "ideal"]
    try_moments(lambda out: Command(arguments, in_folder(out, environment)),
                lambda out: results(out / "sim" / "report.json"), tmp_path, count)


@pytest.mark.parametrize("count", COUNTS)
def test_sweep(count: int, environment: dict[str, str], tmp_path: Path) -> None:
    shape = tmp_path / "tiny.json"
    shape.write_text(json.dumps(CONFIG))
    arguments = ["sweep", "--models", str(shape), "--formats", "seedlm4", "--memory", "ideal", "--bus", "32", "--exact",
                 "--matrices", "layer lm_head", "--workers", "2"]
    try_moments(lambda out: Command(arguments, in_folder(out, environment)),
                lambda out: results(out / "sweep" / "report.json"), tmp_path, count)


@pytest.mark.faults
def test_while_everything_is_built(model: Path, tmp_path: Path) -> None:
    """Each time the build folder is empty: the kernel, the Verilog and the simulator are made when the signal comes."""
    arguments = ["sim", "--model", str(model), "--formats", "seedlm4", "--bus", "32", "--memory", "ideal"]
    try_moments(lambda out: Command(arguments, {"SEEDLM_BUILD": str(out)}),
                lambda out: results(out / "sim" / "report.json"), tmp_path, 10, warm=False)


@pytest.mark.parametrize("arguments", [["bench-encode"], ["quality"], ["explore"], ["registers"]])
def test_other_commands(arguments: list[str], environment: dict[str, str]) -> None:
    """They are interrupted early on, during their imports or just after."""
    Command(arguments, environment).interrupted(START + 0.1)
