"""Names of devices: their kinds, paths and options."""

import re
from pathlib import Path
from typing import Any

import pytest

from golden.tree import ROOT
from host.device.names import KINDS, open_device
from host.errors import UserError
from host.update import no_progress


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions that open cards and UIO devices are given."""
    kept = dict[str, Any]()

    def kind(name: str) -> Any:
        def opened(path: Path, **options: Any) -> str:
            kept.clear()
            kept.update({"path": path} | options)
            return name
        return opened

    for name in ("xdma", "uio"):
        monkeypatch.setattr(f"host.device.{name}.open_{name}", kind(name))
    return kept


@pytest.mark.parametrize(("name", "options"), [
    ("xdma:/dev/xdma0", {}),
    ("xdma:/dev/xdma1,bytes=4G,base=0x100000000,registers=65536,event=3,poll=1,mhz=62.5",
     {"size": 4 << 30, "base": 1 << 32, "registers": 0x10000, "event": 3, "poll": True, "clock_hz": 62.5e6}),
    ("xdma:/dev/xdma0,bytes=512m,poll=0", {"size": 512 << 20, "poll": False}),
    ("xdma:/dev/xdma0,bytes=0x1000", {"size": 4096}),
    ("xdma:/dev/xdma0,bytes=2T", {"size": 2 << 40}),
    ("xdma:/dev/xdma0,bytes=3K", {"size": 3 << 10}),
    ("uio:/dev/uio3", {}),
    ("uio:/dev/uio0,buffer=/dev/udmabuf0,base=0,registers=0x40,poll=1,mhz=100",
     {"buffer": Path("/dev/udmabuf0"), "base": 0, "registers": 64, "poll": True, "clock_hz": 1e8})])
def test_names(name: str, options: dict[str, Any], given: dict[str, Any]) -> None:
    kind, path = name.split(",")[0].split(":")
    assert open_device(name, no_progress) == kind  # type: ignore[comparison-overlap]
    assert given == {"path": Path(path), "update": no_progress} | options


@pytest.mark.parametrize("name", ["", "xdma", "xdma:", "pcie:/dev/xdma0", "/dev/xdma0", "xdma:,poll=1", "{}:{}"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"unknown device {name!r}: give one such as serial:/dev/ttyUSB0, "
                                                  "xdma:/dev/xdma0, uio:/dev/uio0")):
        open_device(name, no_progress)


@pytest.mark.parametrize(("name", "message"), [
    ("xdma:/dev/xdma0,patience=1",
     "has no option 'patience': those of xdma are base, bytes, registers, event, poll, mhz"),
    ("uio:/dev/uio0,bytes=4G", "has no option 'bytes': those of uio are buffer, base, registers, poll, mhz"),
    ("serial:/dev/ttyUSB0,poll=1", "has no option 'poll': those of serial are patience"),
    ("xdma:/dev/xdma0,", "has no option ''"),
    ("xdma:/dev/xdma0,{}=1", "has no option '{}'"),
    ("xdma:/dev/xdma0,poll=1,poll=0", "has the option poll twice: leave one out")])
def test_unknown_options(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"the device {name!r} {message}")):
        open_device(name, no_progress)


@pytest.mark.parametrize(("option", "values"), [
    ("bytes", ("", "0", "4X", "G", "-1", "1.5G", "4GB", "0x", "³")), ("base", ("", "x", "-1", "1G", "1_000")),
    ("registers", ("2", "", "-4")), ("event", ("", "a", "-1")), ("poll", ("", "2", "yes", "True")),
    ("mhz", ("", "0", "-1", "nan", "inf", "fast"))])
def test_wrong_values(option: str, values: tuple[str, ...]) -> None:
    legal = KINDS["xdma"].options[option].legal
    for value in values:
        name = f"xdma:/dev/xdma0,{option}={value}"
        with pytest.raises(UserError, match=re.escape(f"the option {option} of the device {name!r} must be {legal}, "
                                                      f"not {value!r}")):
            open_device(name, no_progress)


def test_legal_values_are_legal() -> None:
    """Every example in a message and in the documentation is accepted."""
    documentation = (ROOT / "docs" / "devices.md").read_text()
    for kind in KINDS.values():
        for name, option in kind.options.items():
            for example in option.legal.split(" such as ")[-1].split(" or "):
                option.parse(example)
            documented = re.findall(rf"`{name}=(\S+)`", documentation)
            assert documented, name
            for example in documented:
                option.parse(example)


def test_a_serial_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.device.serial_device.open_serial", lambda *arguments: arguments)
    monkeypatch.setattr("host.device.serial_device.SerialDevice", lambda *arguments: arguments)
    assert open_device("serial:/dev/ttyUSB0,patience=0.25", no_progress) == (  # type: ignore[comparison-overlap]
        ("/dev/ttyUSB0", 0.25), no_progress, 0.25)
    assert open_device("serial:/dev/ttyUSB1", no_progress) == (  # type: ignore[comparison-overlap]
        ("/dev/ttyUSB1", 1.0), no_progress, 1.0)
