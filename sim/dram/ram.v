// Storage behind the memory model: words of WIDTH bits, zero until written.
//
// One combinational read port, one write port with byte strobes, and a port for the host that moves whole ranges
// between mem[host_addr +: host_count] and files in the directory that the simulation runs in, in one clock edge:
//   host_load   reads memory.in: raw words, most significant byte first
//   host_store  writes memory.out: one word a line, in hexadecimal, most significant digit first

module ram #(
    parameter WIDTH = 64,
    parameter DEPTH = 1024,
    parameter ADDR_BITS = 10
) (
    input clk,
    input [ADDR_BITS-1:0] raddr,
    output [WIDTH-1:0] rdata,
    input [ADDR_BITS-1:0] waddr,
    input [WIDTH-1:0] wdata,
    input [WIDTH/8-1:0] wstrb,
    input host_load,
    input host_store,
    input [31:0] host_addr,
    input [31:0] host_count
);

  reg [WIDTH-1:0] mem[0:DEPTH-1];
  integer file, found, i;

  assign rdata = mem[raddr];

`ifndef VERILATOR
  // Verilator's memories start as zeros.
  initial for (i = 0; i < DEPTH; i = i + 1) mem[i] = {WIDTH{1'b0}};
`endif

  // verilator lint_off BLKSEQ
  // Blocking assignments, because $fread is one; the model never reads a word at the edge that writes it.
  always @(posedge clk) begin
    for (i = 0; i < WIDTH / 8; i = i + 1)
      if (wstrb[i]) mem[waddr][8*i+:8] = wdata[8*i+:8];
    if (host_load) begin
      file = $fopen("memory.in", "rb");
      found = $fread(mem, file, host_addr, host_count);
      $fclose(file);
      if (found != host_count * (WIDTH / 8)) begin
        $display("memory.in has %0d bytes where %0d were to be loaded", found, host_count * (WIDTH / 8));
        $finish;
      end
    end
    if (host_store) begin
      file = $fopen("memory.out", "w");
      for (i = host_addr; i < host_addr + host_count; i = i + 1) $fwrite(file, "%h\n", mem[i]);
      $fclose(file);
    end
  end

endmodule
