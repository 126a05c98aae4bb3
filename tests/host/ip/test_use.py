"""A package in use, in a folder outside the tree and without this project: its bench, FuseSoC, LiteX."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Environment = Callable[[str], dict[str, str]]


def run(*command: object, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def vlnv(package: Path) -> str:
    return str(json.loads((package / "manifest.json").read_text())["core"])


def test_this_project_cannot_be_imported_there(package: Path, environment: Environment) -> None:
    for name in ("golden", "hw", "sim", "host"):
        done = run(sys.executable, "-c", f"import {name}", cwd=package, env=environment("icarus"))
        assert "the package needs nothing of this project" in done.stderr


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_bench_passes(package: Path, environment: Environment, simulator: str) -> None:
    done = run(sys.executable, "-m", "pytest", "bench", cwd=package, env=environment(simulator))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
    results = list((package / "bench" / "build" / simulator).glob("*_results.xml"))
    checked = run(sys.executable, "bench/check_results.py", results[0], cwd=package, env=environment(simulator))
    assert (checked.returncode, checked.stdout) == (0, "5 tests, 0 failed\n")


@pytest.mark.parametrize("name", ["matrix0_results.bin", "matrix1_weights.bin"])
def test_the_bench_notices_a_bit(package: Path, environment: Environment, name: str) -> None:
    path = package / "bench" / "operands" / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    done = run(sys.executable, "-m", "pytest", "bench", cwd=package, env=environment("icarus"))
    assert done.returncode == 1
    results = next((package / "bench" / "build" / "icarus").glob("*_results.xml"))
    checked = run(sys.executable, "bench/check_results.py", results, cwd=package, env=environment("icarus"))
    assert checked.returncode == 1
    assert "a_chain_is_exact" in checked.stdout


def test_fusesoc_lints_the_core(package: Path, environment: Environment) -> None:
    done = run("fusesoc", "--cores-root", ".", "run", "--target=lint", vlnv(package), cwd=package,
               env=environment("verilator"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_fusesoc_simulates_the_core(package: Path, environment: Environment) -> None:
    variables, core = environment("icarus"), vlnv(package)
    found = [run("cocotb-config", flag, cwd=package, env=variables).stdout.strip()
             for flag in ("--libpython", "--pygpi-entry-point")]
    variables["GPI_USERS"] = ";".join(found)
    done = run("fusesoc", "--cores-root", ".", "run", "--target=sim", core, cwd=package, env=variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = package / "build" / core.replace(":", "_") / "sim" / "results.xml"
    checked = run(sys.executable, "bench/check_results.py", results, cwd=package, env=variables)
    assert (checked.returncode, checked.stdout) == (0, "5 tests, 0 failed\n")


@pytest.mark.parametrize("options", [("--target=default", "--tool=icarus"), ("--target=sim_verilator",),
                                     ("--target=synth",)])
def test_fusesoc_sets_up_the_other_targets(package: Path, environment: Environment, options: tuple[str, ...]) -> None:
    done = run("fusesoc", "--cores-root", ".", "run", "--setup", *options, vlnv(package), cwd=package,
               env=environment("verilator"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_litex_soc_computes_a_product(package: Path, environment: Environment) -> None:
    variables = environment("verilator")
    done = run(sys.executable, "litex/example_soc.py", "build/litex", cwd=package, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    script = f"""
from cocotb_test.simulator import run
run(simulator="verilator", toplevel="example_soc", module="tb_litex_soc", timescale="1ns/1ps",
    verilog_sources=["build/litex/example_soc.v", "rtl/seedlm4_32.sv"], python_search=[{str(Path(__file__).parent)!r}],
    sim_build="build/simulator", work_dir="build/litex", compile_args=["-Wno-fatal"],
    extra_env={{"PACKAGE": {str(package)!r}}})
"""
    done = run(sys.executable, "-c", script, cwd=package, env=variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "a_product_over_the_bus passed" in done.stdout + done.stderr


def test_the_wrapper_for_litex_refuses_a_bus_with_too_few_addresses(package: Path, environment: Environment) -> None:
    script = """
import sys; sys.path.insert(0, "litex")
from seedlm4_32 import Seedlm432
Seedlm432(None, address_width=24)
"""
    done = run(sys.executable, "-c", script, cwd=package, env=environment("verilator"))
    assert "the engine has addresses of 32 bits, and the bus of 24" in done.stderr
