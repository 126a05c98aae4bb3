"""What the site adds to the pages of docs/: MkDocs calls these functions while it builds (`mkdocs.yml` names them).

Pages that are made here are the documents at the top of the repository, the register map, notebooks, and every file of
the repository that a page links to. A link that leads nowhere ends the build.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from site_links import broken_links
from site_notebook import notebook_page
from site_picture import PICTURE, boxes, inline_picture, picture
from site_sources import TOP, BrokenLink, page_of, rewritten, source_page

from golden.tree import ROOT
from host.ip.register_page import page as register_map

_RESULTS = "results/README.md"
_LISTED = re.compile(r"\[([^\]]+)\]\(([\w-]+\.md)\)")
_PICTURE = re.compile(r'<p><img[^>]*src="[^"]*engine\.svg"[^>]*></p>')
_NO_LIST = re.compile(r"<p>(?:(?!</p>).)*?\n((?:[-*|]|\d+\.) [^\n]*)", re.DOTALL)
_TEXTS: dict[str, str] = {}
"""The Markdown of each page, with the links of the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the navigation: the results are those that their page lists."""
    listed = _LISTED.findall((ROOT / "docs" / _RESULTS).read_text())
    pages = [_RESULTS, *({title: f"results/{file}"} for title, file in listed)]
    config.nav = _filled(config.nav, pages)
    return config


def _filled(nav: Any, pages: list[Any]) -> Any:
    """Return a navigation in which the entry of the results is a section with these pages."""
    if isinstance(nav, list):
        return [_filled(entry, pages) for entry in nav]
    if isinstance(nav, dict):
        return {title: pages if entry == _RESULTS else _filled(entry, pages) for title, entry in nav.items()}
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Rewrite the links of all pages, and add the pages that are made here."""
    made = {page: ((ROOT / path).read_text(), path) for path, page in TOP.items()}
    made["registers.md"] = (register_map(), "docs/registers.md")
    for file in (ROOT / "docs").glob("*.ipynb"):
        made[page_of(f"docs/{file.name}")] = (notebook_page(file), f"docs/{file.name}")
    texts = {file.src_uri: (file.content_string, f"docs/{file.src_uri}") for file in files.documentation_pages()} | made
    wanted = boxes()
    for page, (text, path) in texts.items():
        try:
            _TEXTS[page], shown = rewritten(text, path, page)
        except BrokenLink as error:
            raise PluginError(str(error)) from None
        wanted |= shown
    drawn = files.get_file_from_path(PICTURE)
    assert drawn
    files.remove(drawn)
    files.append(File.generated(config, PICTURE, content=picture()))
    for page in made:
        files.append(File.generated(config, page, content=_TEXTS[page]))
    for path in sorted(wanted):
        files.append(File.generated(config, page_of(path), content=source_page(path, wanted),
                                    inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Give a page the text in which its links are rewritten."""
    return _TEXTS.get(page.file.src_uri, markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Put the engine's picture into the page, so that its boxes are links.

    Raises
    ------
    PluginError
        When a list or a table follows a line of text: GitHub shows it, and MkDocs takes it for text.
    """
    if found := _NO_LIST.search(html):
        raise PluginError(f"{page.file.src_uri}: an empty line is missing before `{found[1]}`")
    return _PICTURE.sub(lambda _: inline_picture(page.url), html)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with broken links."""
    if found := list(broken_links(Path(config.site_dir).resolve())):
        raise PluginError("the site has broken links:\n" + "\n".join(found))
