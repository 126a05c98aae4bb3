/* Exhaustive SeedLM seed search: for every block the seed, exponent and codes of least squared error.
 *
 * Compiled by host/kernel.py, once for each format, with -DC= -DP= -DK= -DCOEF_BITS= -DTAPS= (a bit mask).
 *
 * Columns of U are runs of the LFSR cycle: with D[i] = sum_c w[c] u[i + 1 + P c], the products U^T w of the seed at
 * position i of the cycle are D[i] .. D[i+P-1]. ||w||^2 - ||Q^T w||^2, Q an orthonormal basis of U's columns, is a lower
 * bound of every quantised error. Three facts make it cheap to know for every seed:
 *   - A state is its predecessor shifted by one bit, so D[i+1] = D[i]/2 + (sum of the +-w whose entering bit is set) - ..:
 *     two additions and two table look-ups in place of C products.
 *   - Neighbours on the cycle share P-1 columns, so their energies ||Q^T w||^2 share all but one term.
 *   - All coefficients depend on the seed alone, so 16 blocks ride in the lanes of one vector.
 * The greatest energy of each tile of TILE positions is kept; then, block by block, tiles are opened in falling order
 * until their bound exceeds the best error, and only seeds that can win are evaluated, in float64.
 *
 * Bounds are float32 and lowered by SLACK, which covers their rounding for seeds whose basis is well conditioned
 * (amplification below GAIN). The few others, at most some thousand, are bounded by their stored Q.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define TILE 64
#define PERIOD ((1L << K) - 1)
#define N (PERIOD > 65536 ? 65536 : (PERIOD + TILE - 1) / TILE * TILE) /* positions of a segment; small cycles repeat */
#define TILES (N / TILE)
#define TILE_VECTORS ((TILES + LANES - 1) / LANES)
#define UNIT ((double)((1L << (K - 1)) - 1))
#define TABLES (C <= 8 ? 1 : (C + 5) / 6)    /* look-ups for the bits that enter a block's C states in one step */
#define TABLE_BITS ((C + TABLES - 1) / TABLES)
#define SHARED (P * (P - 1) / 2)             /* coefficients of the P-1 columns that a pair of seeds shares */
#define COEFS (SHARED + 2 * P)
#define CODE_MIN (-(1 << (COEF_BITS - 1)))
#define CODE_MAX ((1 << (COEF_BITS - 1)) - 1)
#define EXP_MIN (-8)
#define EXP_MAX 7
#define GAIN 8.0
#define SLACK (2 * GAIN * (C / 2.0 + P + 8) * sqrt(C) * 6e-8 + 1e-6) /* of ||w||^2 */
#define UNROLL _Pragma("GCC unroll 16")

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));

#ifdef __AVX512F__
#include <immintrin.h>
static inline vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
#else
typedef int32_t vi __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));
static inline vf vmax(vf a, vf b) { vi m = a > b; return (vf)(((vi)a & m) | ((vi)b & ~m)); }
#endif

typedef struct {
    float coef[N / 2 / LANES][COEFS][LANES]; /* a pair of seeds per lane: shared triangle, then first, then last column */
    uint32_t state[N + C * P + K + 8];       /* the cycle from the segment's first seed on */
    float u[N + C * P + K + 8];              /* centred states: exact integers */
    uint8_t index[N + K + P + 2][TABLES];    /* bits m, m + P, .. of the stream, as table indices */
    float reach[N];                          /* at most the least singular value of U */
    int bad_count;
    int *bad;                                /* positions of ill-conditioned seeds */
    vf (*bad_q)[C * P];                      /* their orthonormal bases, a seed per lane */
    double *pinv;                            /* their pseudo-inverses, (bad_count, P, C), or null */
} segment;

/* Orthonormal columns q and triangle r of the columns u, numbers below 1e-12 of a column's norm taken as zero. */
static void orthonormalise(int columns, const double u[][C], double q[][C], double r[][P]) {
    for (int p = 0; p < columns; p++) {
        double norm = 0, left = 0;
        for (int c = 0; c < C; c++) q[p][c] = u[p][c], norm += u[p][c] * u[p][c];
        for (int i = 0; i < p; i++) r[i][p] = 0;
        for (int pass = 0; pass < 2; pass++) /* twice is enough for any condition number */
            for (int i = 0; i < p; i++) {
                double dot = 0;
                for (int c = 0; c < C; c++) dot += q[i][c] * q[p][c];
                for (int c = 0; c < C; c++) q[p][c] -= dot * q[i][c];
                r[i][p] += dot;
            }
        for (int c = 0; c < C; c++) left += q[p][c] * q[p][c];
        r[p][p] = left > 1e-24 * norm ? sqrt(left) : 0;
        for (int c = 0; c < C; c++) q[p][c] = r[p][p] > 0 ? q[p][c] / r[p][p] : 0;
    }
}

static void columns_at(const segment *g, int first, int columns, double u[][C]) {
    for (int p = 0; p < columns; p++)
        for (int c = 0; c < C; c++) u[p][c] = g->u[first + 1 + p + c * P] / UNIT;
}

/* Coefficients of one pair of seeds (positions 2 j and 2 j + 1); marks the ill-conditioned. */
static void prepare_pair(segment *g, int j, uint8_t *is_bad) {
    double u[P + 1][C], q[P][C], r[P][P], inv[P][P] = {{0}}, gain[P], energy = 0, gains = 0;
    float *out = &g->coef[j / LANES][0][j % LANES];
    columns_at(g, 2 * j, P + 1, u);
    orthonormalise(P - 1, (const double(*)[C])(u + 1), q, r);
    for (int i = 0, n = 0; i < P - 1; i++) { /* y = inv d: forward substitution of R^T y = d */
        gain[i] = 0;
        for (int k = 0; k <= i; k++, n++) {
            double sum = k == i;
            for (int l = k; l < i; l++) sum -= r[l][i] * inv[l][k];
            inv[i][k] = sum / r[i][i];
            out[n * LANES] = (float)inv[i][k];
            gain[i] += fabs(inv[i][k]);
            energy += inv[i][k] * inv[i][k];
        }
        gains += gain[i] * gain[i];
    }
    for (int side = 0; side < 2; side++) { /* the column of one seed alone: (d - sum of rho y) / rest */
        double *own = u[side * P], rho[P], rest = 0, all = energy, amplified, direct[P] = {0};
        float *o = out + (SHARED + side * P) * LANES;
        memcpy(q[P - 1], own, sizeof q[0]);
        for (int i = 0; i < P - 1; i++) {
            rho[i] = 0;
            for (int c = 0; c < C; c++) rho[i] += q[i][c] * q[P - 1][c];
            for (int c = 0; c < C; c++) q[P - 1][c] -= rho[i] * q[i][c];
        }
        for (int c = 0; c < C; c++) rest += q[P - 1][c] * q[P - 1][c];
        rest = 1 / sqrt(rest);
        o[0] = (float)rest;
        amplified = rest;
        all += rest * rest;
        for (int i = 0; i < P - 1; i++) {
            o[(1 + i) * LANES] = (float)(-rho[i] * rest);
            amplified += fabs(rho[i] * rest) * gain[i];
            for (int k = 0; k <= i; k++) direct[k] -= rho[i] * rest * inv[i][k];
        }
        for (int k = 0; k < P - 1; k++) all += direct[k] * direct[k];
        g->reach[2 * j + side] = (float)(0.999999 / sqrt(all));
        if (!(gains + amplified * amplified <= GAIN * GAIN)) {
            is_bad[2 * j + side] = 1;
            g->reach[2 * j + side] = 0;
            for (int i = 0; i < P; i++) o[i * LANES] = 0;
        }
    }
    if (is_bad[2 * j] && is_bad[2 * j + 1])
        for (int n = 0; n < COEFS; n++) out[n * LANES] = 0;
}

/* Tables for the N positions of the cycle from `seed` on; null when out of memory. */
segment *segment_new(uint32_t seed) {
    segment *g = aligned_alloc(64, (sizeof(segment) + 63) / 64 * 64);
    uint8_t *is_bad = calloc(N, 1);
    if (!g || !is_bad) return free(g), free(is_bad), NULL;
    for (int i = 0; i < N + C * P + K + 8; i++) {
        g->state[i] = seed;
        g->u[i] = (float)((long)seed - (1L << (K - 1)));
        seed = seed >> 1 | (uint32_t)__builtin_parity(seed & TAPS) << (K - 1);
    }
    for (int m = 0; m < N + K + P + 2; m++)
        for (int t = 0; t < TABLES; t++) {
            g->index[m][t] = 0;
            for (int b = 0; b < TABLE_BITS && t * TABLE_BITS + b < C; b++)
                g->index[m][t] |= (uint8_t)((g->state[m + (t * TABLE_BITS + b) * P] & 1) << b);
        }
    for (int j = 0; j < N / 2; j++) prepare_pair(g, j, is_bad);
    g->bad_count = 0;
    for (int i = 0; i < N; i++) g->bad_count += is_bad[i];
    g->bad = malloc(sizeof(int) * (size_t)(g->bad_count + 1));
    g->bad_q = aligned_alloc(64, sizeof *g->bad_q * (size_t)(g->bad_count / LANES + 1));
    g->pinv = NULL;
    memset(g->bad_q, 0, sizeof *g->bad_q * (size_t)(g->bad_count / LANES + 1));
    for (int i = 0, n = 0; i < N; i++) {
        double u[P][C], q[P][C], r[P][P];
        if (!is_bad[i]) continue;
        columns_at(g, i, P, u);
        orthonormalise(P, (const double(*)[C])u, q, r);
        for (int p = 0; p < P; p++)
            for (int c = 0; c < C; c++) g->bad_q[n / LANES][p * C + c][n % LANES] = (float)q[p][c];
        g->bad[n++] = i;
    }
    return free(is_bad), g;
}

void segment_free(segment *g) { free(g->bad), free(g->bad_q), free(g->pinv), free(g); }

/* One block, scaled by a power of two so that its greatest weight is in [0.5, 1), and the best code found for it. */
typedef struct {
    double w[C], norm;             /* norm: ||w||^2 */
    int scale;                     /* log2 of the factor that was taken out */
    double error;                  /* of the scaled weights */
    uint32_t seed;
    int exponent, codes[P];
    double u[P][C], q[P][C], r[P][P], y[P], rest; /* of the seed under evaluation; y = Q^T w, rest: what Q leaves */
} block;

/* Take the code if it is better; the least seed wins a tie. The error is computed the same way on every path and on
 * every machine (fused by name), so that the winner never depends on the order of evaluation. */
static void consider(block *b, uint32_t seed, int exponent, const int *codes) {
    double step = ldexp(1, exponent - b->scale), error = 0;
    for (int c = 0; c < C; c++) {
        double left = b->w[c];
        for (int p = 0; p < P; p++) left = fma(-codes[p] * step, b->u[p][c], left);
        error = fma(left, left, error);
    }
    if (error > b->error || (error == b->error && seed >= b->seed)) return;
    b->error = error, b->seed = seed, b->exponent = exponent;
    memcpy(b->codes, codes, sizeof b->codes);
}

/* Depth-first search for the nearest code (Schnorr and Euchner): coordinates i to 0, nearest values first. */
static void descend(block *b, int i, double partial, double step, uint32_t seed, int exponent, int *codes) {
    double target = b->y[i], pitch = b->r[i][i] * step;
    for (int j = i + 1; j < P; j++) target -= b->r[i][j] * codes[j] * step;
    double centre = pitch > 0 ? target / pitch : 0;
    int low = centre <= CODE_MIN ? CODE_MIN : centre >= CODE_MAX ? CODE_MAX : (int)rint(centre), high = low + 1;
    while (low >= CODE_MIN || high <= CODE_MAX) {
        int down = high > CODE_MAX || (low >= CODE_MIN && centre - low <= high - centre);
        codes[i] = down ? low-- : high++;
        double left = target - pitch * codes[i], sum = partial + left * left;
        if (sum > b->error * (1 + 1e-9) + 1e-14 * b->norm) return; /* every other value is farther still */
        if (i) descend(b, i - 1, sum, step, seed, exponent, codes);
        else consider(b, seed, exponent, codes);
    }
}

/* Exponent and codes by rounding, as golden/encode.py does. */
static void rounded(block *b, const double *t, uint32_t seed) {
    double greatest = 0;
    int exponent = EXP_MIN, codes[P];
    for (int p = 0; p < P; p++) greatest = fmax(greatest, fabs(t[p]));
    if (greatest > 0) exponent = ilogb(greatest) + b->scale - (COEF_BITS - 2);
    exponent = exponent < EXP_MIN ? EXP_MIN : exponent > EXP_MAX ? EXP_MAX : exponent;
    for (int p = 0; p < P; p++)
        codes[p] = (int)fmax(CODE_MIN, fmin(CODE_MAX, rint(ldexp(t[p], b->scale - exponent))));
    consider(b, seed, exponent, codes);
}

/* Every code of the seed at one position that can be the best; `pinv` null unless the seed is ill-conditioned. */
static void evaluate(block *b, const segment *g, int position, int exact, const double *pinv) {
    uint32_t seed = g->state[position];
    double step = ldexp(1, EXP_MIN - b->scale), t[P], greatest = 0;
    columns_at(g, position, P, b->u);
    if (g->reach[position] * step > 2 * sqrt(b->norm)) { /* the least step overshoots: only the zero code is left */
        consider(b, seed, EXP_MIN, (int[P]){0});
        return;
    }
    orthonormalise(P, (const double(*)[C])b->u, b->q, b->r);
    double left[C];
    memcpy(left, b->w, sizeof left);
    b->rest = 0;
    for (int p = 0; p < P; p++) {
        b->y[p] = 0;
        for (int c = 0; c < C; c++) b->y[p] += b->q[p][c] * left[c];
        for (int c = 0; c < C; c++) left[c] -= b->y[p] * b->q[p][c];
    }
    for (int c = 0; c < C; c++) b->rest += left[c] * left[c];
    for (int p = P - 1; p >= 0; p--) {
        t[p] = b->y[p];
        for (int j = p + 1; j < P; j++) t[p] -= b->r[p][j] * t[j];
        t[p] = b->r[p][p] > 0 ? t[p] / b->r[p][p] : 0;
        if (pinv)
            for (int c = t[p] = 0; c < C; c++) t[p] += pinv[p * C + c] * b->w[c];
        greatest = fmax(greatest, fabs(t[p]));
    }
    if (!exact) {
        rounded(b, t, seed);
        return;
    }
    int codes[P], usual = greatest > 0 ? ilogb(greatest) + b->scale - (COEF_BITS - 2) : EXP_MIN;
    usual = usual < EXP_MIN ? EXP_MIN : usual > EXP_MAX ? EXP_MAX : usual;
    for (int away = 0; away <= EXP_MAX - EXP_MIN; away++) /* the likeliest exponents first: they tighten the bound */
        for (int sign = 1; sign >= (away ? -1 : 1); sign -= 2) {
            int exponent = usual + sign * away;
            if (exponent < EXP_MIN || exponent > EXP_MAX) continue;
            descend(b, P - 1, b->rest, ldexp(1, exponent - b->scale), seed, exponent, codes);
        }
}

/* Sum of +-w/2 by the bits m, m + P, .. of the stream. */
static inline __attribute__((always_inline)) vf signed_sum(const segment *g, vf table[][1 << TABLE_BITS], int m) {
    vf sum = table[0][g->index[m][0]];
    UNROLL for (int t = 1; t < TABLES; t++) sum += table[t][g->index[m][t]];
    return sum;
}

/* The greatest energy of every tile, for LANES blocks. */
static void tile_energies(const segment *g, const vf w[C], vf *greatest) {
    vf table[TABLES][1 << TABLE_BITS], d[P + 1], total = w[0] - w[0];
    const float top = (float)((1L << (K - 1)) / UNIT), leaving = (float)ldexp(1, -K);
    for (int t = 0; t < TABLES; t++) { /* sums of +-w/2 by entering bits; a state is its centred bits less a half */
        table[t][0] = w[0] - w[0];
        for (int b = 0; b < TABLE_BITS; b++) {
            int c = t * TABLE_BITS + b;
            vf x = c < C ? w[c] * top : w[0] - w[0];
            for (int i = (1 << b) - 1; i >= 0; i--) {
                table[t][i | 1 << b] = table[t][i] + x * 0.5f;
                table[t][i] -= x * 0.5f;
            }
            total += x;
        }
    }
    for (int i = 0; i < 1 << TABLE_BITS; i++) table[0][i] -= total * (float)(0.25 / ((1L << (K - 1)) - 0.5));
    for (int p = 0; p < P; p++) {
        d[p] = w[0] - w[0];
        for (int c = 0; c < C; c++) d[p] += w[c] * (float)(g->u[1 + p + c * P] / UNIT);
    }
#define NEXT(now, x) ((now) * 0.5f + (signed_sum(g, table, (x) + K) - signed_sum(g, table, x) * leaving)) /* D[x] from D[x-1] */
    for (int tile = 0; tile < TILES; tile++) {
        vf most = w[0] - w[0];
        for (int part = 0; part < TILE / 2 / LANES; part++) {
            int group = tile * (TILE / 2 / LANES) + part;
            for (int lane = 0; lane < LANES; lane++) {
                const float *a = &g->coef[group][0][lane];
                int i = 2 * (group * LANES + lane);
                vf y[P], energy, first, last;
                d[P] = NEXT(d[P - 1], i + P);
                first = d[0] * a[SHARED * LANES], last = d[P] * a[(SHARED + P) * LANES];
                energy = first - first;
                UNROLL for (int r = 0, n = 0; r < P - 1; r++) {
                    y[r] = d[1] * a[n++ * LANES];
                    UNROLL for (int k = 1; k <= r; k++) y[r] += d[1 + k] * a[n++ * LANES];
                    energy = r ? energy + y[r] * y[r] : y[r] * y[r];
                    first += y[r] * a[(SHARED + 1 + r) * LANES];
                    last += y[r] * a[(SHARED + P + 1 + r) * LANES];
                }
                most = vmax(most, vmax(energy + first * first, energy + last * last));
                vf next = NEXT(d[P], i + P + 1);
                UNROLL for (int p = 0; p < P - 1; p++) d[p] = d[p + 2];
                d[P - 1] = next;
            }
        }
        greatest[tile] = most;
    }
}

/* Evaluate the seeds of one tile whose energy reaches the threshold. */
static void open_tile(block *b, const segment *g, int tile, const float *w, int exact) {
    float d[TILE + P], energy[TILE];
    for (int i = 0; i < TILE + P; i++) d[i] = 0;
    for (int c = 0; c < C; c++)
        for (int i = 0; i < TILE + P; i++) d[i] += w[c] * g->u[tile * TILE + 1 + i + c * P];
    for (int i = 0; i < TILE + P; i++) d[i] *= (float)(1 / UNIT);
    for (int part = 0; part < TILE / 2 / LANES; part++)
        for (int lane = 0; lane < LANES; lane++) {
            const float *a = &g->coef[tile * (TILE / 2 / LANES) + part][0][lane], *x = d + 2 * (part * LANES + lane);
            float first = x[0] * a[SHARED * LANES], last = x[P] * a[(SHARED + P) * LANES], shared = 0;
            UNROLL for (int r = 0, n = 0; r < P - 1; r++) {
                float y = 0;
                UNROLL for (int k = 0; k <= r; k++) y += x[1 + k] * a[n++ * LANES];
                shared += y * y;
                first += y * a[(SHARED + 1 + r) * LANES];
                last += y * a[(SHARED + P + 1 + r) * LANES];
            }
            energy[2 * (part * LANES + lane)] = shared + first * first;
            energy[2 * (part * LANES + lane) + 1] = shared + last * last;
        }
    int first = 0; /* the most promising seed comes first: it tightens the bound for the others */
    for (int i = 1; i < TILE; i++) first = energy[i] > energy[first] ? i : first;
    for (int n = 0, i = first; n < TILE; n++, i = (first + n) % TILE)
        if (g->reach[tile * TILE + i] > 0 && energy[i] >= b->norm * (1 - SLACK) - b->error) evaluate(b, g, tile * TILE + i, exact, NULL);
}

/* Evaluate the ill-conditioned seeds whose energy reaches the threshold. */
static void open_bad(block *b, const segment *g, const float *w, int exact) {
    for (int n = 0; n < g->bad_count; n += LANES) {
        const vf *q = g->bad_q[n / LANES];
        vf energy = {0};
        for (int p = 0; p < P; p++) {
            vf y = {0};
            for (int c = 0; c < C; c++) y += *q++ * w[c];
            energy += y * y;
        }
        for (int lane = 0; lane < LANES && n + lane < g->bad_count; lane++)
            if (energy[lane] >= b->norm * (1 - SLACK) - b->error)
                evaluate(b, g, g->bad[n + lane], exact, g->pinv ? g->pinv + (n + lane) * P * C : NULL);
    }
}

/* Index of the greatest of TILES numbers, which are followed by -1 up to a whole vector. */
static int highest(const vf *values) {
    vf most = values[0];
    float greatest = -1;
    for (int i = 1; i < TILE_VECTORS; i++) most = vmax(most, values[i]);
    for (int lane = 0; lane < LANES; lane++) greatest = fmaxf(greatest, most[lane]);
    const float *at = (const float *)values;
    while (*at != greatest) at++;
    return (int)(at - (const float *)values);
}

/* Search one segment for `count` blocks of C finite weights.
 *
 * `error`, `seed`, `exponent` and `codes` hold the best so far and are improved in place; error infinite: none yet.
 * Errors are squared and, so that none over- or underflows, relative to 4^(exponent of the greatest weight). */
void segment_search(const segment *g, const double *weights, long count, int exact, double *error, uint32_t *seed,
                    int8_t *exponent, int8_t *codes) {
    for (long start = 0; start < count; start += LANES) {
        vf w[C], tiles[TILES];
        union { vf v[TILE_VECTORS]; float of[TILE_VECTORS * LANES]; } greatest; /* of one block */
        block blocks[LANES];
        memset(w, 0, sizeof w);
        for (int lane = 0; lane < LANES && start + lane < count; lane++) {
            block *b = &blocks[lane];
            double most = 0;
            for (int c = 0; c < C; c++) most = fmax(most, fabs(weights[(start + lane) * C + c]));
            b->norm = 0;
            b->scale = most > 0 ? ilogb(most) + 1 : 0;
            for (int c = 0; c < C; c++) {
                b->w[c] = ldexp(weights[(start + lane) * C + c], -b->scale);
                b->norm += b->w[c] * b->w[c];
                w[c][lane] = (float)b->w[c];
            }
        }
        tile_energies(g, w, tiles);
        for (int lane = 0; lane < LANES && start + lane < count; lane++) {
            block *b = &blocks[lane];
            long n = start + lane;
            float own[C];
            b->error = error[n], b->seed = seed[n], b->exponent = exponent[n];
            for (int p = 0; p < P; p++) b->codes[p] = codes[n * P + p];
            for (int c = 0; c < C; c++) own[c] = w[c][lane];
            if (exact || b->norm == 0) { /* the zero code is always there */
                memset(b->u, 0, sizeof b->u);
                consider(b, 1, EXP_MIN, (int[P]){0});
            }
            for (int tile = TILES; tile < TILE_VECTORS * LANES; tile++) greatest.of[tile] = -1;
            for (int tile = 0; tile < TILES; tile++) greatest.of[tile] = tiles[tile][lane];
            while (b->norm > 0) {
                int tile = highest(greatest.v);
                if (greatest.of[tile] < b->norm * (1 - SLACK) - b->error || greatest.of[tile] < 0) break;
                open_tile(b, g, tile, own, exact);
                greatest.of[tile] = -1;
            }
            if (b->norm > 0) open_bad(b, g, own, exact);
            error[n] = b->error, seed[n] = b->seed, exponent[n] = (int8_t)b->exponent;
            for (int p = 0; p < P; p++) codes[n * P + p] = (int8_t)b->codes[p];
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
