"""The native simulator: the results and the cycles of cocotb's, memory at all addresses, and how it fails."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from unittest.mock import Mock

import numpy as np
import pytest

from golden.product import product
from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4
from golden.tree import ROOT
from host.device.driver import Driver
from hw.config import EngineConfig
from hw.registers.register_map import ID, OFFSETS, START, Status
from sim.device.cocotb_device import SimDevice, open_device
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights
from sim.tools import build as builder
from sim.tools.build import Build
from sim.tools.errors import SimulationError, ToolError

MEMORY = "ddr4-2400"
SHAPES = ((5, 30), (64, 128))


def small(fmt, bus_bits=64):
    return EngineConfig(fmt, bus_bits, max_rows=256, max_cols=1024)  # as in tests/host/measure/test_cycle_model.py


@pytest.fixture
def device():
    with NativeDevice(small(SEEDLM4), MEMORY) as opened:
        yield opened


def measured(device):
    """Counters of two products, from everywhere in the refresh interval and cycle by cycle about its end."""
    interval, rng, found = device.dram.refresh_interval, np.random.default_rng(1), []
    with device:
        driver = Driver(device, device.config)
        for rows, cols in SHAPES:
            weights, x = random_weights(device.config.fmt, rows, cols, rng), finite_halves(rng, cols)
            loaded = driver.load((weights, x))
            phases = [n / 16 for n in range(16)] + [(interval - n - 0.5) / interval for n in range(20)]
            for phase in phases if interval else [0]:
                device.align(phase)
                device.align(phase)  # once more changes nothing
                done = driver.run(loaded)
                assert done.y.tobytes() == product(weights, x, device.config.act_bits).tobytes()
                found.append(done.counters)
    return found


@pytest.mark.parametrize(("fmt", "memory", "bus_bits"), [
    (FP16, MEMORY, 64), (INT4, MEMORY, 64), (SEEDLM4, MEMORY, 64), (SEEDLM3, MEMORY, 64), (SEEDLM4, "paper", 32)],
    ids=str)
def test_cycles_are_those_under_cocotb(fmt, memory, bus_bits):
    config = small(fmt, bus_bits)
    found = measured(NativeDevice(config, memory))
    assert found == measured(SimDevice(config, memory, 1 << 18, "verilator"))
    if memory == MEMORY:
        assert len({counters.cycles for counters in found}) > 10  # so that a cycle's difference in phase would show


def test_which_simulator_is_used(monkeypatch):
    config = small(SEEDLM4)
    with open_device(config, MEMORY, 1 << 18, "verilator") as device:
        assert isinstance(device, NativeDevice)
    monkeypatch.setenv("WAVES", "1")
    monkeypatch.setattr("sim.device.cocotb_device.SimDevice", lambda *arguments: arguments)
    assert open_device(config, MEMORY, 1 << 18, "verilator", 4096) == (config, MEMORY, 1 << 18, "verilator", 4096)
    monkeypatch.delenv("WAVES")
    assert open_device(config, MEMORY, 1 << 18, "icarus") == (config, MEMORY, 1 << 18, "icarus", 0)


def test_registers(device):
    assert device.read_register(OFFSETS["ID"]) == ID
    device.write_register(OFFSETS["ROWS"], 0xDEAD_BEEF)
    assert device.read_register(OFFSETS["ROWS"]) == 0xDEAD_BEEF
    with pytest.raises(SimulationError, match="register 0xfc: SLVERR"):
        device.read_register(0xFC)
    with pytest.raises(SimulationError, match="register 0x0: SLVERR"):
        device.write_register(OFFSETS["ID"], 1)
    assert device.read_register(OFFSETS["ID"]) == ID


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_only_an_interrupt_that_is_enabled_ends_a_wait(simulator):
    config, rng = small(FP16, 32), np.random.default_rng(1)
    with open_device(config, "ideal", 1 << 20, simulator) as device:
        def register(name, value=None):
            return (device.read_register(OFFSETS[name]) if value is None else
                    device.write_register(OFFSETS[name], value))

        assert (register("IRQ_ENABLE"), register("IRQ_PENDING")) == (0, 0)
        driver = Driver(device, config)
        driver.run(driver.load((random_weights(FP16, 8, 64, rng), finite_halves(rng, 64))))
        assert (register("IRQ_ENABLE"), register("IRQ_PENDING")) == (1, 0)
        register("IRQ_ENABLE", 0)
        register("CONTROL", START)
        with pytest.raises(SimulationError, match=f"register {OFFSETS['ROWS']:#x}: SLVERR"):
            register("ROWS", 1)  # during a run
        assert not device.wait(1000)
        assert (register("ROWS"), register("IRQ_PENDING")) == (8, 1)
        assert Status.from_bits(register("STATUS")).done
        register("IRQ_ENABLE", 1)
        assert device.wait(1)
        register("IRQ_PENDING", 1)
        assert not device.wait(10)


def test_a_wait_for_an_interrupt_that_does_not_come(device):
    assert device.wait(100) is False


def test_memory_spans_all_addresses_and_takes_no_room(device):
    """The last bytes of 4 GB are as good as the first, and what was never written is zero."""
    assert device.memory_bytes == 1 << 32
    for address in (0, 4096, device.memory_bytes - 11):
        device.write_memory(address, b"hello world")
        assert device.read_memory(address, 11) == b"hello world"
    assert device.read_memory(1 << 31, 8192) == bytes(8192)
    assert os.fstat(device._memory.fileno()).st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(("address", "count"), [((1 << 32) - 3, 4), (1 << 32, 1), (-1, 1), (1 << 40, 8)])
def test_memory_beyond_its_end(device, address, count):
    message = f"{count} bytes at {address:#x} leave the memory of 4294967296 bytes"
    with pytest.raises(SimulationError, match=message):
        device.write_memory(address, bytes(count))
    with pytest.raises(SimulationError, match=message):
        device.read_memory(address, count)


@pytest.mark.parametrize("base", [0, 12288, 3 << 40])
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_memory_begins_at_its_base(simulator, base):
    config = replace(small(FP16, 32), addr_bits=48 if base >> 32 else 32)
    with open_device(config, "ideal", 1 << 20, simulator, base) as device:
        assert device.memory_base == base
        end = base + device.memory_bytes
        for address in (base, base + 4096, end - 12):
            device.write_memory(address, b"hello world!")
            assert device.read_memory(address, 12) == b"hello world!"
        for address, count in ((base - 4, 4), (base - 4, 1 << 30), (end - 4, 8), (end, 4), (0, 4) if base else (-4, 4)):
            message = f"^{count} bytes at {address:#x} leave the memory of {device.memory_bytes} bytes"
            with pytest.raises(SimulationError, match=message):
                device.write_memory(address, bytes(count))
            with pytest.raises(SimulationError, match=message + (f" at {base:#x}$" if base else "$")):
                device.read_memory(address, count)


def died(raised):
    """The lines of the message of a simulator that died, and the content of its log, which is removed."""
    lines = str(raised.value).splitlines()
    log = Path(lines.pop().removeprefix("log: "))
    content = log.read_text()
    log.unlink()
    return lines, content


def test_a_simulator_that_is_killed(device):
    os.kill(device._process.pid, signal.SIGKILL)
    with pytest.raises(SimulationError) as first:
        device.read_register(OFFSETS["ID"])
    with pytest.raises(SimulationError) as second:
        device.wait(1)
    assert str(first.value) == str(second.value)
    device.close()
    assert died(first) == (["the simulator ended before its work was done (SIGKILL); its last lines:"], "")


def test_a_failed_check_of_the_design_is_reported(tmp_path, monkeypatch):
    """A program that prints and ends stands in for the compiled design, whose checks do the same."""
    (tmp_path / "top").write_text("#!/bin/sh\necho '%Error: top.sv:7: Assertion failed' >&2\nexit 3\n")
    (tmp_path / "top").chmod(0o755)
    monkeypatch.setattr("sim.device.native_device.build", lambda *_, **__: Build("verilator", tmp_path, False))
    with pytest.raises(SimulationError) as raised:
        NativeDevice(small(SEEDLM4), MEMORY)
    last = "%Error: top.sv:7: Assertion failed"
    assert died(raised) == (["the simulator ended before its work was done (exit status 3); its last lines:", last],
                            last + "\n")
    assert [path.name for path in tmp_path.iterdir()] == ["top"]


def standing_in(tmp_path, monkeypatch, *lines):
    """A shell script in place of the simulator."""
    (tmp_path / "top").write_text("\n".join(["#!/bin/sh", "read line", "echo 0 0", *lines, ""]))
    (tmp_path / "top").chmod(0o755)
    monkeypatch.setattr("sim.device.native_device.build", lambda *_, **__: Build("verilator", tmp_path, False))
    return NativeDevice(small(SEEDLM4), MEMORY)


@pytest.mark.parametrize(("lines", "message"), [
    (["exec sleep 1000"], "the simulator does not answer, and was ended"),
    (["exec yes '1 2 3'"], "the simulator ended before its work was done"),
    (["exec tr '\\0' x < /dev/zero"], "the simulator ended before its work was done"),
])
def test_a_simulator_that_says_nothing_or_too_much(lines, message, tmp_path, monkeypatch):
    monkeypatch.setattr("sim.device.native_device._ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("sim.device.native_device._ENDING_SECONDS", 0.5)
    with standing_in(tmp_path, monkeypatch, *lines) as device:
        for _ in range(2):
            with pytest.raises(SimulationError, match=message):
                device.read_register(0)
            message = "the simulator ended before its work was done"


def test_a_command_that_was_interrupted_does_not_spoil_the_next(device):
    """Before, the next command was given the answer of the interrupted one."""
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        device.wait(1 << 40)
    for _ in range(2):
        with pytest.raises(SimulationError, match="interrupted in the middle of a command, and was ended: open"):
            device.read_register(OFFSETS["ID"])


def test_a_driver_that_was_interrupted(device):
    driver = Driver(device, device.config)
    loaded = driver.load((random_weights(device.config.fmt, 64, 64, np.random.default_rng(0)), finite_halves(
        np.random.default_rng(1), 64)))
    device.wait = Mock(side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.run(loaded)
    del device.wait
    assert driver.run(loaded).y.shape == (64,)  # between commands the device is as good as before


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_simulator_outlives_its_host(number, device):
    """The host of a run without an end is interrupted, or killed: then the simulator has to notice by itself."""
    program = device._process.args[0]
    # Whoever starts this in the background may have had interrupts ignored.
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sim.device.native_device import NativeDevice
from sim.tools.build import Build
from pathlib import Path
import sim.device.native_device
from golden.spec import FP16
from hw.config import EngineConfig
sim.device.native_device.build = lambda *_, **__: Build("verilator", Path({str(program.parent)!r}), False)
with NativeDevice(EngineConfig(FP16), {MEMORY!r}) as device:
    print(device._process.pid, device._log, flush=True)
    device.wait(1 << 60)
"""
    host = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True)
    pid, log = host.stdout.readline().split()
    assert running(pid)
    host.send_signal(number)
    host.communicate(timeout=60)
    deadline = monotonic() + 60
    while running(pid):
        assert monotonic() < deadline
        sleep(0.05)
    assert Path(log).exists() == (number == signal.SIGKILL)
    Path(log).unlink(missing_ok=True)


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_a_tool_that_is_missing(missing, tmp_path, monkeypatch):
    for tool in {"g++", "make"} - {missing}:
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=f"^{missing.replace('+', '[+]')} is not installed: run `apt-get install"):
        NativeDevice(small(SEEDLM4), MEMORY)


def test_a_compiler_that_fails(tmp_path, monkeypatch):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'g++: out of memory' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(builder, "BUILD", tmp_path / "build")
    with pytest.raises(ToolError, match=r"(?s)^verilator could not build System:\n.*out of memory.*\nlog: ") as raised:
        NativeDevice(small(SEEDLM4, 32), "ideal")
    log = Path(str(raised.value).splitlines()[-1].removeprefix("log: "))
    assert log.is_relative_to(tmp_path)
    assert "out of memory" in log.read_text()


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_a_command_under_cocotb_that_was_interrupted(simulator):
    with SimDevice(small(SEEDLM4), MEMORY, 1 << 20, simulator) as device:
        pid = device._process.pid
        before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            device.wait(1 << 24)
        signal.signal(signal.SIGALRM, before)
        for _ in range(2):
            with pytest.raises(SimulationError, match="interrupted in the middle of a command, and was ended: open"):
                device.read_register(OFFSETS["ID"])
        assert not running(pid)
