/* Constants of the block format, and what the search knows about every seed before it has seen a weight. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define TILE 64 /* seeds */
#define PAIRS (TILE / 2)
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
#define GAIN (24 / sqrt(C))                    /* ||R^-1|| beyond which a seed is ill-conditioned, times `widened` */
#define SLACK (2 * 24 * (C + P + 8) * 6e-8)  /* of ||w||^2: rounding of float32 sums of C + P + 8 terms, times GAIN */
#define UNROLL _Pragma("GCC unroll 16")

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));

#ifdef __AVX512F__
#include <immintrin.h>
static inline vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline float vmost(vf a) { return _mm512_reduce_max_ps((__m512)a); }
static inline int vequal(vf a, float b) { return _mm512_cmpeq_ps_mask((__m512)a, _mm512_set1_ps(b)); }
#else
typedef int32_t vi __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));
static inline vf vmax(vf a, vf b) { vi m = a > b; return (vf)(((vi)a & m) | ((vi)b & ~m)); }
static inline float vmost(vf a) {
    float most = a[0];
    for (int lane = 1; lane < LANES; lane++) most = a[lane] > most ? a[lane] : most;
    return most;
}
static inline int vequal(vf a, float b) {
    int lanes = 0;
    for (int lane = 0; lane < LANES; lane++) lanes |= (a[lane] == b) << lane;
    return lanes;
}
#endif

/* Index of the greatest number of whole vectors. */
static int highest(const float *numbers, int vectors) {
    const vf *values = (const vf *)numbers;
    vf most = values[0];
    int at = 0;
    for (int i = 1; i < vectors; i++) most = vmax(most, values[i]);
    float greatest = vmost(most);
    while (!vequal(values[at], greatest)) at++;
    return at * LANES + __builtin_ctz((unsigned)vequal(values[at], greatest));
}

/* What the exact part needs of one seed: M U = Q R. */
typedef struct {
    double q[P][C], r[P][P];
    double spread[P]; /* at least the norm of row p of R^-1: how far a coefficient moves for an error of 1 */
} __attribute__((aligned(64))) basis;

typedef struct {
    float coef[N / 2 / LANES][COEFS][LANES]; /* a pair of seeds per lane: shared triangle, first column, last */
    uint32_t state[N + C * P + K + 8];       /* the cycle from the segment's first seed on */
    float u[N + C * P + K + 8];              /* centred states: exact integers */
    double unit[N + C * P + K + 8];          /* the same, as the numbers of U */
    uint8_t index[N + K + P + 2][TABLES];    /* bits m, m + P, .. of the stream, as table indices */
    double metric[C][C];                     /* M, transposed: row j is what input j adds. Its norm is at most 1 */
    int plain;                               /* whether M is the identity, whose products need no arithmetic */
    double gain, sure;                       /* limits of this metric: of ||R^-1||, and the share that bounds are sure of */
    float reach[N];                          /* at most the least singular value of M U */
    int bad_count;
    int *bad;                                /* positions of ill-conditioned seeds */
    vf (*bad_q)[C * P];                      /* their orthonormal bases, a seed per lane */
    double *pinv;                            /* their pseudo-inverses, (bad_count, P, C), or null */
    basis *bases;                            /* of every position, or null: they are computed when needed */
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

/* Put M x in the place of a block x. */
static inline void in_metric(const segment *g, double x[C]) {
    double sum[C] = {0};
    if (g->plain) return;
    for (int j = 0; j < C; j++)
        for (int c = 0; c < C; c++) sum[c] += g->metric[j][c] * x[j];
    memcpy(x, sum, sizeof sum);
}

/* Columns of M U of the seed at a position of the cycle; more than P of them are those of its neighbours, too. */
static void columns_at(const segment *g, int first, int columns, double u[][C]) {
    for (int p = 0; p < columns; p++) {
        for (int c = 0; c < C; c++) u[p][c] = g->unit[first + 1 + p + c * P];
        in_metric(g, u[p]);
    }
}

/* The basis of the seed at a position of the cycle. */
static void make_basis(const segment *g, int position, basis *s) {
    double u[P][C], inverse[P][P] = {{0}};
    columns_at(g, position, P, u);
    orthonormalise(P, (const double(*)[C])u, s->q, s->r);
    for (int i = P - 1; i >= 0; i--) {
        double sum = 0;
        for (int j = i; j < P; j++) {
            double entry = i == j;
            for (int k = i + 1; k <= j; k++) entry -= s->r[i][k] * inverse[k][j];
            inverse[i][j] = entry / s->r[i][i];
            sum += inverse[i][j] * inverse[i][j];
        }
        s->spread[i] = sum < 1e12 ? 1.000001 * sqrt(sum) : INFINITY; /* of columns that are nearly dependent, nothing */
    }
}

/* The pseudo-inverse of an ill-conditioned seed, by a search for it among their ascending positions. */
static const double *pinv_of(const segment *g, int position) {
    int low = 0, high = g->bad_count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (g->bad[middle] < position) low = middle + 1;
        else high = middle;
    }
    return g->pinv + (long)low * P * C;
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
        if (!(gains + amplified * amplified <= g->gain * g->gain)) {
            is_bad[2 * j + side] = 1;
            g->reach[2 * j + side] = 0;
            for (int i = 0; i < P; i++) o[i * LANES] = 0;
        }
    }
    if (is_bad[2 * j] && is_bad[2 * j + 1])
        for (int n = 0; n < COEFS; n++) out[n * LANES] = 0;
}

void segment_free(segment *g) { free(g->bad), free(g->bad_q), free(g->pinv), free(g->bases), free(g); }

/* Tables for the N positions of the cycle from `seed` on and the metric M, (C, C), row by row; null when out of memory.
 *
 * M's greatest singular value is at most 1, so that the products of M w and M U are no less exact than those of w and U.
 * `widened`, at least 1, raises the limit of what is ill-conditioned, and the slack of the bounds with it: without it
 * most seeds would be ill-conditioned in a metric whose singular values differ much. */
segment *segment_new(uint32_t seed, const double *metric, double widened) {
    segment *g = aligned_alloc(64, (sizeof(segment) + 63) / 64 * 64);
    uint8_t *is_bad = calloc(N, 1);
    if (!g || !is_bad) return free(g), free(is_bad), NULL;
    g->plain = 1;
    for (int c = 0; c < C; c++)
        for (int j = 0; j < C; j++) g->metric[j][c] = metric[c * C + j], g->plain &= metric[c * C + j] == (c == j);
    g->gain = GAIN * widened, g->sure = 1 - SLACK * widened;
    for (int i = 0; i < N + C * P + K + 8; i++) {
        g->state[i] = seed;
        g->u[i] = (float)((long)seed - (1L << (K - 1)));
        g->unit[i] = g->u[i] / UNIT;
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
    g->pinv = NULL, g->bases = NULL;
    if (!g->bad || !g->bad_q) return free(is_bad), segment_free(g), NULL;
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

/* Keep the bases of all seeds, for tables that serve many blocks; zero when out of memory. */
int segment_keep_bases(segment *g) {
    if (g->bases) return 1;
    basis *bases = aligned_alloc(64, sizeof(basis) * N);
    for (int i = 0; bases && i < N; i++) make_basis(g, i, &bases[i]);
    return (g->bases = bases) != NULL;
}
