"""The engine's picture in the site: a part of the page, in which each box leads to its file and says what that is."""

import re
from html import escape
from posixpath import dirname, normpath, relpath

from site_sources import first_sentence, page_of

from golden.tree import ROOT

__all__ = ["PICTURE", "boxes", "inline_picture", "picture"]

PICTURE = "engine.svg"
"""The picture's file in docs/ and in the site."""
_LINK = re.compile(r'<a href="([^"]*)">')


_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*svg")


def _target(link: str) -> str:
    """Return the file of the repository that a link of the picture leads to."""
    return normpath(f"docs/{link}")


def _drawing() -> str:
    return (ROOT / "docs" / PICTURE).read_text()


def boxes() -> set[str]:
    """Return the files of the repository to which the picture's boxes lead."""
    return {_target(link) for link in _LINK.findall(_drawing())}


def picture(url: str = "") -> str:
    """Return the picture with the links of the site, and with what each box's file is as its tooltip.

    Parameters
    ----------
    url : str
        Address of the page in which it stands, such as "architecture.html"; by default it stands by itself.
    """
    def box(match: re.Match[str]) -> str:
        path = _target(match[1])
        address = relpath(page_of(path).removesuffix(".md") + ".html", dirname(url) or ".")
        return f'<a href="{escape(address)}"><title>{escape(f"{path}: {first_sentence(ROOT / path)}")}</title>'

    return _LINK.sub(box, _drawing())


def inline_picture(url: str) -> str:
    """Return the picture as a part of the page with this address, in the colours that the reader chose for the site."""
    dark = _DARK.sub('@media screen { [data-md-color-scheme="slate"] svg', picture(url))
    return f'<div class="engine-picture">{dark}</div>'
