"""What software does about each cause that ends a run: what ERROR_ADDR tells, and how to go on."""

from dataclasses import dataclass

__all__ = ["CAUSES", "Cause"]


@dataclass(frozen=True)
class Cause:
    """A cause.

    Parameters
    ----------
    error_addr : str
        What ERROR_ADDR holds, in words.
    recovery : str
        What to do before the next start, in sentences.
    """

    error_addr: str
    recovery: str


_DESCRIPTOR = "the descriptor's address; 0 for the registers"
_BURST = "the burst's first byte"
_CORRECT = "Nothing of this matrix was read or written. Correct the descriptor and start again."

CAUSES = {
    "read_error": Cause(_BURST, "Find out which slave answered at that address: as a rule nothing is mapped there, or "
                        "the memory is not ready. Then start again."),
    "write_error": Cause(_BURST, "As for READ_ERROR. Results of the matrix may be in memory in part."),
    "not_finite": Cause("the beat that holds the activation", "Correct the activations and start again."),
    "bad_descriptor": Cause(_DESCRIPTOR, "Nothing of this matrix was read or written. Write the descriptor with the "
                            "value that FORMAT reads, and with zeros behind it; check that NEXT of the matrix before "
                            "points to it. Then start again."),
    "timeout": Cause("the burst that memory did not serve", "Find out why memory is silent, or raise WATCHDOG. While "
                     "STATUS.settling is 1, memory may still answer, so leave the run's buffers alone. A start is "
                     "allowed at once, and begins when memory has answered what it owes. If it never does, reset the "
                     "engine and the memory's side together."),
    "bad_address": Cause("the address itself", _CORRECT),
    "bad_size": Cause(_DESCRIPTOR, _CORRECT),
    "bad_activations": Cause(_DESCRIPTOR, _CORRECT),
    "bad_weights": Cause(_DESCRIPTOR, _CORRECT),
    "protocol_error": Cause(_BURST, "This is a fault of the interconnect or of the memory's controller: RLAST did not "
                            "come with the last beat, or an answer came that was not asked for. Results are not to be "
                            "trusted. A start is allowed at once, and begins when the bus has been silent for long "
                            "enough."),
    "aborted": Cause("0", "Nothing is wrong. Results of the matrix that was under way may be in memory in part. Start "
                     "again at any time."),
}
"""By the names of :data:`hw.registers.register_map.ERRORS`."""
