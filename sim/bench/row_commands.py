"""The command multiplexer's side of an SDRAM row command, for testbenches of the parts that request them."""

from dataclasses import dataclass
from typing import Any

from cocotb.triggers import FallingEdge

from hw.sdram.pins import Command

__all__ = ["Accepted", "RowCommands"]


@dataclass(frozen=True)
class Accepted:
    """A row command, and the number of the cycle in which it was accepted."""

    cycle: int
    command: Command
    bank: int
    address: int


class RowCommands:
    """Accepts the commands that ``dut`` requests, each when the time of the one before has passed.

    Parameters
    ----------
    dut : handle
        Has the port ``row_command``, and may have ``settled``.
    cycles : dict of Command to int
        Cycles from each command to the next.
    watched : str
        Names of ports of one bit.

    Attributes
    ----------
    cycle : int
        Number of the current cycle; that in which :meth:`run` has begun has the number 0.
    accepted : list of Accepted
    rises : dict of str to list of int
        For each watched port, the cycles in which it is 1 and was 0 in the cycle before.
    """

    def __init__(self, dut: Any, cycles: dict[Command, int], *watched: str):
        self._dut, self._cycles = dut, cycles
        self.cycle = 0
        self.accepted: list[Accepted] = []
        self.rises: dict[str, list[int]] = {name: [] for name in watched}

    async def run(self) -> None:
        """Accept commands for ever. Ports are read in the middle of each cycle, when they have settled."""
        dut, wait, high = self._dut, 0, dict.fromkeys(self.rises, False)
        while True:
            await FallingEdge(dut.clk)
            for name, cycles in self.rises.items():
                value = bool(getattr(dut, name).value)
                if value and not high[name]:
                    cycles.append(self.cycle)
                high[name] = value
            if hasattr(dut, "settled"):
                dut.settled.value = wait == 0
            accept = wait == 0 and bool(dut.row_command__requested.value)
            dut.row_command__accepted.value = accept
            wait = max(wait - 1, 0)
            if accept:
                command = Command(int(dut.row_command__command.value))
                self.accepted.append(Accepted(self.cycle, command, int(dut.row_command__bank.value),
                                              int(dut.row_command__address.value)))
                wait = self._cycles[command] - 1
            self.cycle += 1
