"""Links that leave docs/, and the pages on which the site shows what they lead to.

On a page of the repository, a link such as ``../hw/dma/read.py`` leads to a file of the same commit. The site has no
such file, so it shows the file on a page of its own, below ``source/``, and the link leads there. The documents at the
top of the repository become pages of the site too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from golden.tree import ROOT

__all__ = ["TOP", "BrokenLink", "first_sentence", "page_of", "rewritten", "source_page"]

TOP = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md",
       "SECURITY.md": "reporting.md"}
"""Documents at the top of the repository, and the pages that they are in the site."""
_LANGUAGES = {".py": "python", ".cpp": "cpp", ".c": "c", ".h": "c", ".sv": "verilog", ".v": "verilog", ".toml": "toml",
              ".json": "json", ".md": "markdown", ".yml": "yaml"}
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


class BrokenLink(Exception):
    """A link of a document leads to no file of the repository."""


def page_of(path: str) -> str:
    """Return the page, relative to docs/, that shows a file or folder of the repository.

    Raises
    ------
    BrokenLink
        When there is no such file or folder.
    """
    file = (ROOT / path).resolve()
    if not file.exists() or not file.is_relative_to(ROOT):
        raise BrokenLink(f"there is no {path} in the repository")
    if path in TOP:
        return TOP[path]
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    return f"source/{path}/index.md" if file.is_dir() else f"source/{path}.md"


def rewritten(text: str, path: str, page: str) -> tuple[str, set[str]]:
    """Return a document with its links as they are in the site, and what they lead to outside of docs/.

    Parameters
    ----------
    text : str
        The document, in Markdown.
    path : str
        Where it lies in the repository.
    page : str
        Its page, relative to docs/.

    Returns
    -------
    (str, set of str)
        The text, and the files and folders of the repository that need a page.

    Raises
    ------
    BrokenLink
        When a link leads to no file.
    """
    shown: set[str] = set()

    def link(match: re.Match[str]) -> str:
        target, hash_sign, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        goal = normpath(join(dirname(path), target))
        try:
            wanted = page_of(goal)
        except BrokenLink as error:
            raise BrokenLink(f"{path}: `{match[2]}` leads nowhere: {error}") from None
        if not goal.startswith("docs/") and goal not in TOP:
            shown.add(goal)
        if (ROOT / goal).is_dir() and goal.startswith("docs/"):
            wanted = f"{wanted}/README.md"
        return f"{match[1]}{relpath(wanted, dirname(page) or '.')}{hash_sign}{anchor}{match[3]}"

    pieces, start = [], 0
    for code in _CODE.finditer(text):
        pieces += [_LINK.sub(link, text[start:code.start()]), code[0]]
        start = code.end()
    return "".join([*pieces, _LINK.sub(link, text[start:])]), shown


def first_sentence(file: Path) -> str:
    """Return the first sentence of a module's docstring, or nothing for other files."""
    said = ast.get_docstring(ast.parse(file.read_text())) if file.suffix == ".py" else None
    return re.split(r"(?<=\.)\s", " ".join((said or "").split("\n\n")[0].split()))[0].rstrip(":")


def source_page(path: str, shown: set[str]) -> str:
    """Return the page, in Markdown, of a file or folder of the repository.

    Parameters
    ----------
    path : str
        Where it lies in the repository.
    shown : set of str
        Files that have pages; a folder's page links to them.
    """
    file = ROOT / path
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    if file.is_dir():
        return head + "\n".join(_listed(file, shown)) + "\n"
    text = file.read_text()
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text) or [""]))
    return f'{head}{fence}{{ .{_LANGUAGES.get(file.suffix, "text")} linenums="1" }}\n{text.rstrip()}\n{fence}\n'


def _listed(folder: Path, shown: set[str]) -> Iterator[str]:
    """Yield the lines of a folder's page: its modules, and what each is for."""
    for file in sorted(folder.rglob("*.py")):
        path, says = file.relative_to(ROOT).as_posix(), first_sentence(file)
        name = f"`{file.relative_to(folder).as_posix()}`"
        link = relpath(page_of(path), f"source/{folder.relative_to(ROOT).as_posix()}")
        yield f"- {f'[{name}]({link})' if path in shown else name}{f': {says}' if says else ''}"
