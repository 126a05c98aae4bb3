"""The hardware: a memory-bound matrix-vector engine in Amaranth, one file per datapath stage."""
