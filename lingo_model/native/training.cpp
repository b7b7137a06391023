// The inner loops of a training step for x86 with AVX-512 and bfloat16: matrix products of bfloat16
// with float32 sums, the forward and backward pass of LSTM layers, and the cross-entropy.
//
// The interface is plain C for ctypes, as in kernels.cpp. The functions here check nothing.
// ../kernels/training.py, the only caller, checks the type, shape and layout of every tensor.
// Nobody checks the values of target ids. The code uses one thread, as a training worker does.
//
// A packed matrix [K, N] lies in panels of 64 columns. For each pair of rows of K a panel has 64
// words of four bytes, one per column, with zeros beyond N and K. The right side of a product is
// packed. The left side is plain rows, or packed, in which case its columns are the product's rows.
//
// kernels.cpp has a tile of its own: it broadcasts rows by pointer, in three number formats. The
// tile here strides through a matrix that may be packed.

#include "vectors.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

namespace {

// Pairs of K of one panel that stay in the second-level cache while all rows use them.
constexpr int kBlockPairs = 1024;

// ---- Packing -----------------------------------------------------------------------------------

inline __m512i words_of(const float* low, const float* high, __mmask16 lanes) {
  const __m512i l =
      _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, low)));
  const __m512i h =
      _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, high)));
  return _mm512_or_si512(l, _mm512_slli_epi32(h, 16));
}

inline __m512i words_of(const uint16_t* low, const uint16_t* high, __mmask16 lanes) {
  const __m512i l = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, low));
  const __m512i h = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, high));
  return _mm512_or_si512(l, _mm512_slli_epi32(h, 16));
}

// Pack [K, N]. The two values of a pair come from two rows.
template <class Element>
void pack_down(int64_t k, int64_t n, const Element* from, int64_t stride, int32_t* to) {
  const int64_t n_panels = (n + kPanel - 1) / kPanel;
  const int64_t n_pairs = (k + 1) / 2;
  for (int64_t pair = 0; pair < n_pairs; ++pair) {
    const Element* low = from + 2 * pair * stride;
    const bool alone = 2 * pair + 1 == k;
    const Element* high = alone ? low : low + stride;
    for (int64_t panel = 0; panel < n_panels; ++panel) {
      int32_t* out = to + (panel * n_pairs + pair) * kPanel;
      for (int v = 0; v < kVectors; ++v) {
        const int64_t column = panel * kPanel + v * kLanes;
        __m512i words = words_of(low + column, high + column, first_lanes(n - column));
        if (alone) words = _mm512_and_si512(words, _mm512_set1_epi32(0xFFFF));
        _mm512_storeu_si512(out + v * kLanes, words);
      }
    }
  }
}

inline void transpose16(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
  }
}

// Pack the transpose of float32 [N, K]. The two values of a pair come from one row. In a panel of
// an LSTM layer's gates the four vectors are the gates i, f, g, o of 16 units, so that the four
// gates of a cell are in the same tile.
void pack_across(int64_t n, int64_t k, bool gates, const float* from, int32_t* to) {
  const int64_t n_pairs = (k + 1) / 2;
  const int64_t hidden = n / kVectors;
  const int64_t n_panels = gates ? (hidden + kLanes - 1) / kLanes : (n + kPanel - 1) / kPanel;
  for (int64_t panel = 0; panel < n_panels; ++panel) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t first = gates ? v * hidden + panel * kLanes : panel * kPanel + v * kLanes;
      const int64_t n_rows = gates ? hidden - panel * kLanes : n - first;
      int32_t* out = to + panel * n_pairs * kPanel + v * kLanes;
      for (int64_t pair = 0; pair < n_pairs; pair += kLanes) {
        const __mmask16 low = first_lanes(k - 2 * pair);
        const __mmask16 high = first_lanes(k - 2 * pair - kLanes);
        __m512i words[16];
        for (int row = 0; row < kLanes; ++row) {
          if (row >= n_rows) {
            words[row] = _mm512_setzero_si512();
            continue;
          }
          const float* x = from + (first + row) * k + 2 * pair;
          words[row] = (__m512i)_mm512_cvtne2ps_pbh(
              _mm512_maskz_loadu_ps(high, x + kLanes), _mm512_maskz_loadu_ps(low, x));
        }
        transpose16(words);
        const int64_t n_here = n_pairs - pair < kLanes ? n_pairs - pair : kLanes;
        for (int64_t i = 0; i < n_here; ++i) {
          _mm512_storeu_si512(out + (pair + i) * kPanel, words[i]);
        }
      }
    }
  }
}

// ---- Products ----------------------------------------------------------------------------------

// The left side of a product. Word (row, pair) is first[row * row_stride + pair * pair_stride].
struct Left {
  const int32_t* first;
  int64_t row_stride, pair_stride;

  Left at(int64_t row, int64_t pair) const {
    return {first + row * row_stride + pair * pair_stride, row_stride, pair_stride};
  }
};

template <int kRows, std::size_t... i, std::size_t... row, class Finish>
inline __attribute__((always_inline)) void tile(
    const Left& left, int64_t n_pairs, const int32_t* packed, int64_t first_row, int64_t panel,
    Finish& finish, std::index_sequence<i...>, std::index_sequence<row...>) {
  __m512 sum[kRows * kVectors] = {((void)i, _mm512_setzero_ps())...};
  const int32_t* x = left.first;
  const int64_t row_stride = left.row_stride;
  for (int64_t pair = 0; pair < n_pairs; ++pair, packed += kPanel, x += left.pair_stride) {
    const __m512i w[kVectors] = {
        _mm512_loadu_si512(packed), _mm512_loadu_si512(packed + kLanes),
        _mm512_loadu_si512(packed + 2 * kLanes), _mm512_loadu_si512(packed + 3 * kLanes)};
    ((sum[i] = _mm512_dpbf16_ps(
          sum[i], (__m512bh)_mm512_set1_epi32(x[(i / kVectors) * row_stride]),
          (__m512bh)w[i % kVectors])),
     ...);
  }
  (finish(first_row + static_cast<int64_t>(row), panel, &sum[row * kVectors]), ...);
}

template <int kRows, class Finish>
void tile(
    const Left& left, int64_t n_pairs, const int32_t* packed, int64_t first_row, int64_t panel,
    Finish& finish) {
  tile<kRows>(
      left, n_pairs, packed, first_row, panel, finish,
      std::make_index_sequence<kRows * kVectors>{}, std::make_index_sequence<kRows>{});
}

// The product of n_rows rows with one panel.
template <class Finish>
void panel_product(
    const Left& left, int64_t n_rows, int64_t n_pairs, const int32_t* packed, int64_t first_row,
    int64_t panel, Finish& finish) {
  int64_t row = 0;
  for (; row + kTileRows <= n_rows; row += kTileRows) {
    tile<kTileRows>(left.at(row, 0), n_pairs, packed, first_row + row, panel, finish);
  }
  const Left rest = left.at(row, 0);
  switch (n_rows - row) {
    case 5: tile<5>(rest, n_pairs, packed, first_row + row, panel, finish); break;
    case 4: tile<4>(rest, n_pairs, packed, first_row + row, panel, finish); break;
    case 3: tile<3>(rest, n_pairs, packed, first_row + row, panel, finish); break;
    case 2: tile<2>(rest, n_pairs, packed, first_row + row, panel, finish); break;
    case 1: tile<1>(rest, n_pairs, packed, first_row + row, panel, finish); break;
    default: break;
  }
}

// out = product + start, where start is the old value of out if add, else the bias, else 0. With
// out_bf16 the result goes there in bfloat16 and not to out.
struct ToMatrix {
  int64_t n;
  const float* bias;
  bool add;
  float* out;
  uint16_t* out_bf16;

  void operator()(int64_t row, int64_t panel, const __m512* sum) const {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int64_t column = panel * kPanel + v * kLanes;
      const __mmask16 lanes = first_lanes(n - column);
      if (lanes == 0) return;
      __m512 y = sum[v];
      if (add) {
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, out + row * n + column));
      } else if (bias != nullptr) {
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, bias + column));
      }
      if (out_bf16 != nullptr) {
        store_bf16(out_bf16 + row * n + column, lanes, y);
      } else {
        _mm512_mask_storeu_ps(out + row * n + column, lanes, y);
      }
    }
  }
};

// c' = sigmoid(f) c + sigmoid(i) tanh(g) and h = sigmoid(o) tanh(c')
struct TrainedCell {
  int64_t hidden_dim;
  const float* cell_before;
  float *gates, *cell;
  uint16_t* hidden;

  void operator()(int64_t row, int64_t panel, const __m512* sum) const {
    const int64_t unit = panel * kLanes;
    const __mmask16 lanes = first_lanes(hidden_dim - unit);
    const int64_t at = row * hidden_dim + unit;
    float* y = gates + 4 * row * hidden_dim + unit;
    __m512 x[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      x[v] = _mm512_add_ps(sum[v], _mm512_maskz_loadu_ps(lanes, y + v * hidden_dim));
    }
    const __m512 i = sigmoid16(x[0]);
    const __m512 f = sigmoid16(x[1]);
    const __m512 g = tanh16(x[2]);
    const __m512 o = sigmoid16(x[3]);
    const __m512 c = _mm512_fmadd_ps(
        f, _mm512_maskz_loadu_ps(lanes, cell_before + at), _mm512_mul_ps(i, g));
    _mm512_mask_storeu_ps(y, lanes, i);
    _mm512_mask_storeu_ps(y + hidden_dim, lanes, f);
    _mm512_mask_storeu_ps(y + 2 * hidden_dim, lanes, g);
    _mm512_mask_storeu_ps(y + 3 * hidden_dim, lanes, o);
    _mm512_mask_storeu_ps(cell + at, lanes, c);
    store_bf16(hidden + at, lanes, _mm512_mul_ps(o, tanh16(c)));
  }
};

}  // namespace

extern "C" {

void lingo_pack_down_float32(int64_t k, int64_t n, const float* from, int32_t* to) {
  pack_down(k, n, from, n, to);
}

void lingo_pack_down_bfloat16(int64_t k, int64_t n, const uint16_t* from, int32_t* to) {
  pack_down(k, n, from, n, to);
}

void lingo_pack_across(int64_t n, int64_t k, int32_t gates, const float* from, int32_t* to) {
  pack_across(n, k, gates != 0, from, to);
}

// out [m, n] = left right (+ bias). The result is bfloat16 if out_bf16 is not null, else float32;
// out is needed for the sums of a long k, too. left is bfloat16 [m, k] with even k or, if
// left_is_packed, packed [k, m]. right is packed [k, n].
void lingo_product(
    int64_t m, int64_t n, int64_t k, const int32_t* left, int32_t left_is_packed,
    const int32_t* right, const float* bias, float* out, uint16_t* out_bf16) {
  const int64_t n_pairs = (k + 1) / 2;
  const int64_t n_panels = (n + kPanel - 1) / kPanel;
  for (int64_t pair = 0; pair < n_pairs; pair += kBlockPairs) {
    const int64_t n_here = n_pairs - pair < kBlockPairs ? n_pairs - pair : kBlockPairs;
    ToMatrix finish{n, bias, pair > 0, out, n_pairs - pair <= kBlockPairs ? out_bf16 : nullptr};
    if (left_is_packed == 0) {
      const Left rows{left, n_pairs, 1};
      for (int64_t panel = 0; panel < n_panels; ++panel) {
        panel_product(
            rows.at(0, pair), m, n_here, right + (panel * n_pairs + pair) * kPanel, 0, panel,
            finish);
      }
      continue;
    }
    for (int64_t row = 0; row < m; row += kPanel) {
      const Left rows{left + row * n_pairs, 1, kPanel};
      const int64_t n_rows = m - row < kPanel ? m - row : kPanel;
      for (int64_t panel = 0; panel < n_panels; ++panel) {
        panel_product(
            rows.at(0, pair), n_rows, n_here, right + (panel * n_pairs + pair) * kPanel, row, panel,
            finish);
      }
    }
  }
}

// One LSTM layer over n_steps steps. Step t has the first n_rows[t] of B = n_rows[0] rows. N tokens
// lie step by step. gates [N, 4 H] has the input-side sums before the call and the gates i, f, g, o
// after it. cell (float32) and hidden (bfloat16) [B + N, H] begin with the first state. packed is
// the recurrent weights [H, 4 H], packed by gates.
void lingo_lstm_forward(
    int64_t n_steps, const int64_t* n_rows, int64_t hidden_dim, const int32_t* packed, float* gates,
    float* cell, uint16_t* hidden) {
  const int64_t n_pairs = hidden_dim / 2;
  const int64_t n_panels = (hidden_dim + kLanes - 1) / kLanes;
  for (int64_t step = 0; step < n_steps; ++step) {
    const int64_t next = n_rows[step > 0 ? step - 1 : 0] * hidden_dim;
    const Left rows{reinterpret_cast<const int32_t*>(hidden), n_pairs, 1};
    TrainedCell finish{hidden_dim, cell, gates, cell + next, hidden + next};
    for (int64_t panel = 0; panel < n_panels; ++panel) {
      panel_product(
          rows, n_rows[step], n_pairs, packed + panel * n_pairs * kPanel, 0, panel, finish);
    }
    cell += next;
    hidden += next;
    gates += 4 * n_rows[step] * hidden_dim;
  }
}

// The backward pass of the same layer. d_hidden (bfloat16) and d_cell (float32, null for zeros) [N,
// H] are the gradients of the outputs. d_gates (bfloat16) [N, 4 H] receives the gradients of the
// gates' sums. d_first_hidden and d_first_cell (float32) [B, H] are zero before the call and the
// gradients of the first state after it. packed is the recurrent weights [4 H, H].
void lingo_lstm_backward(
    int64_t n_steps, const int64_t* n_rows, int64_t hidden_dim, const int32_t* packed,
    const float* gates, const float* cell, const uint16_t* d_hidden, const float* d_cell,
    uint16_t* d_gates, float* d_first_hidden, float* d_first_cell) {
  const int64_t h = hidden_dim;
  const int64_t n_pairs = 2 * h;
  const int64_t n_panels = (h + kPanel - 1) / kPanel;
  int64_t token = 0;  // first token of the step
  for (int64_t step = 0; step < n_steps; ++step) token += n_rows[step];
  for (int64_t step = n_steps - 1; step >= 0; --step) {
    token -= n_rows[step];
    const float* cell_after = cell + (n_rows[0] + token) * h;
    const float* cell_before = cell_after - n_rows[step > 0 ? step - 1 : 0] * h;
    for (int64_t row = 0; row < n_rows[step]; ++row) {
      const float* y = gates + (token + row) * 4 * h;
      uint16_t* dx = d_gates + (token + row) * 4 * h;
      for (int64_t unit = 0; unit < h; unit += kLanes) {
        const __mmask16 lanes = first_lanes(h - unit);
        const int64_t at = row * h + unit;
        const __m512 i = _mm512_maskz_loadu_ps(lanes, y + unit);
        const __m512 f = _mm512_maskz_loadu_ps(lanes, y + h + unit);
        const __m512 g = _mm512_maskz_loadu_ps(lanes, y + 2 * h + unit);
        const __m512 o = _mm512_maskz_loadu_ps(lanes, y + 3 * h + unit);
        const __m512 c0 = _mm512_maskz_loadu_ps(lanes, cell_before + at);
        const __m512 tanh_c = tanh16(_mm512_maskz_loadu_ps(lanes, cell_after + at));
        const __m512 dh = _mm512_add_ps(
            load_bf16(d_hidden + token * h + at, lanes),
            _mm512_maskz_loadu_ps(lanes, d_first_hidden + at));
        __m512 dc = _mm512_maskz_loadu_ps(lanes, d_first_cell + at);
        if (d_cell != nullptr) {
          dc = _mm512_add_ps(dc, _mm512_maskz_loadu_ps(lanes, d_cell + token * h + at));
        }
        dc = _mm512_fmadd_ps(_mm512_mul_ps(dh, o), tanh_slope16(tanh_c), dc);
        uint16_t* to = dx + unit;
        store_bf16(to, lanes, _mm512_mul_ps(_mm512_mul_ps(dc, g), sigmoid_slope16(i)));
        store_bf16(to + h, lanes, _mm512_mul_ps(_mm512_mul_ps(dc, c0), sigmoid_slope16(f)));
        store_bf16(to + 2 * h, lanes, _mm512_mul_ps(_mm512_mul_ps(dc, i), tanh_slope16(g)));
        store_bf16(to + 3 * h, lanes, _mm512_mul_ps(_mm512_mul_ps(dh, tanh_c), sigmoid_slope16(o)));
        _mm512_mask_storeu_ps(d_first_cell + at, lanes, _mm512_mul_ps(dc, f));
      }
    }
    const Left rows{reinterpret_cast<const int32_t*>(d_gates + token * 4 * h), n_pairs, 1};
    for (int64_t block = 0; block < n_pairs; block += kBlockPairs) {
      const int64_t n_here = n_pairs - block < kBlockPairs ? n_pairs - block : kBlockPairs;
      ToMatrix finish{h, nullptr, block > 0, d_first_hidden, nullptr};
      for (int64_t panel = 0; panel < n_panels; ++panel) {
        panel_product(
            rows.at(0, block), n_rows[step], n_here, packed + (panel * n_pairs + block) * kPanel, 0,
            panel, finish);
      }
    }
  }
}

// Cross-entropy (nats) of logits (bfloat16) [m, n], summed over rows. log_sum (float32) [m]
// receives the log of the sum of exp of each row. Label smoothing spreads `smoothing` evenly over
// all n.
void lingo_cross_entropy(
    int64_t m, int64_t n, const uint16_t* logits, const int64_t* targets, float smoothing,
    float* log_sum, double* loss) {
  double total = 0.0;
  for (int64_t row = 0; row < m; ++row) {
    const uint16_t* x = logits + row * n;
    __m512 highest = _mm512_set1_ps(-1e30F);
    __m512 all = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += kLanes) {
      const __mmask16 lanes = first_lanes(n - i);
      const __m512 logit = load_bf16(x + i, lanes);
      highest = _mm512_mask_max_ps(highest, lanes, highest, logit);
      all = _mm512_add_ps(all, logit);
    }
    const float top = _mm512_reduce_max_ps(highest);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += kLanes) {
      const __mmask16 lanes = first_lanes(n - i);
      sum = _mm512_mask_add_ps(
          sum, lanes, sum,
          exp_of_negative16(_mm512_sub_ps(load_bf16(x + i, lanes), _mm512_set1_ps(top))));
    }
    const double log_total = std::log(static_cast<double>(_mm512_reduce_add_ps(sum))) + top;
    const double mean = static_cast<double>(_mm512_reduce_add_ps(all)) / static_cast<double>(n);
    const double target = _mm512_cvtss_f32(load_bf16(x + targets[row], 1));
    log_sum[row] = static_cast<float>(log_total);
    total += log_total - (1.0 - smoothing) * target - smoothing * mean;
  }
  *loss = total;
}

// d_logits (bfloat16) = scale times the gradient of the same cross-entropy.
void lingo_cross_entropy_backward(
    int64_t m, int64_t n, const uint16_t* logits, const int64_t* targets, float smoothing,
    float scale, const float* log_sum, uint16_t* d_logits) {
  const __m512 scales = _mm512_set1_ps(scale);
  const __m512 share = _mm512_set1_ps(smoothing / static_cast<float>(n));
  for (int64_t row = 0; row < m; ++row) {
    const uint16_t* x = logits + row * n;
    uint16_t* dx = d_logits + row * n;
    const __m512 log_total = _mm512_set1_ps(log_sum[row]);
    const auto gradient = [&](int64_t i, __mmask16 lanes) {
      return _mm512_sub_ps(
          exp_of_negative16(_mm512_sub_ps(load_bf16(x + i, lanes), log_total)), share);
    };
    for (int64_t i = 0; i < n; i += kLanes) {
      const __mmask16 lanes = first_lanes(n - i);
      store_bf16(dx + i, lanes, _mm512_mul_ps(scales, gradient(i, lanes)));
    }
    const int64_t target = targets[row];
    store_bf16(
        dx + target, 1,
        _mm512_mul_ps(
            scales, _mm512_sub_ps(gradient(target, 1), _mm512_set1_ps(1.0F - smoothing))));
  }
}

// sums (float32) [n] = column sums of a bfloat16 matrix [m, n].
void lingo_column_sums(int64_t m, int64_t n, const uint16_t* from, float* sums) {
  std::memset(sums, 0, static_cast<std::size_t>(n) * sizeof(float));
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t i = 0; i < n; i += kLanes) {
      const __mmask16 lanes = first_lanes(n - i);
      _mm512_mask_storeu_ps(
          sums + i, lanes,
          _mm512_add_ps(
              _mm512_maskz_loadu_ps(lanes, sums + i), load_bf16(from + row * n + i, lanes)));
    }
  }
}

}  // extern "C"
