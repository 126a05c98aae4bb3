"""What every measuring command leaves behind: ``build/<name>/report.json``, the same rows as a table, and charts."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from golden.tree import ROOT
from host.errors import CheckError
from sim.tools.toolchain import versions

__all__ = ["Column", "Row", "cells", "environment", "markdown", "show", "write"]

Row = dict[str, Any]
Column = tuple[str, str, str]
"""Key of a row, heading, and format specification of the value."""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def environment() -> Row:
    """Tool versions, machine, date (UTC), commit and command, for a report."""
    def git(*args: str) -> str:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    commit = git("rev-parse", "HEAD")
    return {
        "versions": {"python": platform.python_version(), **versions()},
        "machine": _processor(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit + ("-dirty" if commit and git("status", "--porcelain") else ""),
        "command": shlex.join(["python", "-m", "host", *sys.argv[1:]]),
    }


def require_exact(rows: list[Row], name: str) -> None:
    """Refuse results that are not golden's; ``name`` is a format string that names a row by its keys.

    Raises
    ------
    CheckError
    """
    if wrong := [name.format_map(row) for row in rows if not row["bit_exact"]]:
        raise CheckError(f"results differ from golden: {', '.join(wrong)}")


def write(folder: Path, configuration: Row, rows: list[Row]) -> Path:
    """Write ``report.json`` into ``folder`` and remove charts, which show older rows; its path."""
    for chart in (*folder.glob("*.svg"), *folder.glob("*.png")):
        chart.unlink()
    path = folder / "report.json"
    part = folder / "report.json.part"
    part.write_text(json.dumps({"environment": environment(), "configuration": configuration, "results": rows},
                               indent=1) + "\n")
    part.replace(path)
    return path


def cells(row: Row, columns: tuple[Column, ...]) -> list[str]:
    """Values of a row as text, one for each column."""
    def cell(value: Any, spec: str) -> str:
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "NO"
        return format(value, spec)

    return [cell(row.get(key), spec) for key, _, spec in columns]


def show(title: str, columns: tuple[Column, ...], rows: list[Row]) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1), pad_edge=False)
    for _, heading, spec in columns:
        table.add_column(heading, justify="right" if spec else "left", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row, columns), end_section=bool(row.get("section")))
    Console(width=None if os.isatty(1) else 140).print(table)


def markdown(columns: tuple[Column, ...], rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(heading for _, heading, _ in columns) + " |",
             "|" + "|".join("---:" if spec else "---" for _, _, spec in columns) + "|"]
    lines += ["| " + " | ".join(cells(row, columns)) + " |" for row in rows]
    return "\n".join(lines) + "\n"
