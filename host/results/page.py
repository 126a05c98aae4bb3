"""The pages of docs/results, and the tables of other documents that are taken from them.

Such a table stands behind a line like ``<!-- results: sim matrix=layer columns=format,cycles -->``: the name of a part,
which values its rows have, and which columns are shown, all of them by default.
"""

import re
import shlex
from collections.abc import Callable, Sequence

from host.errors import UserError
from host.results.parts import chosen
from host.results.store import Stored
from host.tables.tables import markdown

__all__ = ["index", "page", "with_tables"]

_EXCERPT = re.compile(r"(<!-- results: (.*?) -->\n)((?:\|.*\n)*)")


def _commit(environment: dict[str, str]) -> str:
    """Return a report's commit in short; of a tree with changes, this says so."""
    commit = environment["commit"]
    return commit[:7] + "-dirty" * commit.endswith("-dirty")


def _duration(seconds: int | None) -> str:
    """Return a duration in minutes, or in seconds where it is short; "-" where it is unknown."""
    return "-" if seconds is None else f"{seconds} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def index(parts: Sequence[Stored]) -> str:
    """Return the page that lists the others, in Markdown."""
    lines = ["# Results", "",
             "`make results` makes these pages and charts. One whose sources are the same since keeps its commit.", "",
             "| page | made of commit | on |", "|---|---|---|"]
    for stored in parts:
        made = [report["environment"] for report in stored.reports]
        lines.append(f"| [{stored.part.title}]({stored.part.name}.md) | {', '.join(dict.fromkeys(map(_commit, made)))} "
                     f"| {max(each['date'] for each in made)[:10]} |")
    return "\n".join(lines) + "\n"


def page(stored: Stored) -> str:
    """Return the page of a part, in Markdown."""
    part, columns_and_records = stored.part, stored.part.table(stored.rows)
    notes = [*part.notes(stored.reports), *(f"`{report['environment']['command']}` failed: {report['failed']}"
                                         for report in stored.reports if "failed" in report)]
    made = [(report["environment"], report.get("seconds")) for report in stored.reports]
    versions = dict.fromkeys(f"{name} {version}" for each, _ in made for name, version in each["versions"].items())
    blocks = [
        f"# {part.title}", part.text, markdown(*columns_and_records).rstrip(), "\n".join(f"- {note}" for note in notes),
        *(f"![{name}]({part.name}.{name}.svg)" for name in stored.charts),
        "\n".join(["| made by | commit | date | took | machine |", "|---|---|---|---:|---|",
                   *(f"| `{each['command']}` | {_commit(each)} | {each['date'][:10]} | {_duration(seconds)} | "
                     f"{each['machine']} |" for each, seconds in made)]),
        f"Versions: {', '.join(versions)}. All rows: [{part.name}.json]({part.name}.json). "
        f"`make results PARTS={part.name}` makes this page anew."]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(words: list[str], stored: Stored) -> str:
    """Return the rows and columns of a part's table that the words of a marker ask for."""
    columns, records = stored.part.table(stored.rows)
    known, names = {column.key: column for column in columns}, list[str]()
    for word in words:
        key, _, wanted = word.partition("=")
        if key == "columns":
            names = wanted.split(",")
        else:
            records = [record for record in records if str(record.get(key)) in wanted.split("|")]
    if not records or not known.keys() >= set(names):
        raise UserError(f"{stored.part.name} has no such rows or columns: {' '.join(words)!r}; mend the marker of the "
                        "table")
    columns = tuple(known[name] for name in names) or columns
    return markdown(columns, records)


def with_tables(text: str, stored: Callable[[str], Stored | None]) -> str:
    """Return a document with its tables as the results have them; where a part is not stored, they stay as they are.

    Parameters
    ----------
    stored : callable
        Returns a part by its name, as it is stored; None where it is not.

    Raises
    ------
    UserError
        When a marker names no part, or nothing that the part has.
    """
    def replaced(match: re.Match[str]) -> str:
        name, *words = shlex.split(match[2])
        part = stored(chosen(name)[0].name)
        return match[1] + (_table(words, part) if part else match[3])

    return _EXCERPT.sub(replaced, text)
