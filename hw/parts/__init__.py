"""Parts that any block may use: queues, slices, gates, pipelines, delay lines, AXI interfaces."""
