"""The reference: what SeedLM is, and what the hardware computes, bit for bit, in NumPy alone."""
