"""The roofline on a small engine: what it takes of a memory is measured, and near to all of it."""

import json
from pathlib import Path

import pytest

from host import folders
from host.cli import simulate as cli
from host.measure import roofline


def test_an_engine_takes_what_memory_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    monkeypatch.setattr(roofline, "_BEATS", 2000)
    cli.roofline(formats="seedlm4", memories="ideal", bus=32)
    (row,) = json.loads((tmp_path / "roofline" / "report.json").read_text())["results"]
    assert (tmp_path / "roofline" / "roofline.svg").stat().st_size > 10_000
    assert row["bit_exact"]
    assert row["limit_of_peak"] == 1
    assert row["limit_bytes_per_s"] is None  # it has no clock
    # In so short a run its ends weigh a little.
    assert 0.98 < row["achieved_fraction"] == row["peak_fraction"] < 1.01


def test_an_unknown_memory_is_refused() -> None:
    with pytest.raises(Exception, match="unknown memory 'ddr9'"):
        cli.roofline(formats="seedlm4", memories="ideal ddr9", bus=32)
