"""cocotb testbenches: these modules run inside the simulator, started by :func:`sim.tools.runner.run`."""
