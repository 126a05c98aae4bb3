"""What a command says when it cannot be heard, or is given what no file can be."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.tree import ROOT
from host.cli import main as cli
from host.cli.output import usable_output

LONG = "x" * 300


def host(*arguments: str, shell: str = "{}", **environment: str) -> tuple[int, str, str]:
    """Exit status and both outputs of ``python -m host`` in a shell, which may redirect them."""
    command = shell.format(f'"{sys.executable}" -m host "$@"')
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}", "host", *arguments], cwd=ROOT, timeout=60,
                          capture_output=True, check=False, env={**os.environ, **environment})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(("shell", "said"), [
    ("{} > /dev/full", "cannot write to the standard output (No space left on device)"),
    ("{} >&-", "the standard output is closed"),
    ("{} >&- 2>&-", ""), ("{} > /dev/full 2> /dev/full", "")])
def test_an_output_that_takes_nothing(shell: str, said: str) -> None:
    status, _, error = host("--help", shell=shell)
    assert status == 2
    assert error.startswith(f"error: {said}" if said else "")
    assert error.count("\n") == bool(said)


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    assert host("--help", shell="{} | true") == (141, "", "")


def test_warnings_for_the_user_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with usable_output():
        warnings.warn("all is\nlost\x1b", stacklevel=1)
    assert capsys.readouterr().err == "note: all is\\nlost\\x1b\n"
    with pytest.warns(UserWarning, match="as Python does"):
        warnings.warn("as Python does", stacklevel=1)


def test_what_a_descriptor_that_is_closed_cannot_spoil(tmp_path: Path) -> None:
    """No file of the command gets the number of an output, which what runs inside it might write to."""
    save_file({"a_proj.weight": np.ones((16, 16), np.float32)}, tmp_path / "m.safetensors")
    assert host("compress", str(tmp_path / "m.safetensors"), str(tmp_path / "out"), "--include", "*",
                shell="{} <&- 2>&-")[0] == 0
    assert host("inspect", str(tmp_path / "out"), PYTHONIOENCODING="ascii")[::2] == (0, "")


def test_no_file_takes_the_place_of_an_output() -> None:
    script = "import os; from host.cli.output import usable_output\nwith usable_output(): print(os.open(os.devnull, 0))"
    done = subprocess.run(["bash", "-c", f"'{sys.executable}' -c '{script}' <&- 2>&-"], cwd=ROOT, timeout=60,
                          capture_output=True, text=True, check=True)
    assert int(done.stdout) > 2


def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence of a command that refuses."""
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("arguments", [
    ("compress", "model", f"/tmp/{LONG}"), ("compress", LONG, "out"), ("compress", "model", "out", "--weighting", LONG),
    ("compress", "model", "model/file"), ("compress", "model", "model/file/x"), ("compress", "pipe", "out"),
    ("compress", "/dev/zero", "out"), ("inspect", LONG), ("inspect", "pipe"), ("decompress", LONG, "out"),
    ("sweep", "--models", "pipe"), ("sweep", "--models", f"{LONG}.json"), ("sweep", "--models", "model/folder.json"),
    ("ip", "--out", LONG), ("run", "--device", "serial:/dev/null", "--baseline", "model"),
    ("run", "--device", "serial:/dev/null", "--baseline", "pipe"),
    ("run", "--device", "serial:/dev/null", "--baseline", LONG)])
def test_what_is_no_file(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    save_file({"[/a]_proj.weight": np.ones((16, 16), np.float32)}, tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "file").touch()
    (tmp_path / "model" / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert ended(monkeypatch, capsys, *arguments).startswith("error: ")


def test_a_tensor_and_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    tensor = "[/x]\x1b[2J\n$\\frac$\u202e_proj.weight"
    model, out, back = (tmp_path / f"[red]{name}\r\udcff" for name in ("model", "out", "back"))
    model.mkdir()
    save_file({tensor: np.ones((16, 16), np.float32)}, model / "model.safetensors")
    for arguments in (("compress", model, out, "--include", "*_proj.weight"), ("inspect", out),
                      ("decompress", out, back)):
        monkeypatch.setattr(sys, "argv", ["host", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "[/x]\\x1b[2J\\n$\\frac$\\u202e_proj.weight" in shown
    assert "[red]out\\r\\udcff" in shown
