"""The command that makes the documentation's results."""

from typing import Annotated

import typer

from host.errors import CheckError

__all__ = ["results"]


def results(parts: Annotated[str, typer.Option(help="Parts, separated by blanks; by default all.")] = "",
            states: Annotated[bool, typer.Option(help="Only say which parts are up to date; exit status 1 unless all "
                                                      "are.")] = False,
            pages: Annotated[bool, typer.Option(help="Only write pages, tables and figures anew, from what is stored."
                                                )] = False) -> None:
    """Make every table, chart and quoted figure of the documentation anew, in docs/results; goes on where it was."""
    from host.results import run
    from host.results.parts import chosen

    wanted = chosen(parts)
    if states:
        troubles = [f"{part.name} is not up to date" for part in run.waiting(wanted)]
    else:
        troubles = run.write_documents() if pages else run.results(wanted)
    if troubles:
        raise CheckError("\n".join(troubles))
