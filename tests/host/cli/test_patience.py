"""Programs that say nothing, behind a line that says that they work."""

import subprocess
import sys

import pytest

from golden.tree import ROOT
from host.cli.patience import main

PROGRAM = [sys.executable, "-c", "import sys; print('said'); sys.exit(3)"]


def test_the_status_and_the_output_are_the_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["installing", "60", *PROGRAM]) == 3
    assert capfd.readouterr() == ("said\n", "")


def test_it_needs_no_package() -> None:
    """In an environment that is about to get its first one. What stays is a line now and then on a terminal, too."""
    program = "import sys, host.cli.patience; print({'rich', 'numpy', 'typer'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "set()\n"
