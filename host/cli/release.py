"""The command that makes a release."""

from pathlib import Path
from typing import Annotated

import typer

from host.cli.reporting import speaks

__all__ = ["release"]

_NONE = "none"
"""What stands for no bitstreams or cores."""


@speaks
def release(bitstreams: Annotated[str, typer.Option(help="Bitstreams, board/format, separated by blanks; by default "
                                                         "three of each board; or none.")] = "",
            cores: Annotated[str, typer.Option(help="Formats of IP cores, separated by blanks; by default seedlm4 and "
                                                    "seedlm3; or none.")] = "",
            out: Annotated[Path | None, typer.Option(help="Folder to fill; by default build/release.")] = None) -> None:
    """Make a release: wheel, sources, IP cores, bitstreams, and SHA256SUMS. Bitstreams take a quarter of an hour each,
    unless they are there already."""
    from host.folders import report_folder
    from host.progress import work_progress
    from host.release import release as making
    from host.release.versions import unreleased

    def chosen(given: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return () if given == _NONE else tuple(dict.fromkeys(given.split())) or default

    folder = report_folder(str(out.absolute()) if out else "release")
    with work_progress() as progress:
        made = making.release(folder, chosen(bitstreams, making.BITSTREAMS), chosen(cores, making.CORES), progress)
    if unreleased():
        typer.echo("note: CHANGELOG.md has changes that are in no version yet", err=True)
    print(*made, sep="\n")
