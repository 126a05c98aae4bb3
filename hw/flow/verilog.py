"""Emit a component as SystemVerilog that people can read and that simulators and synthesis tools read alike.

There is one module for each kind of component, with the ports of its signature and a comment from its docstring.
Memories have no initial contents unless these are other than zeros: Yosys reads such contents in quadratic time.
"""

import importlib.metadata
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from amaranth.hdl import Elaboratable

from hw.flow.modules import Origin, hierarchy, unique
from hw.flow.names import identifier
from hw.flow.rtlil import read
from hw.flow.simplify import simplify
from hw.flow.writer import ModuleWriter

__all__ = ["Attributes", "emit", "write"]

Attributes = Mapping[str, Mapping[str, str]]
"""Text of each attribute, by the port that bears it and by the attribute's name."""

_COLUMNS = 97
"""Columns of a comment, which fill 100 with the mark before them."""
_OWN = ("golden.", "hw.", "sim.", "host.")
"""Packages whose docstrings become comments: those of this project."""


def emit(component: Elaboratable, path: Path, name: str = "top", attributes: Attributes | None = None,
         about: str = "") -> None:
    """Write a component as one SystemVerilog file.

    The text does not depend on where the sources lie, so equal designs give equal files.

    Parameters
    ----------
    component : wiring.Component
        Component to write. Each port is named by its path in the component's signature (``i__payload``); ``clk`` and
        ``rst`` are added.
    path : Path
        File to write.
    name : str
        Name of the top module. The other modules are called ``name_kind``.
    attributes : mapping of str to mapping of str to str, or None
        Attributes of the top module's ports, ``clk`` and ``rst`` included: by port, the attribute's text by its name.
    about : str
        What the comment at the head of the file says first: what the design is, its configuration, and the command that
        wrote it.

    Raises
    ------
    ValueError
        When the design has something that no component here has, such as a memory port that sees a write of the same
        cycle.
    """
    design, origins = hierarchy(component, name)
    _write(design, path, name, origins, attributes or {}, about)


def write(design: str, path: Path) -> None:
    """Write ``design``, RTLIL of Amaranth, as SystemVerilog to ``path``, as :func:`emit` does.

    Its modules have no comments, and are called by the names of instances. It raises the errors of :func:`emit`.
    """
    _write(design, path, read(design)[0].name, {}, {}, "")


def _write(design: str, path: Path, name: str, origins: Mapping[str, Origin], attributes: Attributes,
           about: str) -> None:
    design, _ = unique(design)
    modules = {module.name: module for module in read(design)}
    titles = _titles(name, {path: _kind(path, origins) for path in modules})
    for module in modules.values():
        simplify(module)
    orders = {path: origin.ports for path, origin in origins.items()}
    version = importlib.metadata.version("seedlm-fpga")
    head = [*about.splitlines(), *([""] if about else []),
            f"Generated from the Amaranth sources of seedlm-fpga {version}: change these, not this file.",
            "SPDX-License-Identifier: Apache-2.0"]
    texts = ["".join(f"// {line}".rstrip() + "\n" for line in head), "`default_nettype none\n"]
    for module in modules.values():
        component = origins[module.name].component if module.name in origins else None
        texts.append("".join(f"// {line}".rstrip() + "\n" for line in _comment(component))
                     + ModuleWriter(module, modules, titles, orders).text(attributes if module.name == name else {}))
    path.write_text("\n".join([*texts, "`default_nettype wire\n"]))


def _kind(path: str, origins: Mapping[str, Origin]) -> str:
    """What a module is, in snake case: the class of its component, else its own name."""
    component = origins[path].component if path in origins else None
    if component is None:
        return identifier(path.rpartition(".")[2])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(component).__name__).lower().strip("_")


def _titles(name: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """Name of each module: ``name_kind``, and for different modules of a kind also where the first of them is used."""
    titles = {}
    for kind in {*kinds.values()}:
        paths = [path for path, other in kinds.items() if other == kind]
        # The instance's name says nothing new if the kind ends with it: a stream_queue that is called queue.
        places = {path: [part for part in map(identifier, path.split(".")[1:]) if not kind.endswith(part)]
                  for path in paths}
        length = 0 if len(paths) == 1 else 1
        while len({"_".join(parts[-length:]) for parts in places.values()}) < len(paths) and length and length < 9:
            length += 1
        for path, parts in places.items():
            titles[path] = "_".join([name, kind, *parts[len(parts) - length:]])
    return titles | {name: name}


def _plain(text: str) -> str:
    """A docstring without the marks of reStructuredText."""
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?([^`]*)`", r"\1", text).replace("``", "")


def _comment(component: Elaboratable | None) -> Iterator[str]:
    """What the docstrings of a component's file and class say about it and about its ports."""
    module = inspect.getmodule(type(component))
    if component is None or module is None or not module.__name__.startswith(_OWN):
        return
    text = inspect.cleandoc(type(component).__doc__ or "")
    first, *others = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    own = text.partition("\n\n")[0]
    for paragraph in [f"{type(component).__name__}: {own}", first,
                      *(other for other in others if other.startswith(("Latency", "Rate")))]:
        yield from textwrap.wrap(_plain(paragraph), _COLUMNS)
        yield ""
    if members := re.search(r"^Members\n-+\n((?:(?!.+\n-+\n).*\n?)*)", text, re.MULTILINE):
        yield "Ports:"
        for member in re.split(r"\n(?! |$)", members[1].strip()):
            entry, _, about = member.partition("\n")
            for indent, one in (("  ", entry), ("    ", inspect.cleandoc(about))):
                yield from textwrap.wrap(_plain(one), _COLUMNS, initial_indent=indent, subsequent_indent="    ")
