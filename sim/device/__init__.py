"""The simulated system as a device that the host drives, natively compiled or under cocotb, and what it may work on."""
