"""Rows of ``host registers``: the register map."""

from host.tables.row import Row, column

__all__ = ["RegisterRow"]


class RegisterRow(Row):
    """A register of the engine."""

    VIEW = ("offset", "name", "access", "doc")
    LABEL = "{name}"

    offset: str = column("offset", doc="Byte offset of the register.")
    name: str = column("register", doc="Name of the register.")
    access: str = column("access", doc="“ro” for a register that can only be read, “rw” for others.")
    doc: str = column("meaning", doc="What the register holds.")
