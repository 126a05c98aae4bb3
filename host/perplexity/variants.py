"""The table of what is compared."""

from dataclasses import replace
from functools import partial

from golden.spec import (
    INT3,
    INT4,
    INT8,
    SEEDLM3,
    SEEDLM3R,
    SEEDLM4,
    SEEDLM4R,
    SEEDLM4X,
    TRELLIS2,
    TRELLIS3,
    TRELLIS4,
    BlockFormat,
    GroupFormat,
    TrellisFormat,
)
from host.encoder.encoder import Mode
from host.perplexity.awq import awq_code
from host.perplexity.calibrated import seedlm_feedback
from host.perplexity.codes import groups, rows, seedlm
from host.perplexity.drifted import gptq_drifted
from host.perplexity.gptq import gptq_code
from host.perplexity.grids import grid_bits
from host.perplexity.nf4 import nf4_bits, nf4_code
from host.perplexity.rotated import rotated_groups, rotated_rows, trellis
from host.perplexity.turned import gptq_turned, trellis_turned
from host.perplexity.variant import SHIPPED, Variant
from host.quality.controls import format_bits, row_bits

__all__ = ["VARIANTS"]

_SEEDLM_FAMILY = {"exact": "SeedLM, exact", "paper": "SeedLM, the paper's search",
                  "printed": "SeedLM, the exponent as printed"}


def _rows(bits: int, search: bool) -> Variant:
    return Variant(f"int{bits}-row" + ("" if search else "-rtn"),
                   f"integers, {'searched ' if search else ''}scale per row", partial(rows, bits=bits, search=search),
                   row_bits(bits))


def _groups(fmt: GroupFormat, search: bool) -> Variant:
    return Variant(f"int{fmt.bits}-g128" + ("" if search else "-rtn"),
                   f"integers, {'searched ' if search else ''}scale per 128", partial(groups, fmt=fmt, search=search),
                   format_bits(fmt))


def _seedlm(name: str, fmt: BlockFormat, mode: Mode = "exact") -> Variant:
    return Variant(name, _SEEDLM_FAMILY[mode], partial(seedlm, fmt=fmt, mode=mode), format_bits(fmt), cost=8)


def _feedback(fmt: BlockFormat, drift: bool = True) -> Variant:
    """Return one of SeedLM's formats with error feedback, and with all that a calibration tells."""
    name, family = ("calibrated", "SeedLM, calibrated") if drift else ("feedback", "SeedLM, error feedback")
    return Variant(f"{fmt.name}-{name}", family, partial(seedlm_feedback, fmt=fmt, drift=drift), format_bits(fmt),
                   calibrated=True, cost=25)


def _rotated_groups(fmt: GroupFormat) -> Variant:
    return Variant(f"int{fmt.bits}-g128-rotated", "integers, searched scale per 128, rotated",
                   partial(rotated_groups, fmt=fmt), format_bits(fmt))


def _rotated_rows(fmt: BlockFormat) -> Variant:
    return Variant(f"{fmt.name}-rotated", "SeedLM, searched scale per row, rotated", partial(rotated_rows, fmt=fmt),
                   format_bits(fmt), cost=8)


def _trellis(fmt: TrellisFormat, rotated: bool = True) -> Variant:
    return Variant(fmt.name + "-rotated" * rotated, "trellis" + ", rotated" * rotated,
                   partial(trellis, fmt=fmt, rotated=rotated), format_bits(fmt), cost=20)


def _trellis_feedback(fmt: TrellisFormat) -> Variant:
    return Variant(f"{fmt.name}-calibrated", "trellis, calibrated", partial(trellis_turned, fmt=fmt),
                   format_bits(fmt), calibrated=True, cost=60)


def _awq(bits: int) -> Variant:
    return Variant(f"awq{bits}-g128", "AWQ", partial(awq_code, bits=bits), partial(grid_bits, bits=bits),
                   calibrated=True, cost=10)


def _gptq(bits: int, drift: bool = False) -> Variant:
    return Variant(f"gptq{bits}-g128" + "-drift" * drift, "GPTQ" + ", drift made up for" * drift,
                   partial(gptq_drifted if drift else gptq_code, bits=bits), partial(grid_bits, bits=bits),
                   calibrated=True, cost=10)


def _gptq_rotated(bits: int) -> Variant:
    return Variant(f"gptq{bits}-g128-drift-rotated", "GPTQ, drift made up for, rotated",
                   partial(gptq_turned, bits=bits), partial(grid_bits, bits=bits), calibrated=True, cost=10)


def _on_engine(variant: Variant, act_bits: int) -> Variant:
    """Return a variant with the engine's activations at its matrices, and its arithmetic."""
    return replace(variant, name=f"{variant.name}-a{act_bits}", family=f"{variant.family}, {act_bits}-bit activations",
                   act_bits=act_bits, cost=2)


_SEEDLM4, _SEEDLM3, _INT4 = _seedlm("seedlm4", SEEDLM4), _seedlm("seedlm3", SEEDLM3), _groups(INT4, True)
_ALL = (
    SHIPPED, _groups(INT8, True),
    _groups(INT4, False), _INT4, _rows(4, False), _rows(4, True), _rotated_groups(INT4),
    Variant("nf4-g64", "NF4", partial(nf4_code), nf4_bits), _awq(4), _gptq(4),
    _gptq(4, drift=True), _gptq_rotated(4),
    _seedlm("seedlm4-printed", SEEDLM4, "printed"), _seedlm("seedlm4-paper", SEEDLM4, "paper"), _SEEDLM4,
    _feedback(SEEDLM4, drift=False), _feedback(SEEDLM4), _seedlm("seedlm4x", SEEDLM4X), _feedback(SEEDLM4X),
    _rotated_rows(SEEDLM4R),
    _trellis(TRELLIS4, rotated=False), _trellis(TRELLIS4), _trellis_feedback(TRELLIS4),
    _groups(INT3, False), _groups(INT3, True), _rows(3, False), _rows(3, True), _rotated_groups(INT3),
    _awq(3), _gptq(3), _gptq(3, drift=True), _gptq_rotated(3),
    _seedlm("seedlm3-printed", SEEDLM3, "printed"), _seedlm("seedlm3-paper", SEEDLM3, "paper"), _SEEDLM3,
    _feedback(SEEDLM3), _rotated_rows(SEEDLM3R), _trellis(TRELLIS3), _trellis_feedback(TRELLIS3), _trellis(TRELLIS2),
    _trellis_feedback(TRELLIS2),
    *(_on_engine(variant, bits) for bits in (16, 8) for variant in (_INT4, _SEEDLM4, _SEEDLM3)),
)
VARIANTS = {variant.name: variant for variant in _ALL}
"""Variants by name, in the order of the table."""
