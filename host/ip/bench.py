"""The package's own bench: a cocotb test of the emitted Verilog, and a chain of matrices with its exact results.

The bench runs without this project. Operands and results are files, which are made here.
"""

import json
from typing import Any

import numpy as np

from golden.product import product
from host.device.arena import Operand, Placed, place
from host.errors import UserError
from host.ip.core import Core
from host.ip.operands import factor_exponent
from host.ip.template import render
from host.packing.image import activation_image, weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_image
from hw.registers.register_map import ERRORS, REGISTERS, START
from sim.device.random_operands import finite_halves, random_weights

__all__ = ["MEMORY_BYTES", "files"]

MEMORY_BYTES = 1 << 18
"""Bytes of the bench's memory."""
_SEED = 17


def _base(config: EngineConfig) -> int:
    """Return the address at which the bench's memory begins, which is as high as the engine's addresses allow."""
    return max((1 << config.addr_bits) - 4 * MEMORY_BYTES, 0)


def _shapes(config: EngineConfig) -> list[tuple[int, int]]:
    """Return the rows and columns of the matrices, none of which is a multiple of the lanes or of a block.

    The second has as many columns as the first, whose vector it shares.
    """
    wide = min(5 * config.c * config.fmt.group_blocks // 2 + 3, config.max_cols)
    rows = min(2 * config.lanes + 3, config.max_rows)
    return [(rows, wide), (min(config.lanes + 1, config.max_rows), wide), (1, min(config.c + 1, config.max_cols))]


def _matrix(placed: Placed, number: int, result: np.ndarray) -> dict[str, Any]:
    """Return what the bench is told of one matrix, and the names of its files."""
    regions = {"weights": placed.address("WEIGHT_ADDR")}
    if placed.words["ACTIVATION_BEATS"]:
        regions["activations"] = placed.address("ACTIVATION_ADDR")
    if placed.descriptor_addr:
        regions["descriptor"] = placed.descriptor_addr
    return {
        "rows": placed.rows, "columns": placed.cols, "words": placed.words,
        "regions": {f"matrix{number}_{name}.bin": f"{address:#x}" for name, address in regions.items()},
        "results": {"file": f"matrix{number}_results.bin", "address": f"{placed.address('RESULT_ADDR'):#x}",
                    "float32": [float(value) for value in result]},
    }


def operands(core: Core) -> dict[str, str | bytes]:
    """Return the files of a chain of three matrices by their paths in the package.

    Raises
    ------
    UserError
        When the engine's addresses do not suffice for them.
    """
    config, rng = core.config, np.random.default_rng(_SEED)
    shapes = _shapes(config)
    weights = [random_weights(config.fmt, *shape, rng) for shape in shapes]
    shared, last = (finite_halves(rng, shapes[i][1]) for i in (0, 2))
    vectors, read = [shared, shared, last], [True, False, True]
    exponent = factor_exponent(config)
    images = [weight_image(matrix, config) for matrix in weights]
    inputs = [activation_image(x, config) if own else b"" for x, own in zip(vectors, read, strict=True)]
    loaded, size = place(config, [Operand(*shape, len(vector), len(image), exponent) for shape, vector, image
                               in zip(shapes, inputs, images, strict=True)], _base(config))
    if _base(config) + size > 1 << config.addr_bits:
        raise UserError(f"the bench of the package needs {size} bytes of memory, more than {config.addr_bits}-bit "
                        f"addresses reach: use at least {(size - 1).bit_length()} bits")
    found: dict[str, str | bytes] = {}
    matrices = []
    for i, placed in enumerate(loaded.matrices):
        result = product(weights[i], vectors[i], config.act_bits).astype("<f4")
        matrices.append(_matrix(placed, i, result))
        contents = {"weights": images[i], "activations": inputs[i], "results": result.tobytes(),
                    "descriptor": descriptor_image(placed.words) if placed.descriptor_addr else b""}
        found |= {f"bench/operands/matrix{i}_{name}.bin": content for name, content in contents.items() if content}
    chain = {"memory": {"base": f"{_base(config):#x}", "bytes": MEMORY_BYTES}, "matrices": matrices}
    return {"bench/operands/chain.json": json.dumps(chain, indent=2) + "\n", **found}


def files(core: Core) -> dict[str, str | bytes]:
    """Return the bench by the paths of its files in the package. It raises the errors of :func:`operands`."""
    status = {field.name: field.lsb for register in REGISTERS if register.name == "STATUS" for field in register.fields}
    values = {"core": core, "registers": REGISTERS, "status": status, "errors": tuple(ERRORS), "start": START}
    return {
        f"bench/test_{core.name}.py": render("test_bench.py.j2", **values),
        f"bench/tb_{core.name}.py": render("tb_bench.py.j2", **values),
        "bench/check_results.py": render("check_results.py.j2"),
        "bench/requirements.txt": render("requirements.txt.j2", **values),
        **operands(core),
    }
