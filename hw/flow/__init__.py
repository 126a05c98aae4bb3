"""From a design to files: Verilog, synthesis by Yosys, place and route by nextpnr, bitstreams."""
