"""Templates of the package's files, which lie in the folder ``templates``.

Text that a template fills in is neither escaped nor quoted, except by the filters of :data:`_FILTERS`.
"""

from pathlib import Path
from textwrap import wrap

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["render"]

_FOLDER = Path(__file__).with_name("templates")


def _wrapped(text: str, start: str, width: int = 100) -> str:
    """Return text in lines of at most ``width`` characters, each of which but the first begins with ``start``."""
    return f"\n{start}".join(wrap(text, width - len(start), break_long_words=False, break_on_hyphens=False))


def _string(text: str) -> str:
    """Return text as a string literal of SystemRDL or C."""
    return '"' + text.replace("\\", r"\\").replace('"', r'\"') + '"'


def _hexadecimal(value: int, digits: int = 8) -> str:
    """Return a number as hexadecimal digits behind 0x."""
    return f"{value:#0{digits + 2}x}"


_FILTERS = {"wrapped": _wrapped, "string": _string, "hex": _hexadecimal}


def render(template: str, **values: object) -> str:
    """Return a template, a file of the folder ``templates``, filled in with values.

    Raises
    ------
    jinja2.UndefinedError
        When the template needs a value that is not given.
    """
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=False, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(_FILTERS)
    return environment.get_template(template).render(**values)
