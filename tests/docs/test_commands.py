"""Every command that the documentation shows is one: it is parsed as the shell and the command line would, not run."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from golden.tree import ROOT
from host.cli.main import app

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUP = typer.main.get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
STARTS = (["seedlm-fpga"], ["python", "-m", "host"], [".venv/bin/python", "-m", "host"])


def commands(text: str) -> list[list[str]]:
    """The lines of the shell's code blocks as words, without comments, pipes and redirections."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.split(r"\s[|>]", line)[0], comments=True)
            found += [words] if words else []
    return found


def taken(target: str) -> set[str]:
    """Variables that a target of make takes."""
    match = re.search(rf"^takes\.{target} = (.*)$", MAKEFILE, re.MULTILINE)
    streams = re.search(r"^streams = (.*)$", MAKEFILE, re.MULTILINE)
    assert streams
    return set((match[1] if match else "").replace("$(streams)", streams[1]).split())


def check(words: list[str]) -> None:
    """Raise when a command of ours has an option, a variable or a name that there is not."""
    for start in STARTS:
        if words[:len(start)] == start and not words[len(start)].startswith("-"):
            name, *arguments = words[len(start):]
            GROUP.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert targets
        assert set(targets) <= TARGETS, words
        for variable in (word.partition("=")[0] for word in words[1:] if "=" in word):
            assert all(variable in taken(target) for target in targets), words


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands(path: Path) -> None:
    for words in commands(path.read_text()):
        check(words)


@pytest.mark.parametrize("name", ["start-models", "start-fpga", "start-students"])
def test_each_door_has_a_quick_start(name: str) -> None:
    """It shows commands of ours, and leads on."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    ours = [words for words in commands(text) if words[0] in ("make", "seedlm-fpga")]
    assert len(ours) >= 3
    assert "**Next:**" in text


@pytest.mark.parametrize("line", ["make simulate", "make sim LAYERS=3", "make sweep MEMORY=hbm2"])
def test_a_wrong_target_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        check(line.split())


@pytest.mark.parametrize("line", ["seedlm-fpga sim --layers 3", "python -m host run", "seedlm-fpga compress only-one"])
def test_a_wrong_option_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"layers|device|OUT|out"):
        check(line.split())
