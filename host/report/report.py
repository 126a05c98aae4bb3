"""One page of all reports: ``build/report/index.html``, from every ``report.json`` below ``build/``."""

from pathlib import Path

from host.errors import UserError
from host.folders import write_whole
from host.report.environment import environment
from host.report.html import Section, page, section
from host.report.kinds import KINDS, Kind, kind_of
from host.report.reader import Report, read

__all__ = ["write_page"]


def _section(kind: Kind, reports: list[Report]) -> Section:
    """Return the section of the reports of one kind; UserError when they cannot be shown."""
    try:
        return section(kind, reports)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # What another version of this program wrote, or another program.
        names = " or ".join(str(report.path) for report in reports)
        raise UserError(f"cannot show {names} ({type(error).__name__}: {error}): run `{kind.command}` again, or delete "
                        "it") from error


def write_page(build: Path, folder: Path) -> Path:
    """Make ``index.html`` in ``folder``, the page of all reports below ``build``, and return its path.

    Raises
    ------
    UserError
        When there is no report, or one that cannot be shown.
    """
    reports = read(build)
    if not reports:
        raise UserError(f"there is no report in {build}: make one first, for example with `make sim`")
    by_kind: dict[str, list[Report]] = {kind.name: [] for kind in KINDS}
    for found in reports:
        by_kind.setdefault(found.name.partition("/")[0], []).append(found)
    known = {kind.name: kind for kind in KINDS}
    sections = []
    for name, own in by_kind.items():
        if own:
            rows = [row for found in own for row in found.rows]
            kind = known.get(name) or kind_of(name, rows, own[0].environment.get("command", ""))
            sections.append(_section(kind, own))
    path = folder / "index.html"
    write_whole(path, page(environment(), sections, [kind for kind in KINDS if not by_kind[kind.name]]))
    return path
