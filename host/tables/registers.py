"""Rows of ``host registers`` and of the register page of an IP core: registers, fields, causes, states."""

from host.tables.row import Row, column

__all__ = ["CauseRow", "FieldRow", "RegisterRow", "StateRow"]


class RegisterRow(Row):
    """A register of the engine."""

    VIEW = ("offset", "name", "access", "reset", "doc")
    LABEL = "{name}"

    offset: str = column("offset", doc="Byte offset of the register.")
    name: str = column("register", doc="Name of the register.")
    access: str = column("access", doc="How the register may be accessed.")
    reset: str | None = column("after reset", doc="Value of the register after reset; none where it depends on the "
                               "configuration of the engine.")
    doc: str = column("meaning", doc="What the register holds.")


class FieldRow(Row):
    """A field of a register."""

    VIEW = ("register", "name", "bits", "doc")
    LABEL = "{register}.{name}"

    register: str = column("register", doc="Name of the register.")
    name: str = column("field", doc="Name of the field.")
    bits: str = column("bits", doc="Numbers of its highest and its lowest bit.")
    doc: str = column("meaning", doc="What the field holds.")


class CauseRow(Row):
    """A cause that ends a run."""

    VIEW = ("name", "bit", "doc", "error_addr", "recovery")
    LABEL = "{name}"

    name: str = column("cause", doc="Name of the field of STATUS.")
    bit: int = column("bit of STATUS", "d", doc="Number of the bit.")
    doc: str = column("the run failed because", doc="What the cause is.")
    error_addr: str = column("ERROR_ADDR", doc="What the register ERROR_ADDR holds then.")
    recovery: str = column("what to do", doc="What software does before the next start.")


class StateRow(Row):
    """A state of the engine as software sees it."""

    VIEW = ("name", "busy", "done", "settling", "causes", "doc")
    LABEL = "{name}"

    name: str = column("state", doc="Name of the state.")
    busy: str = column("busy", doc="STATUS.busy.")
    done: str = column("done", doc="STATUS.done.")
    settling: str = column("settling", doc="STATUS.settling.")
    causes: str = column("causes", doc="The bits of STATUS that name causes.")
    doc: str = column("what happens", doc="What the engine does, and what ends the state.")
