/* The exact part of the search: the best code of one seed for one block, in float64. */
#pragma once
#include "search_tables.h"

/* One block, scaled by a power of two so that its greatest weight is in [0.5, 1), and the best code found for it. */
typedef struct {
    double w[C], norm;             /* norm: ||w||^2 */
    int scale;                     /* log2 of the factor that was taken out */
    double error;                  /* of the scaled weights */
    uint32_t seed;
    int exponent, codes[P];
    double u[P][C], q[P][C], r[P][P], y[P], rest; /* of the seed under evaluation; y = Q^T w, rest: what Q leaves */
    double beyond[P + 1];          /* least share in the error of coordinates below i, whatever their codes */
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

/* Errors above this cannot win; the slack covers the rounding of this search. */
static inline double limit(const block *b) { return b->error * (1 + 1e-9) + 1e-14 * b->norm; }

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
        if (sum + b->beyond[i] > limit(b)) return; /* every other value is farther still */
        if (i) descend(b, i - 1, sum, step, seed, exponent, codes);
        else consider(b, seed, exponent, codes);
    }
}

/* How codes are chosen: the order of Mode in host/encoder/encoder.py. */
enum { EXACT, PAPER, PRINTED };

/* Exponent and codes by rounding, as golden/encode.py does. */
static void rounded(block *b, const double *t, uint32_t seed, int mode) {
    double greatest = 0;
    int exponent = EXP_MIN, codes[P];
    for (int p = 0; p < P; p++) greatest = fmax(greatest, fabs(t[p]));
    if (greatest > 0) exponent = ilogb(greatest) + b->scale - (mode == PRINTED ? 0 : COEF_BITS - 2);
    exponent = exponent < EXP_MIN ? EXP_MIN : exponent > EXP_MAX ? EXP_MAX : exponent;
    for (int p = 0; p < P; p++)
        codes[p] = (int)fmax(CODE_MIN, fmin(CODE_MAX, rint(ldexp(t[p], b->scale - exponent))));
    consider(b, seed, exponent, codes);
}

/* Every code of the seed at one position that can be the best; `pinv` null unless the seed is ill-conditioned. */
static void evaluate(block *b, const segment *g, int position, int mode, const double *pinv) {
    uint32_t seed = g->state[position];
    double step = ldexp(1, EXP_MIN - b->scale), t[P], greatest = 0;
    if (g->reach[position] * step > 2 * sqrt(b->norm)) { /* the least step overshoots: only the zero code is left */
        if (mode != EXACT) consider(b, seed, EXP_MIN, (int[P]){0});
        return;
    }
    columns_at(g, position, P, b->u);
    orthonormalise(P, (const double(*)[C])b->u, b->q, b->r);
    double left[C];
    memcpy(left, b->w, sizeof left);
    b->rest = b->beyond[0] = 0;
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
        if (pinv) {
            t[p] = 0;
            for (int c = 0; c < C; c++) t[p] += pinv[p * C + c] * b->w[c];
        }
        greatest = fmax(greatest, fabs(t[p]));
    }
    if (mode != EXACT) {
        rounded(b, t, seed, mode);
        return;
    }
    int codes[P], usual = greatest > 0 ? ilogb(greatest) + b->scale - (COEF_BITS - 2) : EXP_MIN;
    usual = usual < EXP_MIN ? EXP_MIN : usual > EXP_MAX ? EXP_MAX : usual;
    for (int away = 0; away <= EXP_MAX - EXP_MIN; away++) /* the likeliest exponents first: they tighten the bound */
        for (int sign = 1; sign >= (away ? -1 : 1); sign -= 2) {
            int exponent = usual + sign * away;
            if (exponent < EXP_MIN || exponent > EXP_MAX) continue;
            step = ldexp(1, exponent - b->scale);
            for (int i = 0; i < P; i++) { /* codes end at -CODE_MIN steps, which the largest blocks exceed */
                double out = fabs(b->y[i]);
                for (int j = i; j < P; j++) out += CODE_MIN * step * fabs(b->r[i][j]);
                b->beyond[i + 1] = b->beyond[i] + (out > 0 ? out * out : 0);
            }
            if (b->rest + b->beyond[P] > limit(b)) continue;
            descend(b, P - 1, b->rest, step, seed, exponent, codes);
        }
}
