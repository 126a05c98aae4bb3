// Storage behind the memory model, as sim/dram/ram.v, for the native simulator: a file that
// sim/device/native_harness.cpp maps into memory.
//
// The host writes and reads that file itself, between cycles, so that the host's port is not used here.

module ram #(
    parameter WIDTH = 64,
    /* verilator lint_off UNUSEDPARAM */
    parameter DEPTH = 1024,
    parameter ADDR_BITS = 10
) (
    input clk,
    input [ADDR_BITS-1:0] raddr,
    output bit [WIDTH-1:0] rdata,
    input [ADDR_BITS-1:0] waddr,
    input [WIDTH-1:0] wdata,
    input [WIDTH/8-1:0] wstrb,
    input host_load,
    input host_store,
    input [31:0] host_addr,
    input [31:0] host_count
);

  import "DPI-C" function void ram_read(int bytes, longint unsigned word, bit cycle, output bit [WIDTH-1:0] data);
  import "DPI-C" function void ram_write(int bytes, longint unsigned word, bit [WIDTH-1:0] data, bit [WIDTH/8-1:0] strobe);

  // The file changes unseen: each cycle reads it again.
  bit cycle;

  always_comb ram_read(WIDTH / 8, 64'(raddr), cycle, rdata);

  always_ff @(posedge clk) begin
    cycle <= !cycle;
    if (wstrb != 0) ram_write(WIDTH / 8, 64'(waddr), wdata, wstrb);
  end

endmodule
