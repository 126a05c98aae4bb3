"""The steps of :func:`host.measure.layer.simulate`, as it names them, with about what each takes on two cores."""

from collections.abc import Iterator

from golden.spec import BlockFormat, TrellisFormat, parse_format
from host.display.meter import Step
from host.measure.layer import Job
from host.measure.matrices import Matrix

__all__ = ["layer_steps"]

_WEIGHTS_PER_S = {BlockFormat: 800_000, TrellisFormat: 2_000_000}
"""Weights that are encoded in a second, by the type of the format, on two cores with other work: those of seedlm4 and
trellis4, while the clock corrects other formats. What has no encoder that takes long is not here."""
_BUILD_SECONDS = {"verilator": 25.0, "icarus": 5.0}
_CYCLES_PER_S = {"verilator": 80_000, "icarus": 80}
"""Cycles of an engine of 512 bits that are simulated in a second."""
_RUNS = 4
"""Runs of a product over the phases of the refresh, about."""


def layer_steps(job: Job, matrices: list[Matrix], chain: bool) -> list[Step]:
    """Return the steps of all formats, in order; those of compression are left out when the codes are known already."""
    return [step for name in job.formats for step in _of_format(job, name, matrices, chain)]


def _of_format(job: Job, name: str, matrices: list[Matrix], chain: bool) -> Iterator[Step]:
    fmt = parse_format(name)

    def simulated(what: str, weights: int) -> Step:
        cycles = weights * fmt.bits_per_weight / job.bus_bits
        return Step((f"{name}: simulate {what}",), 1 + _RUNS * cycles / _CYCLES_PER_S[job.simulator],
                    f"{name} simulate")

    sizes = {matrix.name: matrix.shape[0] * matrix.shape[1] for matrix in matrices}
    if speed := _WEIGHTS_PER_S.get(type(fmt)):
        for matrix, weights in sizes.items():
            what = f"{name}: compress {matrix}"
            yield Step((what,), weights / speed, f"{name} compress", what)
    yield Step((f"{name}: build the simulator",), _BUILD_SECONDS[job.simulator], "build")
    yield from (simulated(matrix, weights) for matrix, weights in sizes.items())
    if chain:
        yield simulated("all as a chain", sum(sizes.values()))
