/* The floating-point peak of one core: fused multiply-adds that wait for nothing, in the vectors of the encoder. */
#define LANES 16
#define CHAINS 12 /* more than latency times units of any core, and no more than its registers hold */

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));

/* Does `rounds` rounds of multiply-adds; the sum keeps the compiler from leaving them out. */
float peak_run(long rounds) {
    vf sum[CHAINS], factor = (vf){0} + 0.999f, term = (vf){0} + 0.001f;
    for (int i = 0; i < CHAINS; i++) sum[i] = (vf){0} + (float)i;
    for (long round = 0; round < rounds; round++)
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * factor + term;
    float total = 0;
    for (int i = 0; i < CHAINS; i++) total += sum[i][0];
    return total;
}

long peak_operations(void) { return 2L * LANES * CHAINS; } /* of one round */
