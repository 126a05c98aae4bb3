// Hands the handshakes of the engine's streams to sim/timeline/record.cpp, once in each cycle that the engine counts.
//
// Bits 2n and 2n + 1 are valid and ready of stream n of sim/timeline/streams.py; above them are two more signals.

module probe (
    input clk
);

  import "DPI-C" function void record(int unsigned signals);

  always @(posedge clk)
    if (top.engine.counters.busy)
      record({
        18'b0,
        top.engine.counters.reading,
        top.engine.counters.refreshing,
        top.engine.axi__w__ready, top.engine.axi__w__valid,
        top.engine.results.o__ready, top.engine.results.o__valid,
        top.engine.results.i__ready, top.engine.results.i__valid,
        top.engine.activations.o__ready, top.engine.activations.o__valid,
        top.engine.unpacker.o__ready, top.engine.unpacker.o__valid,
        top.engine.axi__r__ready, top.engine.axi__r__valid
      });

endmodule

bind top probe probe (.clk(clk));
