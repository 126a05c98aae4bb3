"""Every stage alone, under both simulators, against golden: random data, idle cycles and back-pressure."""

import re
from dataclasses import fields, replace

import pytest

from golden.spec import INT4, SEEDLM3, SEEDLM4, BlockFormat, GroupFormat
from hw.activations.activations import Activations
from hw.activations.align import Align
from hw.config import EngineConfig
from hw.dma.descriptor import DescriptorReader
from hw.dma.read import ReadDma
from hw.dma.unpacker import Unpacker
from hw.dma.write import WriteDma
from hw.engine.counters import Counters
from hw.engine.registers import RegisterFile
from hw.engine.supervisor import Supervisor
from hw.lanes.fp16_lane import Fp16Lane
from hw.lanes.int4_lane import Int4Lane
from hw.lanes.join import Join
from hw.lanes.lfsr_bank import LfsrBank
from hw.lanes.seedlm_lane import SeedlmLane
from hw.parts.axi_arbiter import AxiArbiter
from hw.parts.credit_gate import CreditGate
from hw.parts.stream_queue import StreamQueue
from hw.parts.stream_slice import StreamSlice
from hw.results.drain import Drain
from hw.results.normalise import Normalise
from hw.results.scale import Scale
from sim.tools.runner import build, run
from sim.tools.toolchain import SIMULATORS

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
WIDE = BlockFormat(c=16, p=2, k=24)
SHORT = BlockFormat(c=4, p=4, k=3)  # a state is shorter than what the states of a weight span


UNARY = BlockFormat(c=3, p=1, k=9)
DSP = {"narrow_products": "dsp"}
ECP5 = {"multiplier_bits": 18, "fast": True}


def _small(fmt, bus_bits=64, act_bits=16):
    return EngineConfig(fmt, bus_bits, max_rows=64, max_cols=256, latency=64, write_beats=4, act_bits=act_bits)


CASES = [
    *((LfsrBank, fmt) for fmt in (SEEDLM4, SEEDLM3, ODD, WIDE)),
    *((Unpacker, *widths) for widths in ((512, 576), (512, 528), (64, 72), (32, 45), (32, 64), (32, 62),
                                   (64, 72, True), (32, 62, True))),
    *((Activations, _small(*args)) for args in ((SEEDLM4, 256), (SEEDLM3,), (ODD, 32), (None, 128))),
    *((Activations, replace(_small(*args), **ECP5)) for args in ((SEEDLM3,), (ODD, 32))),
    *((Align, _small(*args)) for args in ((SEEDLM4,), (SEEDLM3,), (SEEDLM4, 64, 8))),
    *((SeedlmLane, _small(fmt)) for fmt in (SEEDLM4, SEEDLM3, ODD, WIDE, SHORT, UNARY)),
    *((SeedlmLane, replace(_small(fmt), **DSP)) for fmt in (SEEDLM4, SEEDLM3, ODD, SHORT, UNARY)),
    *((SeedlmLane, replace(_small(*args), **ECP5)) for args in ((SEEDLM4,), (SEEDLM3,), (WIDE,), (SEEDLM4, 64, 8))),
    *((SeedlmLane, replace(_small(fmt), **ECP5, **DSP)) for fmt in (SEEDLM4, SEEDLM3)),
    *((Int4Lane, _small(*args)) for args in ((INT4,), (GroupFormat(c=3, bits=3),), (INT4, 64, 8))),
    *((Fp16Lane, config) for config in (_small(None), replace(_small(None), **ECP5))),
    *((Drain, _small(SEEDLM4, bus_bits)) for bus_bits in (32, 128)),
    (Drain, replace(_small(None, 512), max_rows=256, **ECP5)),
    *((Normalise, _small(fmt)) for fmt in (SEEDLM4, None)),
    *((Scale, _small(fmt)) for fmt in (SEEDLM4, ODD, None)),
    *((stage, replace(_small(SEEDLM4), **ECP5)) for stage in (Normalise, Scale)),
    *((ReadDma, _small(SEEDLM4, bus_bits)) for bus_bits in (32, 1024)),
    (ReadDma, replace(_small(SEEDLM4, 256), **ECP5)),
    *((WriteDma, _small(SEEDLM4, bus_bits)) for bus_bits in (32, 256)),
    (RegisterFile,),
    (Join, _small(SEEDLM4, 128)),
    (Join, replace(_small(SEEDLM4, 128), **ECP5)),
    *((DescriptorReader, _small(SEEDLM4, bus_bits), 0x1234567) for bus_bits in (32, 256, 1024)),
    *((StreamQueue, width, depth) for width, depth in ((7, 1), (33, 4), (5, 6))),
    (StreamSlice, 20),
    *((CreditGate, 20, depth) for depth in (3, 16)),
    (Supervisor, 32),
    (Counters, 8),
    (AxiArbiter, 14, 32),
]


# What nextpnr reads: multipliers and block RAMs with registers of their own.
MAPPED = [(SeedlmLane, replace(_small(SEEDLM4), **ECP5)), (Fp16Lane, replace(_small(None), **ECP5)),
          (Activations, replace(_small(None, 32), max_cols=1 << 11, **ECP5))]

# Accumulators driven to their bounds by the widest rows there are; too long for Icarus.
WIDEST = [(lane, replace(_small(fmt), max_cols=1 << 16))
          for lane, fmt in ((SeedlmLane, SEEDLM4), (SeedlmLane, SEEDLM3), (Int4Lane, INT4), (Fp16Lane, None))]


def _name(value):
    if isinstance(value, EngineConfig):
        changed = [str(getattr(value, field.name)) for field in fields(value)[2:]
                   if getattr(value, field.name) != getattr(_small(None), field.name)]
        return "-".join([value.name, str(value.bus_bits), *changed])
    return str(getattr(value, "name", None) or getattr(value, "__name__", value))


def _run(case, simulator, **options):
    component, *args = case
    stage = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", component.__name__).lower()  # ReadDma has tb_read_dma
    run(build(component, *args, simulator=simulator, **options), f"sim.testbenches.tb_{stage}", tuple(args))


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(_name, case)))
def test_block(case, simulator):
    _run(case, simulator)


@pytest.mark.parametrize("case", MAPPED, ids=lambda case: "-".join(map(_name, case)))
def test_block_as_placed_on_ecp5(case):
    _run(case, "icarus", to_ecp5=True)


@pytest.mark.parametrize("case", WIDEST, ids=lambda case: "-".join(map(_name, case)))
def test_widest_rows(case):
    _run(case, "verilator")
