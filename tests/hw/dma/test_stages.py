"""The components of hw/dma alone, on both simulators: random data, idle cycles, back-pressure, aborts and errors."""

import pytest

from golden.spec import SEEDLM4
from hw.dma.burst_cutter import BurstCutter
from hw.dma.descriptor import DescriptorReader
from hw.dma.read import ReadDma
from hw.dma.result_packer import ResultPacker
from hw.dma.unpacker import Unpacker
from hw.dma.write import WriteDma
from sim.tools.toolchain import SIMULATORS
from tests.hw.stages import ECP5, run_stage, small, stage_id

CASES = [
    *((Unpacker, *widths) for widths in ((512, 576), (512, 528), (64, 72), (32, 45), (32, 64), (32, 62),
                                         (64, 72, 1), (32, 62, 2))),
    *((BurstCutter, small(SEEDLM4, bus_bits)) for bus_bits in (32, 1024)),
    *((stage, small(SEEDLM4, 128, addr_bits=64)) for stage in (BurstCutter, ReadDma, WriteDma)),
    *((ReadDma, small(SEEDLM4, bus_bits)) for bus_bits in (32, 1024)),
    (ReadDma, small(SEEDLM4, 256, **ECP5)),
    *((WriteDma, small(SEEDLM4, bus_bits)) for bus_bits in (32, 256)),
    (WriteDma, small(SEEDLM4, 64, results_per_cycle=2)),
    (ResultPacker, small(SEEDLM4, 128, results_per_cycle=2)),
    *((DescriptorReader, small(SEEDLM4, bus_bits), 0x1234567) for bus_bits in (32, 256, 1024)),
    (DescriptorReader, small(SEEDLM4, 64, **ECP5), 0x1234567),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("case", CASES, ids=stage_id)
def test_stage(case, simulator):
    run_stage(case, simulator)
