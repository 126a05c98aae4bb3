"""Charts in a reader's dark colour scheme: a style sheet within each SVG file, which leaves the light colours alone.

matplotlib writes the colours of shapes into their own attributes. The sheet overrides those that are white, black or
grey where the reader prefers a dark scheme, as browsers, GitHub and the site tell the picture. Programs that know no
such sheets show the light colours. The colours of series stay: all of them stand out from both backgrounds.
"""

__all__ = ["DARK", "LIGHT", "with_scheme", "without_scheme"]

LIGHT = {"ink": ("#000000", "#404040"), "page": ("#ffffff",), "line": ("#b0b0b0",)}
"""The colours of charts that are no series': text and lines; the background, and what lies on it; grids."""
DARK = {"ink": "#e3e7ec", "page": "#101418", "line": "#46515c"}
"""What takes their place in a dark scheme, as in the engine's picture."""


def _rules() -> str:
    """Return the rules of the sheet. Text that is black has no colour of its own in the file, so the root gives it."""
    rules = [f"svg {{fill: {DARK['ink']}}}"]
    for name, colours in LIGHT.items():
        for part in ("fill", "stroke"):
            found = ", ".join(f'[style*="{part}: {colour}"], [{part}="{colour}"]' for colour in colours)
            rules.append(f"{found} {{{part}: {DARK[name]} !important}}")
    return "\n".join(rules)


_SHEET = ("<style>\n:root {color-scheme: light dark}\n"
          f"@media (prefers-color-scheme: dark) {{\n{_rules()}\n}}\n</style>\n")
_END = "</svg>"


def with_scheme(svg: str) -> str:
    """Return a chart, the text of an SVG file, with the sheet; one that has a sheet gets the newest."""
    drawing, end, rest = without_scheme(svg).rpartition(_END)
    return f"{drawing}{_SHEET}{end}{rest}" if end else svg


def without_scheme(svg: str) -> str:
    """Return a chart as it was drawn, for a page that gives the colours itself."""
    start = svg.find(_SHEET[:_SHEET.index("@media")])
    return svg if start < 0 else svg[:start] + svg[svg.index("</style>\n", start) + len("</style>\n"):]
