"""Test benches that run inside a simulator under cocotb, one for each stage."""
