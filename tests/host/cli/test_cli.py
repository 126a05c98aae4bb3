"""The command line as a user meets it: bad input ends in one sentence on stderr and exit status 2."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.tree import ROOT
from host import folders
from host.cli import main as cli
from host.tables.layer import LayerRow

SHAPES = {"self_attn.q_proj": (16, 16), "self_attn.k_proj": (8, 16), "self_attn.v_proj": (8, 16),
          "self_attn.o_proj": (16, 16), "mlp.gate_proj": (32, 16), "mlp.up_proj": (32, 16), "mlp.down_proj": (16, 32)}


def host(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m host`` from the project's folder."""
    return subprocess.run([sys.executable, "-m", "host", *arguments], capture_output=True, text=True, cwd=ROOT,
                          timeout=60, check=False, env={**os.environ, "COLUMNS": "120", **environment})


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a run that ended as bad input has to."""
    assert "Traceback" not in done.stderr + done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert done.returncode == 2
    return lines[0].removeprefix("error: ")


def model(folder: Path, value: float = 1.0) -> str:
    """A Llama of one layer, one weight of which is ``value``."""
    tensors = {f"model.layers.0.{part}.weight": np.ones(shape, np.float32) for part, shape in SHAPES.items()}
    tensors["model.layers.0.mlp.up_proj.weight"][1, 2] = value
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    return str(folder)


def path_of(folder: Path, *tools: str) -> str:
    """A PATH on which there are these tools and no others."""
    folder.mkdir()
    for tool in tools:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return str(folder)


@pytest.mark.parametrize(("arguments", "words"), [
    (("--help",), ("sim", "sim-paper")),
    (("sim", "--help"), ("--model", "--layer", "--rows", "--formats", "--memory", "--bus", "--sim"))])
def test_help(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = host(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(word in done.stdout for word in words)


def test_the_command_line_is_light() -> None:
    """It shows its help, and compresses, where neither Amaranth nor a simulator is installed, and without waiting."""
    heavy = ("numpy", "amaranth", "pyosys", "cocotb", "find_libpython", "matplotlib", "serial", "jinja2",
             "rich.progress")
    program = f"import sys, host.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_every_exception_of_the_command_line_exists() -> None:
    for module, name in (*cli._REFUSED, *cli._FAILED):
        assert issubclass(getattr(importlib.import_module(module), name), Exception)


def test_missing_extras_are_named_before_anything_is_done(monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    def ended(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["host", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().err

    monkeypatch.setattr(cli, "find_spec", lambda name: None if name in ("cocotb", "matplotlib") else importlib)
    assert ended("sim", "--memory", "ddr9") == (
        2, "error: this command needs packages that are not installed: run `pip install '.[sim,plots]'` in a "
        "checkout of seedlm-fpga\n")
    assert "'.[plots]'" in ended("area", "--configs", "none")[1]
    assert "cannot read /no/such/model" in ended("compress", "/no/such/model", "/no/such/folder")[1]


def test_extras_of_commands_are_those_that_make_installs() -> None:
    """The Makefile names the extras that the commands of its targets need."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(cli._PACKAGES) <= set(known)
    needed = {command.__name__.replace("_", "-"): set(extras) for command, extras in cli._COMMANDS}
    rules = re.findall(r"^[a-z-]+: (.*) ##.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    found = [(prerequisites, re.findall(r"\$\(BIN\)/python -m host ([a-z-]+)", recipe))
             for prerequisites, recipe in rules]
    assert {command for _, commands in found for command in commands} == (
        set(needed) - {"decompress", "evaluate", "inspect", "run", "seal"})
    for prerequisites, commands in found:
        if commands:
            extras = re.search(r"\$\(call extras,(.*?)\)", prerequisites)
            assert (set(extras[1].split()) if extras else set()) == set().union(*map(needed.get, commands)), commands


@pytest.mark.parametrize(("arguments", "message"), [
    (("--memory", "ddr9"), "unknown memory 'ddr9': MEMORY must be one of ddr4-2400, ddr4-3200, ddr3-1600"),
    (("--formats", "fp16 seedlm5"),
     "unknown format 'seedlm5': use fp16, int8, int4, int3, seedlm4, seedlm3, seedlm4x, seedlm4r, "
     "seedlm3r, trellis4, trellis3, trellis2, or C,P,K such as 8,3,16"),
    (("--formats", "8,3,99"), "block format: k must be an integer from 2 to 24, not 99"),
    (("--formats", " "), "no formats given: name some, for example --formats 'fp16 seedlm4'"),
    (("--bus", "100"), "engine: bus_bits must be a power of two from 32 to 1024, not 100"),
    (("--act-bits", "12"), "engine: act_bits must be 16 or 8, not 12"),
    (("--bus", "wide"), "Invalid value for '--bus'"),
    (("--sim", "vcs"), "unknown simulator 'vcs': SIM must be one of verilator, icarus"),
    (("--wave",), "No such option: --wave")])
def test_options_without_sense(arguments: tuple[str, ...], message: str) -> None:
    assert refused(host("sim", *arguments)).startswith(message)


def test_the_papers_job_checks_its_options_too() -> None:
    assert refused(host("sim-paper", "--memory", "ddr9")).startswith("unknown memory 'ddr9'")


def test_only_seedlm_compresses(tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    for name in ("int4", "fp16"):
        assert refused(host("compress", path, str(tmp_path / "out"), "--format", name)) == (
            f"{name} is not a SeedLM format with exponents: use seedlm4, seedlm3, seedlm4x, or C,P,K such as "
            "8,3,16")
    assert not (tmp_path / "out").exists()


def test_a_command_that_there_is_not() -> None:
    assert refused(host("paint")) == "No such command 'paint'."


def test_a_missing_model(tmp_path: Path) -> None:
    assert refused(host("sim", "--model", str(tmp_path / "none"))) == (
        f"cannot read {tmp_path}/none (No such file or directory): give a GGUF file, a .safetensors file or a "
        "Hugging Face folder")


def test_an_unknown_layer(tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    assert refused(host("sim", "--model", path, "--layer", "1")) == (
        f"no layer 1 in {path}, which has layers up to 0: choose another")


def test_a_truncated_gguf(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.ffn_up.weight", np.ones((32, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for size in (path.stat().st_size // 2, 3):
        os.truncate(path, size)
        assert refused(host("sim", "--model", str(path))).startswith(f"{path} is not a complete GGUF file")


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    path = model(tmp_path / "model", np.nan)
    assert refused(host("sim", "--model", path)).startswith(
        f"tensor model.layers.0.mlp.up_proj.weight in {path} contains NaN or infinity")


def test_weights_beyond_fp16(tmp_path: Path) -> None:
    path = model(tmp_path / "model", 1e6)
    assert refused(host("sim", "--model", path)).startswith(
        "up_proj: weights up to 1e+06 are beyond the range of fp16: scale the tensor, or leave fp16 out")
    assert refused(host("sim", "--model", path, "--formats", "int4")).startswith(
        "up_proj: weights up to 1e+06 are beyond the range of int4: scale the tensor, or leave int4 out")


@pytest.mark.parametrize(("arguments", "tools", "message"), [
    (("--sim", "icarus"), (), "Icarus Verilog is not installed: run `apt-get install iverilog`"),
    ((), ("make",), "g++ is not installed: run `apt-get install g++` as root"),
    ((), ("g++",), "make is not installed: run `apt-get install make` as root")])
def test_a_missing_tool(arguments: tuple[str, ...], tools: tuple[str, ...], message: str, tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    assert refused(host("sim", "--model", path, *arguments, PATH=path_of(tmp_path / "bin", *tools))).startswith(message)


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "build"


def a_file(folder: Path) -> Path:
    (folder / "build").touch()
    return folder / "build"


@pytest.mark.parametrize(("command", "place"), [("sim", below_a_file), ("sim-paper", a_file)])
def test_an_unwritable_build_folder(command: str, place: Callable[[Path], Path], tmp_path: Path) -> None:
    build = place(tmp_path)
    arguments = ("--model", model(tmp_path / "model")) if command == "sim" else ()
    assert refused(host(command, *arguments, SEEDLM_BUILD=str(build))).startswith(f"cannot write to {build}/{command}")


def test_a_result_that_differs_from_golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is printed and written all the same; the exit status is that of a failure, not of bad input."""
    baseline = LayerRow(
        matrix="q_proj", rows=2, cols=8, format="fp16", bits_per_weight=4.0, relative_error=0.1, cycles=9, beats=9,
        bytes=64, starved=0, refresh=0, stalled=0, drain=0, speedup=1.0, memory="ddr4-2400", limit_fraction=0.5,
        simulator="verilator", bit_exact=True, source="rtl", runs=1, cycles_min=9, cycles_max=9)
    rows = [baseline, replace(baseline, format="seedlm4", bit_exact=False)]
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    monkeypatch.setattr("host.measure.layer.simulate", lambda *_: rows)
    monkeypatch.setattr(sys, "argv", ["host", "sim", "--model", model(tmp_path / "model")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert printed.err == "failed: results differ from golden: q_proj seedlm4\n"
    assert "NO" in printed.out
    assert {path.name for path in (tmp_path / "sim").iterdir()} == {"report.json", "report.md", "speedup.png",
                                                                    "speedup.svg"}


@pytest.mark.parametrize(("name", "fmt"), [("simulators", "fp16"), ("verilog", "fp16"), ("tools", "fp16"),
                                           ("compressed", "2,1,2"), ("kernels", "2,1,2")])
def test_one_unwritable_folder_of_the_build(name: str, fmt: str, tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    (build / name).touch()
    path = model(tmp_path / "model")
    message = refused(host("sim", "--model", path, "--formats", fmt, "--bus", "32", SEEDLM_BUILD=str(build)))
    assert message.startswith("cannot ")
    assert str(build / name) in message


@pytest.mark.parametrize("words", [["-h"], ["sim", "-h"], ["compress", "--help"]])
def test_help_is_found_by_both_names(words: list[str]) -> None:
    done = host(*words)
    assert done.returncode == 0
    assert "Usage: seedlm-fpga" in done.stdout


def test_version_is_the_packages() -> None:
    done = host("--version")
    assert (done.returncode, done.stdout) == (0, f"seedlm-fpga {version('seedlm-fpga')}\n")


@pytest.mark.parametrize("command", [("sim", "--model", "org/name"), ("quality", "org/name"),
                                     ("explore", "--model", "org/name"), ("compress", "org/name", "OUT")])
def test_a_revision_that_is_not_in_the_cache(command: tuple[str, ...], tmp_path: Path) -> None:
    arguments = [str(tmp_path / "out") if part == "OUT" else part for part in command]
    found = refused(host(*arguments, "--revision", "v2", HF_HUB_CACHE=str(tmp_path)))
    assert found.startswith("there is no file or folder org/name, and no model of this name in the hub's cache")
    assert found.endswith("download the model with hf download org/name --revision v2")
    assert not (tmp_path / "out").exists()
