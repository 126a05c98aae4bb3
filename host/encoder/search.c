/* Exhaustive SeedLM seed search: for every block the seed, exponent and codes of least squared error.
 *
 * Compiled by host/encoder/kernel.py, once for each format, with -DC= -DP= -DK= -DCOEF_BITS= -DEXP_MIN= -DEXP_MAX=
 * -DTAPS= (a bit mask).
 *
 * Columns of U are runs of the LFSR cycle: with D[i] = sum_c w[c] u[i + 1 + P c], the products U^T w of the seed at
 * position i of the cycle are D[i] .. D[i+P-1]. With Q an orthonormal basis of U's columns, ||w||^2 - ||Q^T w||^2 is a
 * lower bound of every quantised error. Three facts make it cheap to know for every seed:
 *   - A state is its predecessor shifted by one bit, so D[i+1] is D[i]/2 and a sum of +-w/2 by the C bits that enter,
 *     less a little for those that leave: two additions and two table look-ups in place of C products.
 *   - Neighbours on the cycle share P-1 columns, so their energies ||Q^T w||^2 share all but one term.
 *   - All coefficients depend on the seed alone, so 16 blocks ride in the lanes of one vector.
 * The greatest energy of each tile of TILE positions is kept; then, block by block, tiles are opened in falling order
 * until their bound exceeds the best error, and only seeds that can win are evaluated, in float64.
 *
 * Bounds are float32 and lowered by SLACK, which covers their rounding for seeds whose basis is well conditioned
 * (amplification below GAIN). The few others, at most some thousand, are bounded by their stored Q.
 *
 * An error e counts ||M e||^2, with a matrix M that the blocks of a search share. All of the above then holds for M w
 * and M U in place of w and U, and (M U)^T M w = U^T (M^T M w) is the same correlation, of other weights.
 */
#include "search_cells.h"

/* Sum of +-w/2 by the bits m, m + P, .. of the stream. */
static inline __attribute__((always_inline)) vf signed_sum(const segment *g, vf table[][1 << TABLE_BITS], int m) {
    vf sum = table[0][g->index[m][0]];
    UNROLL for (int t = 1; t < TABLES; t++) sum += table[t][g->index[m][t]];
    return sum;
}

/* Energies of a pair of seeds from the P + 1 products d of their columns and the pair's coefficients a. */
static inline __attribute__((always_inline)) void pair_energies(const vf d[P + 1], const vf a[COEFS], vf *e0, vf *e1) {
    vf first = d[0] * a[SHARED], last = d[P] * a[SHARED + P], shared = first - first;
    UNROLL for (int i = 0, n = 0; i < P - 1; i++) {
        vf y = d[1] * a[n++];
        UNROLL for (int k = 1; k <= i; k++) y += d[1 + k] * a[n++];
        shared = i ? shared + y * y : y * y;
        first += y * a[SHARED + 1 + i];
        last += y * a[SHARED + P + 1 + i];
    }
    *e0 = shared + first * first;
    *e1 = shared + last * last;
}

/* The greatest energy of every tile, for LANES blocks whose M^T M w is given. */
static void tile_energies(const segment *g, const vf w[C], vf *greatest) {
    vf table[TABLES][1 << TABLE_BITS], d[P + 1], zero = {0}, total = zero;
    const float top = (float)((1L << (K - 1)) / UNIT), leaving = (float)ldexp(1, -K);
    for (int t = 0; t < TABLES; t++) { /* sums of +-w/2 by entering bits; a state is its centred bits less a half */
        table[t][0] = zero;
        for (int b = 0; b < TABLE_BITS; b++) {
            int c = t * TABLE_BITS + b;
            vf x = c < C ? w[c] * top : zero;
            for (int i = (1 << b) - 1; i >= 0; i--) {
                table[t][i | 1 << b] = table[t][i] + x * 0.5f;
                table[t][i] -= x * 0.5f;
            }
            total += x;
        }
    }
    for (int i = 0; i < 1 << TABLE_BITS; i++) table[0][i] -= total * (float)(0.25 / ((1L << (K - 1)) - 0.5));
    for (int p = 0; p < P; p++) {
        d[p] = zero;
        for (int c = 0; c < C; c++) d[p] += w[c] * (float)(g->u[1 + p + c * P] / UNIT);
    }
#define NEXT(now, x) /* D[x] from D[x-1] */ \
    ((now) * 0.5f + (signed_sum(g, table, (x) + K) - signed_sum(g, table, x) * leaving))
    for (int tile = 0; tile < TILES; tile++) {
        vf most = zero;
        for (int pair = tile * PAIRS; pair < (tile + 1) * PAIRS; pair++) {
            const float *coef = &g->coef[pair / LANES][0][pair % LANES];
            vf a[COEFS], e0, e1;
            UNROLL for (int n = 0; n < COEFS; n++) a[n] = coef[n * LANES] - (vf){0};
            d[P] = NEXT(d[P - 1], 2 * pair + P);
            pair_energies(d, a, &e0, &e1);
            most = vmax(most, vmax(e0, e1));
            vf next = NEXT(d[P], 2 * pair + P + 1);
            UNROLL for (int p = 0; p < P - 1; p++) d[p] = d[p + 2];
            d[P - 1] = next;
        }
        greatest[tile] = most;
    }
#undef NEXT
}

static inline float threshold(const block *b, const segment *g) {
    return (float)(b->norm * g->sure - b->error);
}

/* Evaluate the seeds of one tile whose energy reaches the threshold; w is M^T M times the block's weights. */
static void open_tile(block *b, const segment *g, int tile, const float *w, int mode) {
    float d[TILE + P] = {0}, energy[TILE];
    for (int c = 0; c < C; c++)
        for (int i = 0; i < TILE + P; i++) d[i] += w[c] * g->u[tile * TILE + 1 + i + c * P];
    for (int part = 0; part < PAIRS / LANES; part++) {
        vf x[P + 1], e0, e1;
        for (int p = 0; p <= P; p++)
            for (int lane = 0; lane < LANES; lane++)
                x[p][lane] = d[2 * (part * LANES + lane) + p] * (float)(1 / UNIT);
        pair_energies(x, (const vf *)g->coef[tile * PAIRS / LANES + part], &e0, &e1);
        for (int lane = 0; lane < LANES; lane++) {
            energy[2 * (part * LANES + lane)] = e0[lane];
            energy[2 * (part * LANES + lane) + 1] = e1[lane];
        }
    }
    int best = 0; /* the most promising seed comes first: it tightens the bound for the others */
    for (int i = 1; i < TILE; i++) best = energy[i] > energy[best] ? i : best;
    for (int n = 0; n < TILE; n++) {
        int i = (best + n) % TILE;
        if (g->reach[tile * TILE + i] > 0 && energy[i] >= threshold(b, g)) evaluate(b, g, tile * TILE + i, mode);
    }
}

/* Evaluate the ill-conditioned seeds whose energy reaches the threshold; w is M times the block's weights. */
static void open_bad(block *b, const segment *g, const float *w, int mode) {
    for (int n = 0; n < g->bad_count; n += LANES) {
        const vf *q = g->bad_q[n / LANES];
        vf energy = {0};
        for (int p = 0; p < P; p++) {
            vf y = {0};
            for (int c = 0; c < C; c++) y += *q++ * w[c];
            energy += y * y;
        }
        for (int lane = 0; lane < LANES && n + lane < g->bad_count; lane++)
            if (energy[lane] >= threshold(b, g))
                evaluate(b, g, g->bad[n + lane], mode);
    }
}

/* Search one segment for `count` blocks of C finite weights, (count, C).
 *
 * `error`, `seed`, `exponent` and `codes` hold the best so far and are improved in place; error infinite: none yet.
 * Errors are squared, in the metric, and, so that none over- or underflows, relative to 4^(exponent of the greatest
 * number of M w). */
void segment_search(const segment *g, const double *weights, long count, int mode, double *error, uint32_t *seed,
                    int8_t *exponent, int8_t *codes) {
    for (long start = 0; start < count; start += LANES) {
        vf w[C], twice[C], tiles[TILES]; /* M w, and M^T M w */
        union { vf v[TILE_VECTORS]; float of[TILE_VECTORS * LANES]; } greatest; /* of one block */
        block blocks[LANES];
        memset(w, 0, sizeof w), memset(twice, 0, sizeof twice);
        for (int lane = 0; lane < LANES && start + lane < count; lane++) {
            block *b = &blocks[lane];
            load(b, g, weights + (start + lane) * C);
            for (int c = 0; c < C; c++) w[c][lane] = (float)b->w[c];
            for (int j = 0; j < C; j++) {
                double sum = 0;
                for (int c = 0; c < C; c++) sum += g->metric[j][c] * b->w[c];
                twice[j][lane] = (float)sum;
            }
        }
        tile_energies(g, twice, tiles);
        for (int lane = 0; lane < LANES && start + lane < count; lane++) {
            block *b = &blocks[lane];
            long n = start + lane;
            float own[C], own_twice[C];
            resume(b, error[n], seed[n], exponent[n], codes + n * P, mode);
            for (int c = 0; c < C; c++) own[c] = w[c][lane], own_twice[c] = twice[c][lane];
            for (int tile = TILES; tile < TILE_VECTORS * LANES; tile++) greatest.of[tile] = -1;
            for (int tile = 0; tile < TILES; tile++) greatest.of[tile] = tiles[tile][lane];
            while (b->norm > 0) {
                int tile = highest(greatest.of, TILE_VECTORS);
                if (greatest.of[tile] < threshold(b, g) || greatest.of[tile] < 0) break;
                open_tile(b, g, tile, own_twice, mode);
                greatest.of[tile] = -1;
            }
            if (b->norm > 0) open_bad(b, g, own, mode);
            keep(b, error + n, seed + n, exponent + n, codes + n * P);
        }
    }
}

long segment_positions(void) { return N; }
uint32_t segment_next(const segment *g) { return g->state[N]; }
int segment_bad_count(const segment *g) { return g->bad_count; }
void segment_bad_seeds(const segment *g, uint32_t *seeds) {
    for (int i = 0; i < g->bad_count; i++) seeds[i] = g->state[g->bad[i]];
}
/* Pseudo-inverses of the ill-conditioned seeds, (bad_count, P, C), for rounding; zero when out of memory. */
int segment_set_pinv(segment *g, const double *pinv) {
    size_t size = sizeof(double) * (size_t)g->bad_count * P * C;
    g->pinv = malloc(size + 1);
    return g->pinv && memcpy(g->pinv, pinv, size);
}
