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
_CORRECT = "Nothing was written for this matrix. Correct the descriptor, and start again."

CAUSES = {
    "read_error": Cause(_BURST, "Find out which slave answered at that address: as a rule nothing is mapped there, or "
                        "the memory is not ready. Then start again."),
    "write_error": Cause(_BURST, "As for read_error. Other results of the matrix may be in memory."),
    "not_finite": Cause(_BURST, "Correct the activations, and start again."),
    "bad_descriptor": Cause(_DESCRIPTOR, "Nothing was written for this matrix. See that NEXT of the matrix before "
                            "points to a descriptor, and that its FORMAT is what the register FORMAT reads, with zeros "
                            "behind it. Then start again."),
    "timeout": Cause("the oldest burst that memory has not completed", "Find out why memory is silent, or raise "
                     "WATCHDOG. While STATUS.settling is 1, memory may still answer, so leave the run's buffers alone. "
                     "A start is allowed at once, and waits until memory has answered what it owes. If it never does, "
                     "every start ends with a timeout: reset the engine and the memory's side together."),
    "bad_address": Cause("the address itself", _CORRECT),
    "bad_size": Cause(_DESCRIPTOR, _CORRECT),
    "bad_activations": Cause(_DESCRIPTOR, _CORRECT),
    "bad_weights": Cause(_DESCRIPTOR, _CORRECT),
    "protocol_error": Cause(_BURST, "This is a fault of the interconnect or of the memory's controller: RLAST did not "
                            "come with the last beat of a burst, or an answer came that nobody asked for. The results "
                            "are not to be trusted. A start is allowed at once, and waits until the bus has been "
                            "silent for long enough."),
    "aborted": Cause("the oldest burst that memory had not completed, if there was one", "Nothing is wrong. Results of "
                     "the matrices that were under way may be in memory in part. Start again at any time."),
}
"""By the names of :data:`hw.registers.register_map.ERRORS`."""
