/* The exact part of the search: the best code of one seed for one block, in float64. */
#pragma once
#include "search_tables.h"

/* How codes are chosen: the order of Mode in host/encoder/encoder.py. */
enum { EXACT, PAPER, PRINTED };

/* One block, scaled by a power of two so that its greatest weight is in [0.5, 1), and the best code found for it. */
typedef struct {
    double w[C], norm, length;     /* norm: ||w||^2; length: ||w|| */
    int scale;                     /* log2 of the factor that was taken out */
    double error;                  /* of the scaled weights */
    uint32_t seed;
    int exponent, codes[P];
    double u[P][C], y[P], rest;    /* of the seed under evaluation; y = Q^T w, rest: what Q leaves */
    const basis *s;                /* its basis */
    double beyond[P + 1];          /* least share in the error of coordinates below i, whatever their codes */
} block;

/* 2^n. */
static inline double power(int n) {
    union { uint64_t bits; double value; } x = {.bits = (uint64_t)(n + 1023) << 52};
    return n > 1023 || n < -1022 ? ldexp(1, n) : x.value;
}

/* Begin with C weights. */
static void load(block *b, const segment *g, const double *weights) {
    double measured[C], most = 0;
    memcpy(measured, weights, sizeof measured);
    in_metric(g, measured);
    for (int c = 0; c < C; c++) most = fmax(most, fabs(measured[c]));
    b->norm = 0;
    b->scale = most > 0 ? ilogb(most) + 1 : 0;
    for (int c = 0; c < C; c++) {
        b->w[c] = ldexp(measured[c], -b->scale);
        b->norm += b->w[c] * b->w[c];
    }
    b->length = sqrt(b->norm);
}

/* Take the code if it is better; the least seed wins a tie. The error is computed the same way on every path and on
 * every machine (fused by name), so that the winner never depends on the order of evaluation. */
static void consider(block *b, uint32_t seed, int exponent, const int *codes) {
    double step = power(exponent - b->scale), error = 0;
    for (int c = 0; c < C; c++) {
        double left = b->w[c];
        for (int p = 0; p < P; p++) left = fma(-codes[p] * step, b->u[p][c], left);
        error = fma(left, left, error);
    }
    if (error > b->error || (error == b->error && seed >= b->seed)) return;
    b->error = error, b->seed = seed, b->exponent = exponent;
    memcpy(b->codes, codes, sizeof b->codes);
}

/* Go on from the best code that is known. */
static void resume(block *b, double error, uint32_t seed, int exponent, const int8_t *codes, int mode) {
    b->error = error, b->seed = seed, b->exponent = exponent;
    for (int p = 0; p < P; p++) b->codes[p] = codes[p];
    memset(b->u, 0, sizeof b->u); /* what the zero code is multiplied with */
    if (mode == EXACT || b->norm == 0) consider(b, 1, EXP_MIN, (int[P]){0});
}

static void keep(const block *b, double *error, uint32_t *seed, int8_t *exponent, int8_t *codes) {
    *error = b->error, *seed = b->seed, *exponent = (int8_t)b->exponent;
    for (int p = 0; p < P; p++) codes[p] = (int8_t)b->codes[p];
}

/* Errors above this cannot win; the slack covers the rounding of this search. */
static inline double limit(const block *b) { return b->error * (1 + 1e-9) + 1e-14 * b->norm; }

/* Depth-first search for the nearest code (Schnorr and Euchner): coordinates i to 0, nearest values first. */
static void descend(block *b, int i, double partial, double step, uint32_t seed, int exponent, int *codes) {
    double target = b->y[i], pitch = b->s->r[i][i] * step;
    for (int j = i + 1; j < P; j++) target -= b->s->r[i][j] * codes[j] * step;
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

/* Whether neither this exponent nor one farther from the usual one can win.
 *
 * A code q whose error is below the limit has |q step - t| <= room * spread, number by number, since
 * q step - t = R^-1 (R q step - y). The room has 1e-8 ||w|| more, for the rounding of t. */
static inline int hopeless(const block *b, const double *t, int exponent, int higher) {
    if (exponent < EXP_MIN || exponent > EXP_MAX) return 1;
    double step = power(exponent - b->scale), room = sqrt(fmax(limit(b) - b->rest, 0)) + 1e-8 * b->length, most = 0;
    for (int p = 0; p < P; p++) most = fmax(most, fabs(t[p]) + (higher ? room : -room) * b->s->spread[p]);
    if (higher) return most < -CODE_MIN / 2 * step; /* twice the code, with the exponent below, has been tried */
    return most > -CODE_MIN * step;                 /* there is no such code */
}

/* Try the codes of the seed with one exponent. */
static void try_exponent(block *b, uint32_t seed, int exponent) {
    double step = power(exponent - b->scale);
    int codes[P];
    for (int i = 0; i < P; i++) { /* codes end at -CODE_MIN steps, which the largest blocks exceed */
        double out = fabs(b->y[i]);
        for (int j = i; j < P; j++) out += CODE_MIN * step * fabs(b->s->r[i][j]);
        b->beyond[i + 1] = b->beyond[i] + (out > 0 ? out * out : 0);
    }
    if (b->rest + b->beyond[P] <= limit(b)) descend(b, P - 1, b->rest, step, seed, exponent, codes);
}

/* Every code of the seed at one position that can be the best. */
static void evaluate(block *b, const segment *g, int position, int mode) {
    uint32_t seed = g->state[position];
    double t[P], left[C], greatest = 0;
    basis own;
    if (g->reach[position] * power(EXP_MIN - b->scale) > 2 * b->length) { /* the least step overshoots: */
        if (mode != EXACT) consider(b, seed, EXP_MIN, (int[P]){0});       /* only the zero code is left */
        return;
    }
    if (!g->bases) make_basis(g, position, &own);
    b->s = g->bases ? &g->bases[position] : &own;
    memcpy(left, b->w, sizeof left);
    b->rest = b->beyond[0] = 0;
    for (int p = 0; p < P; p++) {
        b->y[p] = 0;
        for (int c = 0; c < C; c++) b->y[p] += b->s->q[p][c] * left[c];
        for (int c = 0; c < C; c++) left[c] -= b->y[p] * b->s->q[p][c];
    }
    for (int c = 0; c < C; c++) b->rest += left[c] * left[c];
    if (b->rest > limit(b)) return;
    columns_at(g, position, P, b->u);
    for (int p = P - 1; p >= 0; p--) {
        t[p] = b->y[p];
        for (int j = p + 1; j < P; j++) t[p] -= b->s->r[p][j] * t[j];
        t[p] = b->s->r[p][p] > 0 ? t[p] / b->s->r[p][p] : 0;
    }
    const double *pinv = g->pinv && g->reach[position] == 0 ? pinv_of(g, position) : NULL;
    for (int p = 0; pinv && p < P; p++) {
        t[p] = 0;
        for (int c = 0; c < C; c++) t[p] += pinv[p * C + c] * b->w[c];
    }
    for (int p = 0; p < P; p++) greatest = fmax(greatest, fabs(t[p]));
    if (mode != EXACT) {
        rounded(b, t, seed, mode);
        return;
    }
    int usual = greatest > 0 ? ilogb(greatest) + b->scale - (COEF_BITS - 2) : EXP_MIN;
    usual = usual < EXP_MIN ? EXP_MIN : usual > EXP_MAX ? EXP_MAX : usual;
    try_exponent(b, seed, usual);
    for (int away = 1, up = 1, down = 1; up || down; away++) { /* the likeliest first: they tighten the bound */
        up = up && !hopeless(b, t, usual + away, 1);
        if (up) try_exponent(b, seed, usual + away);
        down = down && !hopeless(b, t, usual - away, 0);
        if (down) try_exponent(b, seed, usual - away);
    }
}
