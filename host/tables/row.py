"""Rows of reports. A report's row is a class, and each of its fields declares, once, how it is shown::

    class AreaRow(Row):
        VIEW = ("engine", "lut")

        engine: str = column("engine", doc="Name of the configuration.")
        lut: int = column("LUTs", ",d", unit="LUTs", doc="Look-up tables of any size.")
        family: str = column("family", doc="Device family that it was synthesised for.")

Tables, Markdown, JSON, the report page and the charts take keys, headings, formats and units from there. A table that
shows some of the fields names them in a view, a tuple of field names; :attr:`Row.VIEW` is that of the printed table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, dataclass_transform

__all__ = ["Column", "Row", "column", "plus_minus"]

_COLUMN, _OPTIONAL = "column", "optional"
"""Keys of a field's metadata."""
_NEGLIGIBLE = 0.1
"""A number that may be off by so many per cent or less is shown without them."""


def plus_minus(share: object) -> str:
    """Return what tables put behind the source of a number that may be off by a share, such as ``, ± 0.5 %``; nothing
    where it is negligible or not known."""
    percent = round(100 * share, 2) if isinstance(share, float) else 0
    return f", ± {percent:g} %" if percent > _NEGLIGIBLE else ""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    key : str
        Name of the field, in the row's class and in JSON.
    heading : str
        Text above the column.
    spec : str
        Format specification of the values. A column with a specification is aligned to the right, as numbers are; text
        has none.
    unit : str
        Unit of the values, or empty.
    doc : str
        A sentence that says what the values are.
    tolerance : str
        Key of a field with the share by which numbers of this source may be off, or empty.
    """

    key: str
    heading: str
    spec: str = ""
    unit: str = ""
    doc: str = ""
    tolerance: str = ""

    def text(self, value: object) -> str:
        """Return a value as tables show it.

        Raises
        ------
        TypeError, ValueError
            When the specification does not suit the value, as in a report of another version.
        """
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "NO"
        return format(value, self.spec)

    def cell(self, record: Mapping[str, Any]) -> str:
        """Return a record's value as tables show it, with its tolerance.

        Raises
        ------
        TypeError, ValueError
            As :meth:`text` does.
        """
        return self.text(record.get(self.key)) + (plus_minus(record.get(self.tolerance)) if self.tolerance else "")


def column(heading: str, spec: str = "", *, unit: str = "", doc: str = "", default: Any = MISSING,
           optional: bool = False, tolerance: str = "") -> Any:
    """Declare a field of a :class:`Row` and its column; see :class:`Column`.

    Parameters
    ----------
    default : object
        Value of the field in rows that are made without it.
    optional : bool
        A row in which the field is None has no such key in JSON.
    """
    shown = Column("", heading, spec, unit, doc, tolerance)
    return field(default=default, metadata={_COLUMN: shown, _OPTIONAL: optional})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(column,))
class Row:
    """Base of all rows. Subclasses are frozen dataclasses, made with keywords, whose fields are :func:`column`."""

    VIEW: ClassVar[tuple[str, ...]] = ()
    """Fields that the printed table and the Markdown table show, in their order."""
    LABEL: ClassVar[str] = ""
    """Format string that names a row by its fields, for messages."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def column(cls, key: str) -> Column:
        """Return the column of one field.

        Raises
        ------
        KeyError
            When the class has no such field.
        """
        return cls.columns((key,))[0]

    @classmethod
    def columns(cls, view: Sequence[str] = ()) -> tuple[Column, ...]:
        """Return the columns of a view, of :attr:`VIEW` by default.

        Raises
        ------
        KeyError
            When the class has no field of that name.
        """
        known = {each.name: each.metadata[_COLUMN] for each in fields(cls)}  # type: ignore[arg-type]
        return tuple(replace(known[key], key=key) for key in view or cls.VIEW)

    @property
    def label(self) -> str:
        """The row's name in messages."""
        return self.LABEL.format_map(vars(self))

    @property
    def differs(self) -> bool:
        """Whether the row's results were compared with golden's and differ from them."""
        return getattr(self, "bit_exact", None) is False

    def record(self) -> dict[str, Any]:
        """Return the row as JSON has it: values by key, nested dataclasses as dictionaries."""
        absent = {each.name for each in fields(self)  # type: ignore[arg-type]
                  if each.metadata[_OPTIONAL] and getattr(self, each.name) is None}
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return {key: value for key, value in values.items() if key not in absent}
