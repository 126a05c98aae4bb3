"""The command that makes the documentation's results."""

from typing import Annotated

import typer

__all__ = ["results"]


def results(parts: Annotated[str, typer.Option(help="Parts, separated by blanks; by default all.")] = "",
            states: Annotated[bool, typer.Option(help="Only say which parts are up to date; exit status 1 unless all "
                                                      "are.")] = False) -> None:
    """Make every table, chart and quoted figure of the documentation anew, in docs/results; goes on where it was."""
    from host.results.parts import chosen
    from host.results.run import results as make

    make(chosen(parts), states)
