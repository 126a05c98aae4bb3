/* The shortest path through a trellis of 2^L windows, k = BITS new bits a step: the codes of a row of least squared error.

   A window here is golden's with its bits in reverse: the newest bit is the lowest, so that the window moves up and the
   2^k windows that may follow a state are neighbours in memory. A state is what two windows in a row share, L - k bits.
   The window of state `from` and new bits b is p = from << k | b, and the state behind it is p mod 2^(L-k). So

       least[i+1][to] = min over j of  least[i][p >> k] + (x[i] - step[i] * value[p])^2,   p = j * 2^(L-k) + to.

   No choice is stored on the way forward: the way back tries the 2^k windows behind each state of the path once more. */
#include <float.h>
#include <stdint.h>
#include <string.h>

#define STATES (1 << (WINDOW - BITS))
#define CHOICES (1 << BITS)
#if defined(__AVX512F__) && WINDOW - BITS >= 4
#define LANES 16
#else
#define LANES 8
#endif
#define EVERY 32 /* steps after which the least is taken off: sums stay short, and so lose little in a float */
#define FAR 1e30f /* what lies behind a state that a row may not start from */

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

#if LANES == 16
#include <immintrin.h>
static inline vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
static inline vi where_less(vf a, vf b, vi yes, vi no) {
    return (vi)_mm512_mask_mov_epi32((__m512i)no, _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ), (__m512i)yes);
}
#elif defined(__AVX__)
#include <immintrin.h>
static inline vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline vf vmin(vf a, vf b) { vi m = a < b; return (vf)(((vi)a & m) | ((vi)b & ~m)); }
#endif

#if LANES != 16
static inline vi where_less(vf a, vf b, vi yes, vi no) { vi m = a < b; return (yes & m) | (no & ~m); }
#endif

/* What lies behind LANES windows from p on: neighbours share it, 2^k each. */
static inline vf behind(const float *least, int p) {
#if CHOICES >= LANES
    return (vf){0} + least[p >> BITS];
#else
    static const vi lane = {0, 1, 2, 3, 4, 5, 6, 7,
#if LANES == 16
                            8, 9, 10, 11, 12, 13, 14, 15
#endif
    };
    return __builtin_shuffle(*(const vf *)(least + (p >> BITS)), lane >> BITS);
#endif
}

/* Does one step. `least` has LANES more floats than states, which are read and mean nothing. */
static void forward(const float *least, float *next, const float *value, float x, float step) {
    for (int to = 0; to < STATES; to += LANES) {
        vf best = (vf){0} + FLT_MAX;
        _Pragma("GCC unroll 16") for (int j = 0; j < CHOICES; j++) {
            const int p = j * STATES + to;
            vf error = x - step * *(const vf *)(value + p);
            best = vmin(behind(least, p) + error * error, best);
        }
        *(vf *)(next + to) = best;
    }
}

static int lowest(const float *least) {
    int at = 0;
    for (int state = 1; state < STATES; state++)
        if (least[state] < least[at]) at = state;
    return at;
}

long viterbi_stride(void) { return STATES + LANES; }

/* Searches the codes of one row of n weights; returns the state that it starts from. The rest is as for viterbi_rows. */
static int32_t search(const float *value, const float *x, const float *column, float scale, long n, float *least,
                      uint8_t *codes, double *sums) {
    const long stride = STATES + LANES;
    memset(least, 0, sizeof(float) * (size_t)stride); /* a row may start from any state */
    for (long i = 0; i < n; i++) {
        float *from = least + i * stride, *to = from + stride;
        forward(from, to, value, x[i], scale * column[i]);
        if (i % EVERY == EVERY - 1) {
            float base = to[lowest(to)];
            for (int state = 0; state < STATES; state++) to[state] -= base;
        }
    }
    int state = lowest(least + n * stride);
    sums[0] = sums[1] = sums[2] = 0;
    for (long i = n - 1; i >= 0; i--) {
        const float *from = least + i * stride, step = scale * column[i];
        float best = FLT_MAX;
        int window = state;
        for (int j = 0; j < CHOICES; j++) {
            int p = j * STATES + state;
            float error = x[i] - step * value[p], sum = from[p >> BITS] + error * error;
            if (sum < best) best = sum, window = p;
        }
        double v = (double)column[i] * value[window], error = x[i] - scale * v;
        sums[0] += error * error, sums[1] += x[i] * v, sums[2] += v * v;
        codes[i] = (uint8_t)(window & (CHOICES - 1));
        state = window >> BITS;
    }
    return state;
}

/* Searches the codes of some rows of n weights. Codes and states have their bits in reverse. x is the weights times
   what their columns weigh, `column` is what these weigh, and `value` is the integer of each window, 2^L of them.
   `least` has room for (n + 1) * viterbi_stride() floats. Of each row, `starts` gets the state that it starts from, and
   `sums` three sums: of (x - scale * v)^2, x * v and v^2, where v is the window's integer times what the column
   weighs. */
void viterbi_rows(const float *value, const float *x, const float *column, const float *scales, long rows, long n,
                  float *least, uint8_t *codes, int32_t *starts, double *sums) {
    for (long row = 0; row < rows; row++)
        starts[row] = search(value, x + row * n, column, scales[row], n, least, codes + row * n, sums + 3 * row);
}

/* Does one step of viterbi_fed, and notes the choice of each state. A window's error is x + z - step * value, where z is
   what is due from the path to the state behind it. */
static void forward_fed(const float *least, float *next, const float *z, const float *value, float x, float step,
                        uint8_t *choice) {
    for (int to = 0; to < STATES; to += LANES) {
        vf best = (vf){0} + FLT_MAX;
        vi by = {0};
        _Pragma("GCC unroll 16") for (int j = 0; j < CHOICES; j++) {
            const int p = j * STATES + to;
            vf error = behind(z, p) + x - step * *(const vf *)(value + p), sum = behind(least, p) + error * error;
            by = where_less(sum, best, (vi){0} + j, by);
            best = vmin(sum, best);
        }
        *(vf *)(next + to) = best;
        for (int lane = 0; lane < LANES; lane++) choice[to + lane] = (uint8_t)by[lane];
    }
}

/* As viterbi_rows, for n columns whose errors e count ||e R||^2, where R is upper triangular, n rows of n, and n is a
   multiple of 16. An error thus adds to what is due from the columns behind it, which make up for it. What is due
   depends on all of the path so far; each state has that of the one path that was best up to there, so that the path
   that is found is the best of those whose beginnings were best themselves, and not of all.

   `starts` holds the states that the rows have to start from, or -1 for any, and then those that they do start from;
   `ends` those that they end in. `due` has room for 2 * n * STATES floats, and `choices` for n * STATES bytes. */
void viterbi_fed(const float *value, const float *x, const float *upper, const float *scales, long rows, long n,
                 float *due, uint8_t *choices, uint8_t *codes, int32_t *starts, int32_t *ends) {
    float least[2][STATES + LANES], z[STATES + LANES]; /* a step reads LANES more than there are states */
    for (long row = 0; row < rows; row++, x += n, codes += n) {
        const float scale = scales[row];
        float *now = due, *after = due + n * STATES;
        for (int i = 0; i < STATES; i++) least[0][i] = starts[row] < 0 || i == starts[row] ? 0 : FAR;
        memset(now, 0, sizeof(float) * (size_t)(n * STATES));
        memset(z, 0, sizeof z);
        for (long i = 0; i < n; i++) {
            const float *own = upper + i * n;
            uint8_t *choice = choices + i * STATES;
            forward_fed(least[i & 1], least[~i & 1], z, value, own[i] * x[i], own[i] * scale, choice);
            for (int to = 0; to < STATES; to++) {
                const int window = choice[to] * STATES + to;
                const float error = x[i] - scale * value[window], *before = now + (window >> BITS) * n;
                for (long at = (i + 1) / LANES * LANES; at < n; at += LANES)
                    *(vf *)(after + to * n + at) = *(const vf *)(before + at) + error * *(const vf *)(own + at);
            }
            float *swap = now;
            now = after, after = swap;
            if (i + 1 < n)
                for (int to = 0; to < STATES; to++) z[to] = now[to * n + i + 1];
        }
        int state = ends[row] = lowest(least[n & 1]);
        for (long i = n - 1; i >= 0; i--) {
            int window = choices[i * STATES + state] * STATES + state;
            codes[i] = (uint8_t)(window & (CHOICES - 1));
            state = window >> BITS;
        }
        starts[row] = state;
    }
}
