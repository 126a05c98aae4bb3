"""The links of the site as it was built: each leads to a file and, where it says so, to a place in that file."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken_links"]

_LINK = re.compile(r'<(?:a|link|img|script|source)\b[^>]*?\b(?:href|src)="?([^"\s>]+)')
_PLACE = re.compile(r'\b(?:id|name)="?([^"\s>]+)')


@cache
def _places(file: Path) -> frozenset[str]:
    return frozenset(_PLACE.findall(file.read_text()))


def broken_links(site: Path) -> Iterator[str]:
    """Yield the broken links of a site, each with the page that has it.

    Links to other hosts are not followed.
    """
    _places.cache_clear()
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":  # its links count from the top of the host
            continue
        for link in dict.fromkeys(_LINK.findall(page.read_text())):
            parts = urlsplit(link.replace("&amp;", "&"))
            if parts.scheme or parts.netloc:
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            file = file / "index.html" if file.is_dir() else file
            if not file.is_relative_to(site) or not file.is_file():
                yield f"{page.relative_to(site)}: {link} leads nowhere"
            elif parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in _places(file):
                yield f"{page.relative_to(site)}: {link} leads to no place of its page"
