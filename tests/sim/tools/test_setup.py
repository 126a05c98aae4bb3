"""Set-up of tools that pip does not bring, on a machine where they cannot be had."""

import os
import shutil
import sys

import pytest

from sim.tools import setup


@pytest.fixture(autouse=True)
def _no_tools_and_no_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_icarus_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["setup", "icarus", "chromium"])
    with pytest.raises(SystemExit) as ended:
        setup.main()
    assert ended.value.code == 2
    message = capsys.readouterr().err  # of both, so that one command brings both
    assert message.startswith(
        "error: Icarus Verilog is not installed: run `apt-get install iverilog` as root\nnote: Chromium is not")


def test_icarus_where_possible(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["setup", "--where-possible", "icarus"])
    setup.main()
    assert capsys.readouterr().err == (
        "note: Icarus Verilog is not installed: run `apt-get install iverilog` as root\n")


def test_chromium_can_be_done_without(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["setup", "chromium"])
    setup.main()
    message = capsys.readouterr().err
    assert message.startswith("note: Chromium is not installed, so the report page will not be looked at in a browser")
    assert "apt-get install chromium chromium-driver" in message
