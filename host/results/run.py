"""Make the parts of docs/results: run their commands, store what they leave, and bring the documents up to date."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from time import monotonic

from golden.processes import end_trees
from golden.products import file_product
from golden.tree import REPORTS, ROOT
from host.errors import UserError
from host.folders import kept_folder, write_whole
from host.plots.engine_picture import engine_picture
from host.plots.scheme import with_scheme
from host.report.environment import changed_sources, environment
from host.results.page import index, page, with_tables
from host.results.parts import PARTS, Command, Part
from host.results.quoted import QUOTES
from host.results.quotes import Results, rewritten
from host.results.store import DOCUMENTS, Made, Stored, digest, load, save, state

__all__ = ["documents", "make", "pages", "results", "run", "waiting", "write_documents"]


class _Failed(Exception):
    """A command did not leave a report."""


def run(command: Command, may_fail: bool) -> Made:
    """Run a command as a user would, and return its report and charts.

    Its error output goes where this one's goes; where a failure is a result, it is shown at the command's end.

    Raises
    ------
    _Failed
        When it ends in another status than 0, or 1 where that is a result.
    """
    folder = REPORTS / command.report
    (folder / "report.json").unlink(missing_ok=True)  # so that what is there afterwards is of this run
    print(f"python -m host {command.text}", flush=True)
    start = monotonic()
    # In a group of its own, so that Ctrl-C reaches this process alone, which ends the command without another word.
    process = subprocess.Popen([sys.executable, "-m", "host", *command.arguments], cwd=ROOT, text=True, process_group=0,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE if may_fail else None)
    try:
        said = process.communicate()[1] or ""
    except BaseException:
        end_trees({process.pid})
        process.wait()
        raise
    sys.stderr.write(said)
    if process.returncode and not (may_fail and process.returncode == 1):
        raise _Failed(f"`python -m host {command.text}` ended with status {process.returncode}")
    path = folder / "report.json"
    if path.exists():
        report = json.loads(path.read_text())
    elif process.returncode:
        report = {"environment": {**environment(), "command": f"python -m host {command.text}"}, "configuration": {},
                  "results": [], "failed": (said.splitlines() or ["no reason was given"])[-1].removeprefix("failed: ")}
    else:
        raise _Failed(f"`python -m host {command.text}` left no report")
    report["seconds"] = round(monotonic() - start)
    return Made(report, {path.stem: path.read_text() for path in sorted(folder.glob("*.svg"))})


def make(part: Part, folder: Path = DOCUMENTS, run: Callable[[Command, bool], Made] = run) -> None:
    """Make a part: run its commands and store what they leave.

    What a command has left is kept until the part is stored, so that a part of several commands goes on where it was
    interrupted.

    Raises
    ------
    _Failed
        When a command fails.
    """
    def content(command: Command) -> bytes:
        return json.dumps(vars(run(command, part.may_fail))).encode()

    kept, sources = kept_folder("results"), digest(part)  # of now: they may change while commands run
    paths = [kept / f"{digest(part, command)[:24]}.json" for command in part.commands]
    made = [Made(**json.loads(file_product(path, partial(content, command))))
            for path, command in zip(paths, part.commands, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    save(part, sources, made, folder)
    for path in paths:
        path.unlink()


def documents() -> list[Path]:
    """Return the documents that quote results, or have tables of them."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def pages(stored: Callable[[str], Stored | None]) -> tuple[dict[Path, str], list[str]]:
    """Return all documents as the stored parts have them, by path: the pages and charts of docs/results, the engine's
    picture, and the others with their tables and quotes. Then there is a sentence for each table or quote that has to
    be mended by hand.
    """
    parts = [part for name in PARTS if (part := stored(name))]
    found = {DOCUMENTS / f"{part.part.name}.md": page(part) for part in parts}
    found[DOCUMENTS / "README.md"] = index(parts)
    charts = [DOCUMENTS / f"{part.part.name}.{name}.svg" for part in parts for name in part.charts]
    found |= {path: with_scheme(path.read_text()) for path in charts if path.exists()}
    found[ROOT / "docs" / "engine.svg"] = engine_picture()
    troubles = []
    for path in documents():
        text = path.read_text()
        try:
            text = with_tables(text, stored)
        except UserError as trouble:
            troubles.append(f"in {path.relative_to(ROOT)}, {trouble}")
        found[path], more = rewritten(text, [quote for quote in QUOTES if ROOT / quote.document == path],
                                      Results(stored))
        troubles += more
    return found, troubles


def write_documents() -> list[str]:
    """Write all documents as the stored parts have them; return the second value of :func:`pages`."""
    written, troubles = pages(cache(lambda name: load(PARTS[name])))
    for path, text in written.items():
        if not path.exists() or path.read_text() != text:
            write_whole(path, text)
            print(f"wrote {path.relative_to(ROOT)}")
    return troubles


def waiting(parts: Sequence[Part]) -> list[Part]:
    """Print of each part whether it is up to date, stale or missing, and how long it takes; return those that are not
    up to date."""
    found = {part.name: state(part) for part in parts}
    for part in parts:
        print(f"{part.name:16}{found[part.name]:12}about {part.minutes} min", flush=True)
    return [part for part in parts if found[part.name] != "up to date"]


def results(parts: Sequence[Part]) -> list[str]:
    """Make the parts that are stale or missing, and bring all documents up to date.

    Returns
    -------
    list of str
        A sentence for each part that failed, and for each table or quote that has to be mended by hand.

    Raises
    ------
    UserError
        When files of the tree differ from its commit, or it has none.
    """
    stale, failed = waiting(parts), []
    if stale and not environment()["commit"]:
        raise UserError("results are of a commit, and this tree has none: clone the repository with git")
    if stale and (changed := changed_sources()):
        raise UserError(f"results are of a commit, and {changed[0]} differs from it: commit or undo your changes "
                        "outside of README.md and docs/ first")
    for part in stale:
        try:
            make(part)
        except _Failed as failure:
            failed.append(f"{part.name} failed: {failure}")
            print(failed[-1], file=sys.stderr, flush=True)
    return [*failed, *write_documents()]
