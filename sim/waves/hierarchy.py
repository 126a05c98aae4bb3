"""The instances of an emitted design and their ports, as a waveform names them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Instance", "Port", "instances"]

_MODULE = re.compile(r"^module (\w+) \((.*?)^\);(.*?)^endmodule", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^  (?:input|output) (?:wire|logic) (?:\[(\d+):0\] )?(\w+)", re.MULTILINE)
_INSTANCE = re.compile(r"^  (\w+) (\w+) \($", re.MULTILINE)


@dataclass(frozen=True)
class Port:
    """A port of an instance.

    Parameters
    ----------
    name : str
    width : int
        In bits.
    """

    name: str
    width: int


@dataclass(frozen=True)
class Instance:
    """An instance of a module.

    Parameters
    ----------
    path : tuple of str
        Names from the top's on.
    ports : tuple of Port
        All but clock and reset, in the order of the source.
    """

    path: tuple[str, ...]
    ports: tuple[Port, ...]


def instances(source: str, top: str = "top") -> list[Instance]:
    """Return the instances in the Verilog that :mod:`hw.flow.verilog` emits, each before those within it. Modules that
    are not in the source, such as memories, are left out.

    Parameters
    ----------
    source : str
        The text of all modules.
    top : str
        Name of the top module, which is also that of its instance.
    """
    modules = {name: (ports, body) for name, ports, body in _MODULE.findall(source)}

    def within(module: str, path: tuple[str, ...]) -> Iterator[Instance]:
        ports, body = modules[module]
        yield Instance(path, tuple(Port(name, int(high or 0) + 1) for high, name in _PORT.findall(ports)
                                   if name not in ("clk", "rst")))
        for inner, name in _INSTANCE.findall(body):
            if inner in modules:
                yield from within(inner, (*path, name))

    return list(within(top, (top,)))
