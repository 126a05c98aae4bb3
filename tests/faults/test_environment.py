"""The virtual environment that the Makefile makes: a kill at any moment does not leave it without pip for ever."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from golden.tree import ROOT

READY = ["make", "PYTHON=python3", ".venv/.ready"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and no environment yet."""
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def works(folder: Path) -> None:
    """Make the environment, and check that pip in it is whole."""
    done = subprocess.run(READY, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    python = folder / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True)
    subprocess.run([python, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "pip"], check=True,
                   capture_output=True)


def test_an_environment_without_pip_is_made_anew_and_a_whole_one_is_kept(folder: Path) -> None:
    subprocess.run(["python3", "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    works(folder)
    (folder / ".venv" / ".ready").unlink()
    (folder / ".venv" / "mine").touch()
    done = subprocess.run(READY, cwd=folder, capture_output=True, text=True, check=True)
    assert "creating" not in done.stdout
    assert (folder / ".venv" / "mine").exists()


@pytest.mark.faults
def test_kills_while_it_is_made(folder: Path) -> None:
    start = time.monotonic()
    works(folder)
    seconds, rng = time.monotonic() - start, random.Random(0)
    for _ in range(20):
        shutil.rmtree(folder / ".venv")
        process = subprocess.Popen(READY, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.8 * seconds))  # the moment is what is tried
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        works(folder)
