"""What the tests of single stages share: small engines of many formats, and how a stage is run against golden."""

import re
from dataclasses import fields, replace

from golden.spec import BlockFormat, TrellisFormat
from hw.config import EngineConfig
from hw.pipelining import FAST, Pipelining
from sim.tools.build import build
from sim.tools.run import run

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
WIDE = BlockFormat(c=16, p=2, k=24)
SHORT = BlockFormat(c=4, p=4, k=3)
"""A state is shorter than what the states of a weight span."""
UNARY = BlockFormat(c=3, p=1, k=9)
BINARY = TrellisFormat(c=23, bits=1, window=7, fields=((3, 2), (14, 1), (15, 5), (30, 8), (33, 3)))
"""A block has all of a head and no bit more, and fields lie within the seed, beyond it and on both sides."""
DSP = {"narrow_products": "dsp"}
ECP5 = {"multiplier_bits": 18, "pipelining": FAST}


def small(fmt, bus_bits=64, act_bits=16, **options):
    """An engine small enough to be built in a second."""
    config = EngineConfig(fmt, bus_bits, max_rows=64, max_cols=256, latency=64, write_beats=4, act_bits=act_bits)
    return replace(config, **options)


def _short(value):
    return {FAST: "fast"}.get(value, str(value)) if isinstance(value, Pipelining) else str(value)


def _name(value):
    if isinstance(value, EngineConfig):
        usual = small(value.fmt)
        changed = [_short(getattr(value, field.name)) for field in fields(value)[2:]
                   if getattr(value, field.name) != getattr(usual, field.name)]
        return "-".join([value.name, str(value.bus_bits), *changed])
    return str(getattr(value, "name", None) or getattr(value, "__name__", value))


def stage_id(case):
    """Name of a case, (component, arguments...), in pytest's output."""
    return "-".join(map(_name, case))


def run_stage(case, simulator, **options):
    """Build a stage and run its testbench, which is called after its class: ``ReadDma`` has ``tb_read_dma``."""
    component, *args = case
    stage = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", component.__name__).lower()
    run(build(component, *args, simulator=simulator, **options), f"sim.testbenches.tb_{stage}", tuple(args))
