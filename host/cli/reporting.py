"""Options of every command that prints something to look at: where its report goes, and how much of it is printed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from host.cli.output import set_aside
from host.errors import CheckError, TargetError, UserError

__all__ = ["lists", "reports", "speaks"]

_OPTIONS = {
    "json": (False, Annotated[bool, typer.Option(
        "--json", help="Print the report as JSON and nothing else; all other output goes to the standard error.")]),
    "quiet": (False, Annotated[bool, typer.Option(
        "--quiet", "-q", help="Print no progress and no table, only notes and errors.")]),
    "wide": (False, Annotated[bool, typer.Option("--wide", help="Show all columns of the table.")]),
    "out": (None, Annotated[Path | None, typer.Option(
        "--out", help="Folder for the report and its charts: a new one, an empty one, or one with an earlier report. "
                      "By default a folder below build.")]),
}
"""By name: default, and type as typer takes it."""


@contextmanager
def _usable(out: Path | None) -> Iterator[None]:
    """Make the folder of a report, which is removed again if the block leaves nothing in it.

    Raises
    ------
    UserError
        When it cannot be written, or holds other files: those of a report are replaced without a question.
    """
    from host.folders import report_folder

    if out is None:
        yield
        return
    made = not out.exists()
    if out.is_dir() and not (out / "report.json").exists() and any(out.iterdir()):
        raise UserError(f"{out} holds other files: give a new or empty folder, or one with an earlier report")
    try:
        report_folder(str(out.absolute()))
    except UserError:
        raise UserError(f"cannot write to the folder {out}: make it writable, or give another one with --out") from None
    try:
        yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def _with_options(command: Callable[..., None], names: tuple[str, ...]) -> Callable[..., None]:
    """Return a command that takes these of the options, too."""
    @wraps(command)
    def presenting(*args: Any, **given: Any) -> None:
        chosen = {name: given.pop(name) for name in names if name in given}
        as_json, quiet, out = chosen.get("json", False), chosen.get("quiet", False), chosen.get("out")
        from host.progress import silenced
        from host.report.presentation import Presentation, presented

        presentation = Presentation(chosen.get("wide", False), out)
        failure = None
        with _usable(out), presented(presentation):
            with silenced() if quiet else nullcontext(), set_aside(quiet) if as_json or quiet else nullcontext():
                try:
                    command(*args, **given)
                except (CheckError, TargetError) as error:  # the report is complete, and says what failed
                    failure = error
            if as_json:
                print(presentation.report, end="")
        if failure:
            raise failure

    own = signature(command)
    added = [Parameter(name, Parameter.KEYWORD_ONLY, default=_OPTIONS[name][0], annotation=_OPTIONS[name][1])
             for name in names]
    presenting.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    presenting.__annotations__ = {**command.__annotations__, **{name: _OPTIONS[name][1] for name in names}}
    return presenting


def reports(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command, which ends with :func:`host.report.writer.finish`, with the options of a report."""
    return _with_options(command, ("json", "quiet", "wide", "out"))


def lists(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command, which ends with :func:`host.report.writer.inventory`, with the options of a table."""
    return _with_options(command, ("json", "quiet", "wide"))


def speaks(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command, whose result is no report, with the option that makes it silent."""
    return _with_options(command, ("quiet",))
