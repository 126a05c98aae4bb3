// Black boxes for the lint of the boards' tops: the cells of an ECP5 that they hold, with the pins that are connected.
// Lattice, FPGA Libraries Reference Guide.

/* verilator lint_off UNDRIVEN */
/* verilator lint_off UNUSEDPARAM */

module IB (input I, output O);
endmodule

module OBZ (input I, input T, output O);
endmodule

module BB (input I, input T, output O, inout B);
endmodule

module IFS1P3DX (input D, input SP, input SCLK, input CD, output Q);
endmodule

module OFS1P3DX (input D, input SP, input SCLK, input CD, output Q);
endmodule

module ODDRX1F (input SCLK, input RST, input D0, input D1, output Q);
endmodule

module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOS_DIV = 8,
    parameter CLKOP_CPHASE = 0, CLKOP_FPHASE = 0, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0,
    parameter FEEDBK_PATH = "CLKOP", CLKOP_ENABLE = "ENABLED", CLKOS_ENABLE = "ENABLED",
    parameter OUTDIVIDER_MUXA = "DIVA", OUTDIVIDER_MUXB = "DIVB"
) (
    input CLKI, input CLKFB, input RST, input STDBY, input PHASESEL0, input PHASESEL1, input PHASEDIR,
    input PHASESTEP, input PHASELOADREG, input PLLWAKESYNC, input ENCLKOP,
    output CLKOP, output CLKOS, output LOCK
);
endmodule
