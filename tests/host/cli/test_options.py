"""The options of all commands together: a name means one thing, and a thing has one name."""

from collections import defaultdict

import typer.main

from host.cli.main import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
WORDED_APART = {
    "--bits": "stored bits of a weight: a budget, or widths to try",
    "--calibrate": "text for calibration, for one method or for others",
    "--cols": "columns of one matrix, or of all",
    "--format": "a format: of an engine, of a bitstream, of compressed weights",
    "--formats": "formats, which not all commands take alike",
    "--include": "globs of what to take: tensors or matrices",
    "--models": "models: files, folders, names in the hub's cache; of some commands also their mere shapes",
    "--out": "where what a command makes goes",
    "--workers": "processes of this machine",
}
"""Options whose help differs between commands though they mean the same: what that is."""


def helps() -> dict[str, dict[str, set[str]]]:
    """By option and help: the commands that have it."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, command in COMMANDS.items():
        for option in command.params:
            if option.param_type_name == "option":
                found[option.opts[0]][option.help].add(name)
    return found


def test_a_name_means_one_thing() -> None:
    """Commands that share an option share its sentence; a new one that does not is renamed, or explained above."""
    assert {option for option, texts in helps().items() if len(texts) > 1} == set(WORDED_APART)


def test_a_thing_has_one_name() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for option, texts in helps().items():
        for text in texts:
            names[text].add(option)
    assert {text: found for text, found in names.items() if len(found) > 1} == {}
