// The inner loops of the decoding engine for x86 with AVX-512. The result of a matrix product goes
// directly into the LSTM cell, the arg max or a tanh, without a detour through memory.
//
// The interface is plain C for ctypes and needs neither Python's nor torch's headers. The functions
// here check only the precision. ../kernels/decoding.py, the only caller, checks the type, shape
// and layout of every tensor. Nobody checks values: lengths, token ids and addresses must be valid.
//
// Every row of a batch is computed by the same operations in the same order, whatever the number of
// rows and its position among them. The translation of a sentence therefore never depends on its
// neighbours, to the last bit, in every precision.
//
// Precisions differ in the type of activations and weights. Sums are float32, or int32 for int8:
//   0 float32
//   1 bfloat16
//   2 int8      unsigned activations (scale 1/127, zero point 128), signed weights with one scale
//               per output. LSTM outputs lie in (-1, 1), so one scale fits all activations.
//
// Packed weights lie in panels of 64 outputs. For each word of four bytes of input (1 float32,
// 2 bfloat16 or 4 int8 along K) a panel has 64 words, one per output. In an LSTM layer a panel has
// the gates i, f, g, o of 16 hidden units, so that the four gates of a cell are in the same tile of
// registers.

#include "vectors.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace {

constexpr float kActivationScale = 127.0F;
constexpr int kActivationZero = 128;

enum Precision { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2 };

constexpr int32_t kOk = 0;
constexpr int32_t kUnknownPrecision = 1;

}  // namespace

extern "C" {

// y = W [x1; x2] + bias, packed. k1_words and k2_words count words of four bytes.
struct LingoMatrix {
  int32_t precision;
  int32_t n_outputs;
  int32_t n_panels;
  int32_t k1_words;
  int32_t k2_words;
  const int32_t* packed;        // [n_panels][k1_words + k2_words][64]
  const int32_t* sum_start;     // int8: [n_panels * 64], subtracts the zero point
  const float* output_scale;    // int8: [n_panels * 64]
  const float* bias;            // [n_panels * 64]; -inf beyond n_outputs
};

}  // extern "C"

namespace {

// ---- The three precisions ----------------------------------------------------------------------

struct Float32 {
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

struct Bfloat16 {
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

// The sums of a tile. Every index is a constant of the template expansion. The compiler keeps the
// sums in registers only then; with indices from an unrolled loop it does not.
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

// The outer loop is over panels: a panel stays in the second-level cache while all rows use it.
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

// Pointers to the inputs and outputs of each row.
struct Rows {
  std::vector<const int32_t*> x1, x2;
  std::vector<const void*> base;  // start of the gates' sums: float32, or float16 from a gate table
  std::vector<float*> cell, out_float;
  std::vector<void*> out;

  explicit Rows(int n) : x1(n), x2(n), base(n), cell(n), out_float(n), out(n) {}
};

// ---- LSTM --------------------------------------------------------------------------------------

// Prefetch a token's gates of the next panel: the gate table is far larger than the caches.
inline void prefetch(const void* from, int n_bytes) {
  for (int at = 0; at < n_bytes; at += 64) {
    _mm_prefetch(static_cast<const char*>(from) + at, _MM_HINT_T0);
  }
}

// c' = sigmoid(f) c + sigmoid(i) tanh(g) and h = sigmoid(o) tanh(c')
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
    // With e_x = exp(-x): sigmoid(x) = 1 / (1 + e_x) and tanh(x) = (1 - e_2x) / (1 + e_2x). Each
    // expression has one common denominator, because a division costs as much as ten products.
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

// ---- Output layer: running arg max and log of the sum of exp -----------------------------------

template <class T>
struct ArgMax {
  const LingoMatrix& matrix;
  const float* blocked;  // [n_panels * 64]: -inf at blocked outputs, else 0
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

// ---- Linear layer, optionally with tanh --------------------------------------------------------

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

// Softmax of the scores, then the weighted mean of the encoder outputs, stored as activations.
template <class T>
void weighted_mean(
    std::vector<float>& scores, const float* encoder_outputs, int64_t stride, int hidden_dim,
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
          load16(encoder_outputs + position * stride + unit, hidden_dim - unit), mean);
    }
    T::store(context + unit, first_lanes(hidden_dim - unit), _mm512_mul_ps(mean, scale));
  }
}

template <class T>
void attend(
    int n_rows, int hidden_dim, int64_t stride, const int64_t* encoder_outputs,
    const int64_t* keys, const int32_t* lengths, const float* query, const float* v,
    void* context) {
  std::vector<float> scores;
  for (int row = 0; row < n_rows; ++row) {
    const float* q = query + row * stride;
    const float* m = reinterpret_cast<const float*>(encoder_outputs[row]);
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

// Input-side gates of each token for the first layer, [V][n_panels * 64]. The type is float32 for
// float32 and float16 for the other precisions.
struct GateTable {
  const char* start;
  bool half;
  int64_t row_bytes;

  GateTable(const LingoMatrix& matrix, const void* table)
      : start(static_cast<const char*>(table)),
        half(table != nullptr && matrix.precision != kFloat32),
        row_bytes(static_cast<int64_t>(matrix.n_panels) * kPanel * (half ? 2 : 4)) {}

  const void* row(int32_t token) const { return start + token * row_bytes; }
};

template <class T>
void encode_layer(
    const LingoMatrix& matrix, int hidden_dim, int n_rows, int n_positions, const int32_t* lengths,
    const void* x, const void* table, const int32_t* tokens, int backward, void* y, float* y_float,
    int y_column, int64_t stride, float* cell) {
  using A = typename T::Activation;
  const std::vector<A> zeros(stride, sizeof(A) == 1 ? A(kActivationZero) : A(0));
  const GateTable gates(matrix, table);
  Rows rows(n_rows);
  int n_active = n_rows;
  for (int step = 0; step < n_positions; ++step) {
    // Rows are sorted, longest first.
    while (n_active > 0 && lengths[n_active - 1] <= step) --n_active;
    for (int row = 0; row < n_active; ++row) {
      const int position = backward != 0 ? lengths[row] - 1 - step : step;
      const int64_t here = (static_cast<int64_t>(row) * n_positions + position) * stride;
      const int64_t before = backward != 0 ? here + stride : here - stride;
      rows.x1[row] = x == nullptr ? nullptr
          : reinterpret_cast<const int32_t*>(static_cast<const A*>(x) + here);
      rows.x2[row] = reinterpret_cast<const int32_t*>(
          step == 0 ? zeros.data() : static_cast<const A*>(y) + before + y_column);
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
  const GateTable gates(matrix, table);
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

}  // namespace

// Calls a template with the type of a precision, and returns a status.
#define LINGO_DISPATCH(precision, function, ...)                        \
  switch (precision) {                                                  \
    case kFloat32: function<Float32>(__VA_ARGS__); return kOk;          \
    case kBfloat16: function<Bfloat16>(__VA_ARGS__); return kOk;        \
    case kInt8: function<Int8>(__VA_ARGS__); return kOk;                \
    default: return kUnknownPrecision;                                  \
  }

// Functions that return int32_t return a status: 0, or 1 for an unknown precision, in which case
// they write nothing.
extern "C" {

// A bit mask: bit n is set if the processor supports precision n. Zero without AVX-512.
int32_t lingo_precisions() {
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))) {
    return 0;
  }
  return 1 << kFloat32 | (__builtin_cpu_supports("avx512bf16") ? 1 << kBfloat16 : 0) |
      (__builtin_cpu_supports("avx512vnni") ? 1 << kInt8 : 0);
}

// One LSTM layer in one direction over a batch [n_rows, n_positions], longest row first.
// The output of row r at position p goes to y[r][p][y_column...]. cell [n_rows, stride] is zero
// before the call and the last cell state after it.
int32_t lingo_encode_layer(
    const LingoMatrix* matrix, int32_t hidden_dim, int32_t n_rows, int32_t n_positions,
    const int32_t* lengths, const void* x, const void* table, const int32_t* tokens,
    int32_t backward, void* y, float* y_float, int32_t y_column, int64_t stride, float* cell) {
  LINGO_DISPATCH(
      matrix->precision, encode_layer, *matrix, hidden_dim, n_rows, n_positions, lengths, x, table,
      tokens, backward, y, y_float, y_column, stride, cell)
}

// One step of one LSTM layer for n_rows rows. out and h must not overlap.
int32_t lingo_decode_layer(
    const LingoMatrix* matrix, int32_t hidden_dim, int32_t n_rows, const void* x, const void* h,
    const void* table, const int32_t* tokens, void* out, float* out_float, float* cell,
    int64_t stride) {
  LINGO_DISPATCH(
      matrix->precision, decode_layer, *matrix, hidden_dim, n_rows, x, h, table, tokens, out,
      out_float, cell, stride)
}

// out = W [x1; x2] + bias, optionally with tanh. out has activations, out_float has float32; either
// may be null.
int32_t lingo_linear(
    const LingoMatrix* matrix, int32_t n_rows, const void* x1, const void* x2, int64_t stride,
    int32_t with_tanh, void* out, int64_t out_stride, float* out_float, int64_t out_float_stride) {
  LINGO_DISPATCH(
      matrix->precision, linear, *matrix, n_rows, x1, x2, stride, with_tanh, out, out_stride,
      out_float, out_float_stride)
}

// The best output of each row that is not blocked, and its log probability among all outputs.
int32_t lingo_arg_max(
    const LingoMatrix* matrix, int32_t n_rows, const void* x, int64_t stride, const float* blocked,
    int32_t* chosen, float* log_probs) {
  LINGO_DISPATCH(
      matrix->precision, arg_max, *matrix, n_rows, x, stride, blocked, chosen, log_probs)
}

// Context of each row. encoder_outputs[row] is the address of float32 [lengths[row], stride]. If v
// is null, attention is dot attention. Otherwise it is additive, and keys[row] is the address of
// W_enc times the encoder outputs, in the same shape.
int32_t lingo_attend(
    int32_t precision, int32_t n_rows, int32_t hidden_dim, int64_t stride,
    const int64_t* encoder_outputs, const int64_t* keys, const int32_t* lengths,
    const float* query, const float* v, void* context) {
  LINGO_DISPATCH(
      precision, attend, n_rows, hidden_dim, stride, encoder_outputs, keys, lengths, query, v,
      context)
}

// The k best outputs of each row of logits [n_rows, n_outputs] that are not blocked, best first,
// and their log probabilities among all outputs. If fewer than k are not blocked, the rest is
// output 0 with log probability -inf.
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
    int n_chosen = 0;
    float threshold = -std::numeric_limits<float>::infinity();  // the k-th best value so far
    for (int o = 0; o < n_outputs; o += kLanes) {
      const __mmask16 lanes = first_lanes(n_outputs - o);
      const __m512 logit = _mm512_maskz_loadu_ps(lanes, from + o);
      total = _mm512_mask_add_ps(total, lanes, total, exp_of_negative16(_mm512_sub_ps(logit, top)));
      const __m512 allowed = _mm512_add_ps(logit, _mm512_maskz_loadu_ps(lanes, blocked + o));
      uint32_t better =
          _mm512_mask_cmp_ps_mask(lanes, allowed, _mm512_set1_ps(threshold), _CMP_GT_OQ);
      while (better != 0U) {
        const int i = o + __builtin_ctz(better);
        better &= better - 1U;
        const float value = from[i] + blocked[i];
        if (n_chosen == k && value <= best[k - 1]) continue;
        int rank = n_chosen < k ? n_chosen++ : k - 1;
        for (; rank > 0 && best[rank - 1] < value; --rank) {
          best[rank] = best[rank - 1];
          ids[rank] = ids[rank - 1];
        }
        best[rank] = value;
        ids[rank] = i;
        if (n_chosen == k) threshold = best[k - 1];
      }
    }
    const double log_total = std::log(static_cast<double>(_mm512_reduce_add_ps(total))) +
        static_cast<double>(_mm512_cvtss_f32(top));
    for (int i = 0; i < k; ++i) {
      const bool is_chosen = i < n_chosen;
      log_probs[static_cast<int64_t>(row) * k + i] = is_chosen
          ? static_cast<float>(best[i] - log_total)
          : -std::numeric_limits<float>::infinity();
      if (!is_chosen) ids[i] = 0;
    }
  }
}

}  // extern "C"
