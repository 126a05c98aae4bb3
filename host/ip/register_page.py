"""The register map as a page in Markdown, with what software has to know to use it."""

from collections.abc import Sequence

from host.ip.causes import CAUSES
from host.ip.core import ACCESS, DESCRIPTOR_WORDS, Core
from host.ip.operands import block_fields, factor_exponent, head_fields
from host.ip.template import render
from host.tables.registers import CauseRow, FieldRow, RegisterRow, StateRow
from host.tables.row import Row
from host.tables.tables import markdown
from hw.dma.descriptor import DESCRIPTOR_BYTES
from hw.registers.register_map import ABORT, ERRORS, REGISTERS, START

__all__ = ["files", "page"]

_CONFIGURED = ("FORMAT", "CAPABILITY")
"""Registers whose values depend on the configuration of the engine."""

_STATES = (
    StateRow(name="idle", busy="0", done="0", settling="0 or 1", causes="none",
             doc="The engine has been reset, and has not run yet. For a time after the reset it drops answers to "
                 "what was asked for before (settling = 1)."),
    StateRow(name="waiting", busy="1", done="0", settling="1", causes="none",
             doc="A start was accepted, and memory may still answer what a run before asked for. The counters of "
                 "cycles stand still. When memory owes nothing more, the run begins; when the watchdog expires "
                 "first, it fails."),
    StateRow(name="running", busy="1", done="0", settling="0", causes="none",
             doc="Matrices are multiplied, one after another. Writes to registers that are “rw” are refused."),
    StateRow(name="ending", busy="1", done="0", settling="1", causes="one or more",
             doc="A cause was found, or software wrote CONTROL.abort. What is on offer on the bus is still offered "
                 "until it is accepted, with all write strobes 0. The run ends when memory has answered everything, "
                 "or has been silent for long enough."),
    StateRow(name="done", busy="0", done="1", settling="0", causes="none",
             doc="The run has ended well, and all results are in memory."),
    StateRow(name="failed", busy="0", done="1", settling="0 or 1", causes="one or more",
             doc="The run has ended for the causes that are set. With settling = 1, memory may still answer, and the "
                 "run's buffers are not to be used for something else."),
)


def _table(rows: Sequence[Row]) -> str:
    """Return rows of one kind as Markdown."""
    return markdown(type(rows[0]).columns(), [row.record() for row in rows]).rstrip()


def _bits(lsb: int, bits: int) -> str:
    """Return the numbers of the bits of a field."""
    return f"{lsb + bits - 1}:{lsb}" if bits > 1 else str(lsb)


def page(core: Core | None = None) -> str:
    """Return the page, of one core or, without one, of the engine in general."""
    def reset(name: str, init: int) -> str | None:
        if core is None and name in _CONFIGURED:
            return None
        value = init if core is None else next(core.reset_value(each) for each in REGISTERS if each.name == name)
        return f"{value:#010x}"

    registers = [RegisterRow(offset=f"{register.offset:#04x}", name=register.name, access=register.access,
                             reset=reset(register.name, register.init), doc=register.doc) for register in REGISTERS]
    fields = [FieldRow(register=register.name, name=field.name, bits=_bits(field.lsb, field.bits), doc=field.doc)
              for register in REGISTERS for field in register.fields]
    status = {row.name: row for row in fields if row.register == "STATUS"}
    causes = [CauseRow(name=name, bit=int(status[name].bits), doc=doc, error_addr=CAUSES[name].error_addr,
                       recovery=CAUSES[name].recovery) for name, doc in ERRORS.items()]
    return render("registers.md.j2", core=core, registers=_table(registers), fields=_table(fields),
                  causes=_table(causes), states=_table(_STATES), access=ACCESS, start=START, abort=ABORT,
                  words=DESCRIPTOR_WORDS, descriptor_bytes=DESCRIPTOR_BYTES,
                  block_fields=block_fields(core.config.fmt) if core else [],
                  head_fields=head_fields(core.config.fmt) if core else [],
                  factor_exponent=factor_exponent(core.config) if core else 0)


def files(core: Core) -> dict[str, str]:
    """Return the page by its path in the package."""
    return {"registers/registers.md": page(core)}
