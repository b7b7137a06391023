// The decoding engine's inner loops for x86 with AVX-512: matrix products whose results go straight
// into the LSTM cell, the arg max or a tanh, without being written to memory first.
//
// A plain C interface for ctypes: it needs neither Python's headers nor torch's. The caller (see
// ../native_kernels.py) checks shapes; nothing here does.
//
// Every row of a batch is computed by the same operations in the same order, however many rows
// there are and wherever it stands among them. So a sentence's translation never depends on its
// neighbours, bit for bit, in every tier.
//
// Tiers differ in the type of activations and weights; sums are float32, or exact int32:
//   0 exact  float32
//   1 bf16   bfloat16
//   2 int8   unsigned activations (scale 1/127, zero point 128), signed weights with one scale for
//            each output. LSTM outputs lie in (-1, 1), so one scale fits all of them, always.
//
// Packed weights: panels of 64 outputs; in a panel, for each word of four bytes of input (1 float,
// 2 bfloat16 or 4 int8 along K) the 64 words of its outputs. In an LSTM layer a panel holds the
// gates i, f, g, o of 16 hidden units, so that a cell's four gates meet in one register tile.

#include "vectors.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace {

constexpr float kActivationScale = 127.0F;
constexpr int kActivationZero = 128;

enum Tier { kExact = 0, kBf16 = 1, kInt8 = 2 };

}  // namespace

extern "C" {

// y = W [x1; x2] + bias, packed. k1 and k2 are words of four bytes.
struct LingoMatrix {
  int32_t tier;
  int32_t n_outputs;
  int32_t n_panels;
  int32_t k1_words;
  int32_t k2_words;
  const int32_t* packed;        // [n_panels][k1_words + k2_words][64]
  const int32_t* sum_start;     // int8: [n_panels * 64], takes the zero point back
  const float* output_scale;    // int8: [n_panels * 64]
  const float* bias;            // [n_panels * 64]; -inf beyond n_outputs
};

}  // extern "C"

namespace {

// ---- The three tiers ---------------------------------------------------------------------------

struct Exact {
  using Activation = float;
  using Sum = __m512;
  static Sum start(const LingoMatrix&, int) { return _mm512_setzero_ps(); }
  static Sum add_product(Sum sum, __m512i x, __m512i w) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), sum);
  }
  static __m512 value(const LingoMatrix&, int, Sum sum, __m512 base) {
    return _mm512_add_ps(sum, base);
  }
  static void store(Activation* to, __mmask16 lanes, __m512 x) {
    _mm512_mask_storeu_ps(to, lanes, x);
  }
};

struct Bf16 {
  using Activation = uint16_t;
  using Sum = __m512;
  static Sum start(const LingoMatrix&, int) { return _mm512_setzero_ps(); }
  static Sum add_product(Sum sum, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
  }
  static __m512 value(const LingoMatrix&, int, Sum sum, __m512 base) {
    return _mm512_add_ps(sum, base);
  }
  static void store(Activation* to, __mmask16 lanes, __m512 x) {
    store_bf16(to, lanes, x);
  }
};

struct Int8 {
  using Activation = uint8_t;
  using Sum = __m512i;
  static Sum start(const LingoMatrix& matrix, int output) {
    return _mm512_loadu_si512(matrix.sum_start + output);
  }
  static Sum add_product(Sum sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }
  static __m512 value(const LingoMatrix& matrix, int output, Sum sum, __m512 base) {
    return _mm512_fmadd_ps(
        _mm512_cvtepi32_ps(sum), _mm512_loadu_ps(matrix.output_scale + output), base);
  }
  static void store(Activation* to, __mmask16 lanes, __m512 x) {
    const __m512i level = _mm512_add_epi32(
        _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(kActivationScale))),
        _mm512_set1_epi32(kActivationZero));
    _mm512_mask_cvtusepi32_storeu_epi8(to, lanes, level);
  }
};

// ---- Matrix product: a tile of rows times one panel, in registers ------------------------------

// The sums of a tile. Every index below is a constant when the template is expanded, not after a
// loop was unrolled: only then does the compiler keep the sums in registers.
template <class T, int kRows>
struct Tile {
  static constexpr int kSums = kRows * kVectors;
  using AllSums = std::make_index_sequence<kSums>;
  using AllRows = std::make_index_sequence<kRows>;

  typename T::Sum sum[kSums];

  template <std::size_t... i>
  inline __attribute__((always_inline)) void start(
      const LingoMatrix& matrix, int output, std::index_sequence<i...>) {
    ((sum[i] = T::start(matrix, output + static_cast<int>(i % kVectors) * kLanes)), ...);
  }

  template <std::size_t... i, std::size_t... row>
  inline __attribute__((always_inline)) void accumulate(
      const int32_t* const* x, int n_words, const int32_t* weights, std::index_sequence<i...>,
      std::index_sequence<row...>) {
    const int32_t* const from[kRows] = {x[row]...};
    for (int word = 0; word < n_words; ++word, weights += kPanel) {
      const __m512i w[kVectors] = {
          _mm512_loadu_si512(weights), _mm512_loadu_si512(weights + kLanes),
          _mm512_loadu_si512(weights + 2 * kLanes), _mm512_loadu_si512(weights + 3 * kLanes)};
      ((sum[i] = T::add_product(
            sum[i], _mm512_set1_epi32(from[i / kVectors][word]), w[i % kVectors])),
       ...);
    }
  }

  template <class Finish, std::size_t... row>
  inline __attribute__((always_inline)) void finish(
      Finish& done, int first_row, int panel, std::index_sequence<row...>) {
    (done(
         first_row + static_cast<int>(row), panel, sum[row * kVectors], sum[row * kVectors + 1],
         sum[row * kVectors + 2], sum[row * kVectors + 3]),
     ...);
  }
};

template <class T, int kRows, class Finish>
void tile(
    const LingoMatrix& matrix, int panel, int first_row, const int32_t* const* x1,
    const int32_t* const* x2, Finish& finish) {
  using A = Tile<T, kRows>;
  const int n_words = matrix.k1_words + matrix.k2_words;
  const int32_t* weights = matrix.packed + static_cast<int64_t>(panel) * n_words * kPanel;
  A sums;
  sums.start(matrix, panel * kPanel, typename A::AllSums{});
  if (matrix.k1_words > 0) {
    sums.accumulate(
        x1 + first_row, matrix.k1_words, weights, typename A::AllSums{}, typename A::AllRows{});
  }
  if (matrix.k2_words > 0) {
    sums.accumulate(
        x2 + first_row, matrix.k2_words,
        weights + static_cast<int64_t>(matrix.k1_words) * kPanel, typename A::AllSums{},
        typename A::AllRows{});
  }
  sums.finish(finish, first_row, panel, typename A::AllRows{});
}

// Panels outside, rows inside: a panel stays in the second-level cache while all rows use it.
template <class T, class Finish>
void product(
    const LingoMatrix& matrix, int n_rows, const int32_t* const* x1, const int32_t* const* x2,
    Finish& finish) {
  for (int panel = 0; panel < matrix.n_panels; ++panel) {
    int row = 0;
    for (; row + kTileRows <= n_rows; row += kTileRows) {
      tile<T, kTileRows>(matrix, panel, row, x1, x2, finish);
    }
    switch (n_rows - row) {
      case 5: tile<T, 5>(matrix, panel, row, x1, x2, finish); break;
      case 4: tile<T, 4>(matrix, panel, row, x1, x2, finish); break;
      case 3: tile<T, 3>(matrix, panel, row, x1, x2, finish); break;
      case 2: tile<T, 2>(matrix, panel, row, x1, x2, finish); break;
      case 1: tile<T, 1>(matrix, panel, row, x1, x2, finish); break;
      default: break;
    }
  }
}

// Where each row's inputs and outputs lie.
struct Rows {
  std::vector<const int32_t*> x1, x2;
  std::vector<const void*> base;  // of the gates: float32, or float16 where a table is halved
  std::vector<float*> cell, out_float;
  std::vector<void*> out;

  explicit Rows(int n) : x1(n), x2(n), base(n), cell(n), out_float(n), out(n) {}
};

// ---- LSTM --------------------------------------------------------------------------------------

// The next panel's gates of a token: the table is far larger than the caches.
inline void prefetch(const void* from, int n_bytes) {
  for (int at = 0; at < n_bytes; at += 64) {
    _mm_prefetch(static_cast<const char*>(from) + at, _MM_HINT_T0);
  }
}

// c' = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c')
template <class T>
struct LstmCell {
  const LingoMatrix& matrix;
  const Rows& rows;
  int hidden_dim;
  bool half_base;

  void operator()(
      int row, int panel, typename T::Sum s0, typename T::Sum s1, typename T::Sum s2,
      typename T::Sum s3) {
    const typename T::Sum sum[kVectors] = {s0, s1, s2, s3};
    const int unit = panel * kLanes;
    const __mmask16 lanes = first_lanes(hidden_dim - unit);
    const int output = panel * kPanel;
    __m512 gate[kVectors];
    if (half_base) {
      const uint16_t* base = static_cast<const uint16_t*>(rows.base[row]) + output;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const __m256i half =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(base + v * kLanes));
        gate[v] = T::value(matrix, output + v * kLanes, sum[v], _mm512_cvtph_ps(half));
      }
      prefetch(base + kPanel, kPanel * 2);
    } else {
      const float* base = static_cast<const float*>(rows.base[row]) + output;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        gate[v] = T::value(
            matrix, output + v * kLanes, sum[v], _mm512_loadu_ps(base + v * kLanes));
      }
      prefetch(base + kPanel, kPanel * 4);
    }
    float* cell = rows.cell[row] + unit;
    // With e_x = exp(-x): sigmoid(x) = 1 / (1 + e_x), tanh(x) = (1 - e_2x) / (1 + e_2x); each line
    // over its common denominator, since a division costs as much as ten products.
    const __m512 one = _mm512_set1_ps(1.0F);
    const __m512 input = _mm512_add_ps(one, exp_minus16(gate[0], 1.0F));
    const __m512 forget = _mm512_add_ps(one, exp_minus16(gate[1], 1.0F));
    const __m512 e_new = exp_minus16(gate[2], 2.0F);
    const __m512 input_new = _mm512_mul_ps(input, _mm512_add_ps(one, e_new));
    const __m512 c = _mm512_div_ps(
        _mm512_fmadd_ps(
            _mm512_maskz_loadu_ps(lanes, cell), input_new,
            _mm512_mul_ps(_mm512_sub_ps(one, e_new), forget)),
        _mm512_mul_ps(forget, input_new));
    const __m512 output_gate = _mm512_add_ps(one, exp_minus16(gate[3], 1.0F));
    const __m512 e_c = exp_minus16(c, 2.0F);
    const __m512 h = _mm512_div_ps(
        _mm512_sub_ps(one, e_c), _mm512_mul_ps(output_gate, _mm512_add_ps(one, e_c)));
    _mm512_mask_storeu_ps(cell, lanes, c);
    T::store(static_cast<typename T::Activation*>(rows.out[row]) + unit, lanes, h);
    if (rows.out_float[row] != nullptr) {
      _mm512_mask_storeu_ps(rows.out_float[row] + unit, lanes, h);
    }
  }
};

template <class T>
void lstm(
    const LingoMatrix& matrix, int hidden_dim, int n_rows, const Rows& rows, bool half_base) {
  LstmCell<T> finish{matrix, rows, hidden_dim, half_base};
  product<T>(matrix, n_rows, rows.x1.data(), rows.x2.data(), finish);
}

// ---- Output layer: arg max and log of the sum of exp, as the logits appear ---------------------

template <class T>
struct ArgMax {
  const LingoMatrix& matrix;
  const float* blocked;  // [n_panels * 64]: 0, or -inf where an output may not be chosen
  struct Lanes {
    __m512 highest, sum_exp, best;
    __m512i best_output;
  };
  std::vector<Lanes> lanes;

  ArgMax(const LingoMatrix& m, const float* b, int n_rows) : matrix(m), blocked(b), lanes(n_rows) {
    for (Lanes& l : lanes) {
      l.highest = _mm512_set1_ps(-1e30F);
      l.sum_exp = _mm512_setzero_ps();
      l.best = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
      l.best_output = _mm512_setzero_si512();
    }
  }

  void operator()(
      int row, int panel, typename T::Sum s0, typename T::Sum s1, typename T::Sum s2,
      typename T::Sum s3) {
    const typename T::Sum sum[kVectors] = {s0, s1, s2, s3};
    Lanes& l = lanes[row];
    const int output = panel * kPanel;
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512 logit[kVectors];
    __m512 highest = l.highest;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int o = output + v * kLanes;
      logit[v] = T::value(matrix, o, sum[v], _mm512_loadu_ps(matrix.bias + o));
      highest = _mm512_max_ps(highest, logit[v]);
      const __m512 allowed = _mm512_add_ps(logit[v], _mm512_loadu_ps(blocked + o));
      const __mmask16 better = _mm512_cmp_ps_mask(allowed, l.best, _CMP_GT_OQ);
      l.best = _mm512_mask_mov_ps(l.best, better, allowed);
      l.best_output = _mm512_mask_add_epi32(l.best_output, better, lane, _mm512_set1_epi32(o));
    }
    __m512 total = l.sum_exp;
    if (_mm512_cmp_ps_mask(highest, l.highest, _CMP_GT_OQ) != 0) {
      total = _mm512_mul_ps(total, exp_of_negative16(_mm512_sub_ps(l.highest, highest)));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      total = _mm512_add_ps(total, exp_of_negative16(_mm512_sub_ps(logit[v], highest)));
    }
    l.sum_exp = total;
    l.highest = highest;
  }

  void result(int row, int32_t* chosen, float* log_prob) const {
    alignas(64) float highest[kLanes], sum_exp[kLanes], best[kLanes];
    alignas(64) int32_t output[kLanes];
    _mm512_store_ps(highest, lanes[row].highest);
    _mm512_store_ps(sum_exp, lanes[row].sum_exp);
    _mm512_store_ps(best, lanes[row].best);
    _mm512_store_si512(output, lanes[row].best_output);
    int winner = 0;
    double top = highest[0];
    for (int i = 1; i < kLanes; ++i) {
      if (best[i] > best[winner] || (best[i] == best[winner] && output[i] < output[winner])) {
        winner = i;
      }
      if (highest[i] > top) top = highest[i];
    }
    double total = 0.0;
    for (int i = 0; i < kLanes; ++i) total += sum_exp[i] * std::exp(highest[i] - top);
    *chosen = output[winner];
    *log_prob = static_cast<float>(best[winner] - top - std::log(total));
  }
};

// ---- A plain linear layer, with tanh if wanted -------------------------------------------------

template <class T>
struct Linear {
  const LingoMatrix& matrix;
  const Rows& rows;
  bool with_tanh;

  void operator()(
      int row, int panel, typename T::Sum s0, typename T::Sum s1, typename T::Sum s2,
      typename T::Sum s3) {
    const typename T::Sum sum[kVectors] = {s0, s1, s2, s3};
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int o = panel * kPanel + v * kLanes;
      const int left = matrix.n_outputs - o;
      if (left <= 0) return;
      const __mmask16 lanes = first_lanes(left);
      __m512 y = T::value(matrix, o, sum[v], _mm512_loadu_ps(matrix.bias + o));
      if (with_tanh) y = tanh16(y);
      if (rows.out_float[row] != nullptr) _mm512_mask_storeu_ps(rows.out_float[row] + o, lanes, y);
      if (rows.out[row] != nullptr) {
        T::store(static_cast<typename T::Activation*>(rows.out[row]) + o, lanes, y);
      }
    }
  }
};

// ---- Attention ---------------------------------------------------------------------------------

inline __m512 load16(const float* from, int left) {
  return _mm512_maskz_loadu_ps(first_lanes(left), from);
}

// Softmax of the scores, then the weighted mean of the memory, stored in the tier's type.
template <class T>
void weighted_mean(
    std::vector<float>& scores, const float* memory, int64_t stride, int hidden_dim,
    typename T::Activation* context) {
  const int n = static_cast<int>(scores.size());
  float highest = -std::numeric_limits<float>::infinity();
  for (float s : scores) highest = s > highest ? s : highest;
  float total = 0.0F;
  for (float& s : scores) {
    s = std::exp(s - highest);
    total += s;
  }
  const __m512 scale = _mm512_set1_ps(n > 0 ? 1.0F / total : 0.0F);
  for (int unit = 0; unit < hidden_dim; unit += kLanes) {
    __m512 mean = _mm512_setzero_ps();
    for (int position = 0; position < n; ++position) {
      mean = _mm512_fmadd_ps(
          _mm512_set1_ps(scores[position]),
          load16(memory + position * stride + unit, hidden_dim - unit), mean);
    }
    T::store(context + unit, first_lanes(hidden_dim - unit), _mm512_mul_ps(mean, scale));
  }
}

template <class T>
void attend(
    int n_rows, int hidden_dim, int64_t stride, const int64_t* memory, const int64_t* keys,
    const int32_t* lengths, const float* query, const float* v, void* context) {
  std::vector<float> scores;
  for (int row = 0; row < n_rows; ++row) {
    const float* q = query + row * stride;
    const float* m = reinterpret_cast<const float*>(memory[row]);
    const float* k = v != nullptr ? reinterpret_cast<const float*>(keys[row]) : m;
    scores.assign(lengths[row], 0.0F);
    for (int position = 0; position < lengths[row]; ++position, k += stride) {
      __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
      for (int unit = 0, turn = 0; unit < hidden_dim; unit += kLanes, turn ^= 1) {
        const int left = hidden_dim - unit;
        const __m512 a = load16(q + unit, left);
        const __m512 b = load16(k + unit, left);
        sum[turn] = v == nullptr
            ? _mm512_fmadd_ps(a, b, sum[turn])
            : _mm512_fmadd_ps(load16(v + unit, left), tanh16(_mm512_add_ps(a, b)), sum[turn]);
      }
      scores[position] = _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
    }
    weighted_mean<T>(
        scores, m, stride, hidden_dim,
        static_cast<typename T::Activation*>(context) + row * stride);
  }
}

// The first layer's gates of each token, [V][n_panels * 64]: float32 in the exact tier, else float16.
struct Table {
  const char* start;
  bool half;
  int64_t row_bytes;

  Table(const LingoMatrix& matrix, const void* table)
      : start(static_cast<const char*>(table)),
        half(table != nullptr && matrix.tier != kExact),
        row_bytes(static_cast<int64_t>(matrix.n_panels) * kPanel * (half ? 2 : 4)) {}

  const void* row(int32_t token) const { return start + token * row_bytes; }
};

template <class T>
void encode_layer(
    const LingoMatrix& matrix, int hidden_dim, int n_rows, int n_positions, const int32_t* lengths,
    const void* x, const void* table, const int32_t* tokens, int backward, void* y, float* y_float,
    int y_column, int64_t stride, float* cell) {
  using A = typename T::Activation;
  const std::vector<A> nothing(stride, sizeof(A) == 1 ? A(kActivationZero) : A(0));
  const Table gates(matrix, table);
  Rows rows(n_rows);
  int n_active = n_rows;
  for (int step = 0; step < n_positions; ++step) {
    while (n_active > 0 && lengths[n_active - 1] <= step) --n_active;  // longest first
    for (int row = 0; row < n_active; ++row) {
      const int position = backward != 0 ? lengths[row] - 1 - step : step;
      const int64_t here = (static_cast<int64_t>(row) * n_positions + position) * stride;
      const int64_t before = backward != 0 ? here + stride : here - stride;
      rows.x1[row] = x == nullptr ? nullptr
          : reinterpret_cast<const int32_t*>(static_cast<const A*>(x) + here);
      rows.x2[row] = reinterpret_cast<const int32_t*>(
          step == 0 ? nothing.data() : static_cast<const A*>(y) + before + y_column);
      rows.base[row] = table == nullptr ? matrix.bias
          : gates.row(tokens[static_cast<int64_t>(row) * n_positions + position]);
      rows.cell[row] = cell + static_cast<int64_t>(row) * stride;
      rows.out[row] = static_cast<A*>(y) + here + y_column;
      rows.out_float[row] = y_float == nullptr ? nullptr : y_float + here + y_column;
    }
    lstm<T>(matrix, hidden_dim, n_active, rows, gates.half);
  }
}

template <class T>
void decode_layer(
    const LingoMatrix& matrix, int hidden_dim, int n_rows, const void* x, const void* h,
    const void* table, const int32_t* tokens, void* out, float* out_float, float* cell,
    int64_t stride) {
  using A = typename T::Activation;
  const Table gates(matrix, table);
  Rows rows(n_rows);
  for (int row = 0; row < n_rows; ++row) {
    const int64_t at = row * stride;
    rows.x1[row] = x == nullptr ? nullptr
        : reinterpret_cast<const int32_t*>(static_cast<const A*>(x) + at);
    rows.x2[row] = reinterpret_cast<const int32_t*>(static_cast<const A*>(h) + at);
    rows.base[row] = table == nullptr ? matrix.bias : gates.row(tokens[row]);
    rows.cell[row] = cell + at;
    rows.out[row] = static_cast<A*>(out) + at;
    rows.out_float[row] = out_float == nullptr ? nullptr : out_float + at;
  }
  lstm<T>(matrix, hidden_dim, n_rows, rows, gates.half);
}

template <class T>
void linear(
    const LingoMatrix& matrix, int n_rows, const void* x1, const void* x2, int64_t stride,
    int with_tanh, void* out, int64_t out_stride, float* out_float, int64_t out_float_stride) {
  using A = typename T::Activation;
  Rows rows(n_rows);
  for (int row = 0; row < n_rows; ++row) {
    rows.x1[row] = reinterpret_cast<const int32_t*>(static_cast<const A*>(x1) + row * stride);
    rows.x2[row] = x2 == nullptr ? nullptr
        : reinterpret_cast<const int32_t*>(static_cast<const A*>(x2) + row * stride);
    rows.out[row] = out == nullptr ? nullptr : static_cast<A*>(out) + row * out_stride;
    rows.out_float[row] = out_float == nullptr ? nullptr : out_float + row * out_float_stride;
  }
  Linear<T> finish{matrix, rows, with_tanh != 0};
  product<T>(matrix, n_rows, rows.x1.data(), rows.x2.data(), finish);
}

template <class T>
void arg_max(
    const LingoMatrix& matrix, int n_rows, const void* x, int64_t stride, const float* blocked,
    int32_t* chosen, float* log_probs) {
  using A = typename T::Activation;
  std::vector<const int32_t*> rows(n_rows);
  for (int row = 0; row < n_rows; ++row) {
    rows[row] = reinterpret_cast<const int32_t*>(static_cast<const A*>(x) + row * stride);
  }
  ArgMax<T> finish(matrix, blocked, n_rows);
  product<T>(matrix, n_rows, rows.data(), nullptr, finish);
  for (int row = 0; row < n_rows; ++row) finish.result(row, chosen + row, log_probs + row);
}

// ---- Training: what stands between the products of one LSTM step -------------------------------

}  // namespace

#define LINGO_DISPATCH(tier, function, ...)                \
  switch (tier) {                                          \
    case kExact: function<Exact>(__VA_ARGS__); break;      \
    case kBf16: function<Bf16>(__VA_ARGS__); break;        \
    default: function<Int8>(__VA_ARGS__); break;           \
  }

extern "C" {

// Bit n: the processor runs tier n. Zero where it lacks AVX-512.
int32_t lingo_tiers() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))) {
    return 0;
  }
  return 1 << kExact | (__builtin_cpu_supports("avx512bf16") ? 1 << kBf16 : 0) |
      (__builtin_cpu_supports("avx512vnni") ? 1 << kInt8 : 0);
}

// One LSTM layer in one direction over a whole batch [n_rows, n_positions], longest row first.
// Output h of row r at position p goes to y[r][p][y_column...]; cell [n_rows, stride] starts at zero
// and ends as the state after the last position read.
void lingo_encode_layer(
    const LingoMatrix* matrix, int32_t hidden_dim, int32_t n_rows, int32_t n_positions,
    const int32_t* lengths, const void* x, const void* table, const int32_t* tokens,
    int32_t backward, void* y, float* y_float, int32_t y_column, int64_t stride, float* cell) {
  LINGO_DISPATCH(
      matrix->tier, encode_layer, *matrix, hidden_dim, n_rows, n_positions, lengths, x, table,
      tokens, backward, y, y_float, y_column, stride, cell)
}

// One LSTM layer, one step of n_rows rows. out must not be h.
void lingo_decode_layer(
    const LingoMatrix* matrix, int32_t hidden_dim, int32_t n_rows, const void* x, const void* h,
    const void* table, const int32_t* tokens, void* out, float* out_float, float* cell,
    int64_t stride) {
  LINGO_DISPATCH(
      matrix->tier, decode_layer, *matrix, hidden_dim, n_rows, x, h, table, tokens, out, out_float,
      cell, stride)
}

// out = W [x1; x2] + bias, through tanh if wanted; in the tier's type, in float32, or both.
void lingo_linear(
    const LingoMatrix* matrix, int32_t n_rows, const void* x1, const void* x2, int64_t stride,
    int32_t with_tanh, void* out, int64_t out_stride, float* out_float, int64_t out_float_stride) {
  LINGO_DISPATCH(
      matrix->tier, linear, *matrix, n_rows, x1, x2, stride, with_tanh, out, out_stride, out_float,
      out_float_stride)
}

// The best output of each row that is not blocked, and its log probability among all outputs.
void lingo_arg_max(
    const LingoMatrix* matrix, int32_t n_rows, const void* x, int64_t stride, const float* blocked,
    int32_t* chosen, float* log_probs) {
  LINGO_DISPATCH(
      matrix->tier, arg_max, *matrix, n_rows, x, stride, blocked, chosen, log_probs)
}

// Context of each row: memory[row] is the address of its encoder outputs [lengths[row], stride].
// v null: dot attention. Else additive, with keys[row] the address of W_enc times those outputs.
void lingo_attend(
    int32_t tier, int32_t n_rows, int32_t hidden_dim, int64_t stride, const int64_t* memory,
    const int64_t* keys, const int32_t* lengths, const float* query, const float* v,
    void* context) {
  LINGO_DISPATCH(
      tier, attend, n_rows, hidden_dim, stride, memory, keys, lengths, query, v, context)
}

// The k best of each row of logits [n_rows, n_outputs] that are not blocked, best first, and their
// log probabilities among all outputs.
void lingo_top_k(
    int32_t n_rows, int32_t n_outputs, int64_t stride, const float* logits, const float* blocked,
    int32_t k, int32_t* chosen, float* log_probs) {
  std::vector<float> best(k);
  for (int row = 0; row < n_rows; ++row) {
    const float* from = logits + row * stride;
    int32_t* ids = chosen + static_cast<int64_t>(row) * k;
    __m512 highest = _mm512_set1_ps(-1e30F);
    for (int o = 0; o < n_outputs; o += kLanes) {
      highest = _mm512_mask_max_ps(
          highest, first_lanes(n_outputs - o), highest, load16(from + o, n_outputs - o));
    }
    const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(highest));
    __m512 total = _mm512_setzero_ps();
    int n_found = 0;
    float least = -std::numeric_limits<float>::infinity();
    for (int o = 0; o < n_outputs; o += kLanes) {
      const __mmask16 lanes = first_lanes(n_outputs - o);
      const __m512 logit = _mm512_maskz_loadu_ps(lanes, from + o);
      total = _mm512_mask_add_ps(total, lanes, total, exp_of_negative16(_mm512_sub_ps(logit, top)));
      const __m512 allowed = _mm512_add_ps(logit, _mm512_maskz_loadu_ps(lanes, blocked + o));
      uint32_t better =
          _mm512_mask_cmp_ps_mask(lanes, allowed, _mm512_set1_ps(least), _CMP_GT_OQ);
      while (better != 0U) {
        const int i = o + __builtin_ctz(better);
        better &= better - 1U;
        const float value = from[i] + blocked[i];
        if (n_found == k && value <= best[k - 1]) continue;
        int place = n_found < k ? n_found++ : k - 1;
        for (; place > 0 && best[place - 1] < value; --place) {
          best[place] = best[place - 1];
          ids[place] = ids[place - 1];
        }
        best[place] = value;
        ids[place] = i;
        if (n_found == k) least = best[k - 1];
      }
    }
    const double log_total = std::log(static_cast<double>(_mm512_reduce_add_ps(total))) +
        static_cast<double>(_mm512_cvtss_f32(top));
    for (int i = 0; i < k; ++i) {
      const bool found = i < n_found;
      log_probs[static_cast<int64_t>(row) * k + i] = found
          ? static_cast<float>(best[i] - log_total)
          : -std::numeric_limits<float>::infinity();
      if (!found) ids[i] = 0;
    }
  }
}

}  // extern "C"
