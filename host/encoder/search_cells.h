/* The search of blocks by cells: of all seeds, only those near a block's direction are looked at.
 *
 * Blocks are directions without a sign, and each belongs to a cell: that of the nearest of CENTRES coarse centres, and
 * of the nearest of the CENTRES fine ones below it. The seeds of a cell are listed by their angle phi to its centre c:
 * the angle between c and the span of U. A block w at the angle delta from c has an angle of at least phi - delta to
 * that span, and so an error of at least ||w||^2 sin^2(phi - delta). If the best error is ||w||^2 sin^2(theta), only
 * seeds with phi <= delta + theta can win: the beginning of the list.
 *
 * Blocks are sorted by cell, and by delta within it (outside, by the keys that cells_assign gives). A group of GROUP
 * blocks of one cell is searched together, in three steps:
 *   1. Energies ||Q^T w||^2 of the listed seeds, from 8-bit integers: seeds that are too far for every block are out.
 *   2. Energies of those that are left, from 16-bit integers: some ten are left for each block.
 *   3. These are evaluated as search_block.h says, in falling order of energy, until their bound exceeds the best error.
 * It is done for a usual theta first, and once more for what the first time found. A block whose best error turns out to
 * be greater than was reckoned with, or than the list is sure of, is left to the search over all seeds, which goes on
 * from what was found.
 *
 * Integers make energies a little wrong. With w' = w + x and Q' = Q + X for w of length 1,
 * ||Q'^T w'|| >= ||Q^T w|| - ||X|| ||w'|| - ||x||, where the norms of x and X are known: ||X|| <= ||X^T X||_F^(1/2). */
#pragma once
#include "search_block.h"

#define GROUP 8             /* blocks that are searched together: half a vector, as cells seldom have more of them */
#define CENTRES 128   /* and as many centres below each: cells are their product */
#define BINS 512            /* of equal width in sin^2(phi); seeds are not sorted within a bin */
#define WITHOUT 65535       /* the end of a bin that the list does not hold as a whole */
#define AHEAD 128           /* seeds that are fetched ahead; lists are followed by as many numbers */
#define CLEAR 1e-5          /* more than the rounding of energies, sines and cosines in float32 */
#define QUADS ((C + 3) / 4)
#define HALVES ((C + 1) / 2)

#if defined __AVX512VNNI__ && defined __AVX512VL__

typedef float gf __attribute__((vector_size(4 * GROUP)));
typedef int32_t gi __attribute__((vector_size(4 * GROUP)));

/* Q of one seed in integers: 127 times its numbers, plus 128, four in one; and 32767 times its numbers, two in one. */
typedef struct { int32_t of[P * QUADS]; } __attribute__((aligned(32))) row8;
typedef struct { int32_t of[P * HALVES]; } __attribute__((aligned(32))) row16;

/* What the cells of a segment add to it. */
typedef struct {
    double blur8, blur16; /* norms of X: the greatest of all seeds */
    row8 rows8[N];
    row16 rows16[N];
} integers;

/* Energies of a seed for the blocks of a group: sums of the products of four or two integers, begun with `zero`. */
#define ENERGIES(name, row, WORDS, add)                                                                       \
    static inline __attribute__((always_inline)) gf name(const row *q, gi zero, const gi w[WORDS]) {          \
        gf energy = {0};                                                                                      \
        UNROLL for (int p = 0; p < P; p++) {                                                                  \
            __m256i y = (__m256i)zero;                                                                        \
            UNROLL for (int k = 0; k < WORDS; k++) y = add(y, _mm256_set1_epi32(q->of[p * WORDS + k]), (__m256i)w[k]); \
            gf x = __builtin_convertvector((gi)y, gf);                                                        \
            energy += x * x;                                                                                  \
        }                                                                                                     \
        return energy;                                                                                        \
    }
ENERGIES(energies8, row8, QUADS, _mm256_dpbusd_epi32)
ENERGIES(energies16, row16, HALVES, _mm256_dpwssd_epi32)

/* Numbers n k to n k + n - 1 of a direction, as integers of 32 / n bits in one; adds the squares of what is lost. */
static inline int32_t packed(const double x[C], int k, int n, double scale, int offset, double lost[C]) {
    uint32_t word = 0;
    for (int i = 0; i < n; i++) {
        int c = n * k + i;
        double whole = c < C ? rint(x[c] * scale) : 0;
        if (c < C) lost[c] = whole / scale - x[c];
        word |= ((uint32_t)((int)whole + offset) & (0xffffffffu >> (32 - 32 / n))) << (32 / n * i);
    }
    return (int32_t)word;
}

/* The integers of all seeds; null when out of memory. */
integers *cells_integers(const segment *g) {
    integers *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (!s) return NULL;
    s->blur8 = s->blur16 = 0;
    for (int i = 0; i < N; i++)
        for (int wide = 0; wide < 2; wide++) {
            double x[P][C], sum = 0, *blur = wide ? &s->blur16 : &s->blur8;
            for (int p = 0; p < P; p++)
                for (int k = 0; k < (wide ? HALVES : QUADS); k++)
                    if (wide) s->rows16[i].of[p * HALVES + k] = packed(g->bases[i].q[p], k, 2, 32767, 0, x[p]);
                    else s->rows8[i].of[p * QUADS + k] = packed(g->bases[i].q[p], k, 4, 127, 128, x[p]);
            for (int p = 0; p < P; p++)
                for (int j = 0; j < P; j++) {
                    double product = 0;
                    for (int c = 0; c < C; c++) product += x[p][c] * x[j][c];
                    sum += product * product;
                }
            *blur = fmax(*blur, sqrt(sqrt(sum)));
        }
    return s;
}

/* Directions in the lanes of a vector. */
typedef struct {
    gi w8[QUADS], zero, w16[HALVES];
    gf unit8, unit16;         /* of energies */
    double lost8[GROUP], lost16[GROUP];
} directions;

static void put_direction(directions *d, int lane, const double x[C]) {
    double lost[C], most = 0, total = 0, sum8 = 0, sum16 = 0;
    for (int c = 0; c < C; c++) most = fmax(most, fabs(x[c]));
    double scale = 127 / most;
    for (int k = 0; k < QUADS; k++) d->w8[k][lane] = packed(x, k, 4, scale, 0, lost);
    for (int c = 0; c < C; c++) total += rint(x[c] * scale), sum8 += lost[c] * lost[c];
    for (int k = 0; k < HALVES; k++) d->w16[k][lane] = packed(x, k, 2, 32767, 0, lost);
    for (int c = 0; c < C; c++) sum16 += lost[c] * lost[c];
    d->zero[lane] = -128 * (int)total;
    d->unit8[lane] = (float)(127 * 127 * scale * scale);
    d->unit16[lane] = 32767.f * 32767 * 32767 * 32767;
    d->lost8[lane] = sqrt(sum8), d->lost16[lane] = sqrt(sum16);
}

/* The least energy in integers, relative to the unit, of a seed whose energy is at least 1 - share. */
static double least_energy(double share, double lost, double blur) {
    double length = sqrt(fmax(1 - share, 0)) - blur * (1 + lost) - lost;
    return length > 0 ? length * length * (1 - CLEAR) : 0;
}

/* List the seeds of `count` cells, at most `room` each: (count, room + AHEAD), and where bins end, (count, BINS).
 *
 * `centres`: (count, C), of length 1. Zero when out of memory. */
int cells_make(const integers *s, const float *centres, long count, long room, uint16_t *seeds, uint16_t *ends) {
    uint16_t(*bins)[GROUP] = malloc(sizeof(uint16_t[GROUP]) * N);
    if (!bins) return 0;
    for (long start = 0; start < count; start += GROUP) {
        directions d;
        long at[GROUP][BINS] = {{0}};
        int whole[GROUP]; /* how many bins are listed */
        memset(&d, 0, sizeof d);
        for (int lane = 0; lane < GROUP && start + lane < count; lane++) {
            double x[C];
            for (int c = 0; c < C; c++) x[c] = centres[(start + lane) * C + c];
            put_direction(&d, lane, x);
        }
        for (int i = 0; i < N; i++) {
            gf energy = energies16(&s->rows16[i], (gi){0}, d.w16);
            gi bin = __builtin_convertvector((1 - energy / (32767.f * 32767 * 32767 * 32767)) * BINS, gi);
            for (int lane = 0; lane < GROUP; lane++) {
                int b = bin[lane] < 0 ? 0 : bin[lane] < BINS ? bin[lane] : BINS - 1;
                bins[i][lane] = (uint16_t)b;
                at[lane][b]++;
            }
        }
        for (int lane = 0; lane < GROUP && start + lane < count; lane++) {
            long sum = 0;
            uint16_t *end = ends + (start + lane) * BINS;
            for (whole[lane] = 0; whole[lane] < BINS && sum + at[lane][whole[lane]] <= room; whole[lane]++) {
                long next = sum + at[lane][whole[lane]];
                at[lane][whole[lane]] = sum;
                end[whole[lane]] = (uint16_t)(sum = next);
            }
            for (int b = whole[lane]; b < BINS; b++) end[b] = WITHOUT;
        }
        for (int i = 0; i < N; i++)
            for (int lane = 0; lane < GROUP && start + lane < count; lane++)
                if (bins[i][lane] < whole[lane])
                    seeds[(start + lane) * (room + AHEAD) + at[lane][bins[i][lane]]++] = (uint16_t)i;
    }
    return free(bins), 1;
}

/* |products| of a direction with centres, (C, CENTRES). */
static void products(const float *centres, const float x[C], float *found) {
    for (int v = 0; v < CENTRES / LANES; v++) {
        vf sum = {0};
        for (int c = 0; c < C; c++) sum += *(const vf *)(centres + c * CENTRES + v * LANES) * x[c];
        *(vf *)(found + v * LANES) = vmax(sum, -sum);
    }
}

/* The nearest of the centres, (C, CENTRES), to directions, (count, C). */
void cells_nearest(const float *centres, const float *x, long count, int32_t *nearest) {
    for (long n = 0; n < count; n++) {
        _Alignas(64) float found[CENTRES];
        products(centres, x + n * C, found);
        nearest[n] = highest(found, CENTRES / LANES);
    }
}

/* The cells of blocks, (count, C), as keys by which they are sorted: 2^16 times the cell, and 65535 (1 - cos(delta)).
 *
 * `coarse`: centres, (C, CENTRES); `fine`: those below each, (CENTRES, C, CENTRES); both aligned to a vector. */
void cells_assign(const segment *g, const float *coarse, const float *fine, const double *weights, long count,
                  uint32_t *keys) {
    for (long n = 0; n < count; n++) {
        block b;
        float x[C], most = -1;
        _Alignas(64) float above[CENTRES], below[CENTRES];
        load(&b, g, weights + n * C);
        keys[n] = 0;
        if (b.norm == 0) continue;
        for (int c = 0; c < C; c++) x[c] = (float)(b.w[c] / b.length);
        products(coarse, x, above);
        for (int best = 0; best < 3; best++) { /* the nearest centre is seldom below another */
            int i = highest(above, CENTRES / LANES), j;
            above[i] = -1;
            products(fine + (long)i * C * CENTRES, x, below);
            j = highest(below, CENTRES / LANES);
            if (below[j] <= most) continue;
            most = below[j];
            keys[n] = (uint32_t)(i * CENTRES + j) << 16 | (65535 - (uint32_t)fminf(65535, most * 65535));
        }
    }
}

/* Steps 1 and 2. */
static inline int some(gi mask) { return _mm256_movemask_ps((__m256)mask); }

/* Keep the seeds of a list whose energies may suffice for some block; return the end of what is kept. */
static uint16_t *filter(const integers *s, const uint16_t *seeds, int count, const directions *d, gf least,
                        uint16_t *kept) {
    for (int i = 0; i < count; i++) {
        __builtin_prefetch(&s->rows8[seeds[i + AHEAD]]);
        *kept = seeds[i];
        kept += some(energies8(&s->rows8[seeds[i]], d->zero, d->w8) >= least) != 0;
    }
    return kept;
}

typedef struct { float energy; int position; } candidate;

/* Sort the seeds whose energies suffice into the candidates of each block, in falling order. */
static void sort_candidates(const integers *s, const uint16_t *seeds, int count, const directions *d, gf least,
                            candidate *found[GROUP], int found_count[GROUP]) {
    for (int i = 0; i < count; i++) {
        __builtin_prefetch(&s->rows16[seeds[i + 16]]);
        gf energy = energies16(&s->rows16[seeds[i]], (gi){0}, d->w16);
        for (int lanes = some(energy >= least); lanes; lanes &= lanes - 1) {
            int lane = __builtin_ctz((unsigned)lanes), n = found_count[lane]++;
            candidate *list = found[lane];
            for (; n > 0 && list[n - 1].energy < energy[lane]; n--) list[n] = list[n - 1];
            list[n] = (candidate){energy[lane], seeds[i]};
        }
    }
}

static double squared_sine(double angle) { return angle <= 0 ? 0 : angle >= 1.5707963 ? 1 : sin(angle) * sin(angle); }

/* Search `count` blocks of C weights, sorted by the keys that are given. Parameters as for segment_search, and:
 *
 * `room`, `lists`, `all_ends`: the cells of cells_make; `usual`, `share`: what the best error is in many blocks and in
 * nearly all, relative to ||w||^2; `certain`: whether the best code of a block is found. Zero when out of
 * memory. */
int cells_search(const segment *g, const integers *s, long room, const uint16_t *lists, const uint16_t *all_ends,
                 const uint32_t *keys, const double *weights, long count, int mode, double usual, double share,
                 double *error, uint32_t *seed, int8_t *exponent, int8_t *codes, uint8_t *certain) {
    uint16_t *kept = calloc(N + AHEAD, sizeof *kept);
    candidate *candidates = malloc(sizeof(candidate) * GROUP * N);
    if (!kept || !candidates) return free(kept), free(candidates), 0;
    for (long start = 0, end; start < count; start = end) {
        block blocks[GROUP];
        directions d;
        double delta[GROUP], reach = 0, sure = 0; /* angles from the centre to which seeds are wanted, and looked at */
        uint32_t cell = keys[start] >> 16;
        const uint16_t *ends = all_ends + (long)cell * BINS, *seeds = lists + (long)cell * (room + AHEAD);
        gf least8 = {0}, least16;
        least8 += INFINITY, least16 = least8;
        memset(&d, 0, sizeof d);
        for (end = start; end < count && end < start + GROUP && keys[end] >> 16 == cell; end++) {
            int lane = (int)(end - start);
            block *b = &blocks[lane];
            double x[C];
            load(b, g, weights + end * C);
            resume(b, error[end], seed[end], exponent[end], codes + end * P, mode);
            delta[lane] = acos(fmax((65535 - (keys[end] & 65535)) / 65535.0 - CLEAR, 0));
            if (b->norm == 0) continue;
            for (int c = 0; c < C; c++) x[c] = b->w[c] / b->length;
            put_direction(&d, lane, x);
            least8[lane] = (float)least_energy(share, d.lost8[lane], s->blur8) * d.unit8[lane];
            least16[lane] = (float)least_energy(share, d.lost16[lane], s->blur16) * d.unit16[lane];
            reach = fmax(reach, delta[lane] + asin(sqrt(usual)));
        }
        for (int round = 0, from = 0; round < 2; round++) { /* for the usual error, and for what was found */
            int bin = (int)fmin(BINS - 1, (squared_sine(reach) + 2 * s->blur16 + 1e-3) * BINS);
            while (bin >= 0 && ends[bin] == WITHOUT) bin--;
            int to = bin < 0 ? 0 : ends[bin], found_count[GROUP] = {0};
            candidate *found[GROUP];
            for (int lane = 0; lane < GROUP; lane++) found[lane] = candidates + (long)lane * N;
            sure = asin(sqrt(fmax((bin + 1.0) / BINS - 2 * s->blur16 - 1e-3, 0)));
            uint16_t *last = filter(s, seeds + from, to > from ? to - from : 0, &d, least8, kept);
            sort_candidates(s, kept, (int)(last - kept), &d, least16, found, found_count);
            for (int lane = 0; lane < end - start; lane++)
                for (int n = 0; n < found_count[lane] && n < 3; n++)
                    for (size_t at = 0; at < sizeof(basis); at += 64)
                        __builtin_prefetch((const char *)&g->bases[found[lane][n].position] + at);
            for (int lane = 0; lane < end - start; lane++) {
                block *b = &blocks[lane];
                for (int n = 0; n < found_count[lane]; n++) {
                    double left = fmin(share, b->error / b->norm);
                    if (found[lane][n].energy < least_energy(left, d.lost16[lane], s->blur16) * d.unit16[lane]) break;
                    evaluate(b, g, found[lane][n].position, mode);
                }
                if (b->norm > 0) reach = fmax(reach, delta[lane] + asin(sqrt(fmin(share, b->error / b->norm))));
            }
            from = to;
        }
        for (int lane = 0; lane < end - start; lane++) {
            const block *b = &blocks[lane];
            long n = start + lane;
            keep(b, error + n, seed + n, exponent + n, codes + n * P);
            certain[n] = b->norm == 0 ||
                b->error <= (1 - CLEAR) * b->norm * fmin(share, squared_sine(sure - delta[lane] - CLEAR));
        }
    }
    return free(kept), free(candidates), 1;
}

void cells_free(integers *s) { free(s); }
/* CENTRES, BINS and AHEAD; zeros where cells do not pay. */
int cells_shape(int which) { return which == 0 ? CENTRES : which == 1 ? BINS : AHEAD; }

#else /* without products of small integers, the search over all seeds is as fast */
int cells_shape(int which) { return 0 * which; }
void *cells_integers(void) { return NULL; }
#endif
