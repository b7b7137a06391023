// Sixteen float32 at a time: elementary functions and conversions that the kernels share.

#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

constexpr int kLanes = 16;
constexpr int kVectors = 4;                    // registers across a panel
constexpr int kPanel = kLanes * kVectors;      // outputs of a panel
constexpr int kTileRows = 6;                   // 6 x 4 sums fit the 32 registers beside the weights

// 2^x for x in [-126, 127], relative error below 3e-7, exact at 0: the power of the nearest whole
// number times a polynomial of the rest (fitted on [-1/2, 1/2]).
inline __m512 exp2_16(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, 0);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.32647331e-03F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.67151392e-03F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55073358e-02F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40222424e-01F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147004e-01F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.00000000e+00F));
  return _mm512_scalef_ps(p, n);
}

constexpr float kLog2E = 1.44269504F;

// Below, bounds come first: of a bound and a NaN, min and max give the second.

// exp(x) for x of at most 0; what is below -87 counts as -87.
inline __m512 exp_of_negative16(__m512 x) {
  return exp2_16(_mm512_max_ps(
      _mm512_set1_ps(-126.0F), _mm512_mul_ps(x, _mm512_set1_ps(kLog2E))));
}

// exp(-scale x), bounded so that the product of three stays finite.
inline __m512 exp_minus16(__m512 x, float scale) {
  const __m512 bound = _mm512_set1_ps(40.0F);
  x = _mm512_mul_ps(x, _mm512_set1_ps(-scale * kLog2E));
  return exp2_16(_mm512_max_ps(
      _mm512_sub_ps(_mm512_setzero_ps(), bound), _mm512_min_ps(bound, x)));
}

inline __m512 tanh16(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 e = exp_minus16(x, 2.0F);
  return _mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e));
}

inline __m512 sigmoid16(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F);
  return _mm512_div_ps(one, _mm512_add_ps(one, exp_minus16(x, 1.0F)));
}

// y (1 - y), the slope of a sigmoid whose value is y
inline __m512 sigmoid_slope16(__m512 y) { return _mm512_fnmadd_ps(y, y, y); }

// 1 - y^2, the slope of a tanh whose value is y
inline __m512 tanh_slope16(__m512 y) { return _mm512_fnmadd_ps(y, y, _mm512_set1_ps(1.0F)); }

inline __mmask16 first_lanes(int64_t n) {
  if (n <= 0) return 0;
  return n >= kLanes ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << n) - 1U);
}

inline __m512 load_bf16(const uint16_t* from, __mmask16 lanes) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from)), 16));
}

inline void store_bf16(uint16_t* to, __mmask16 lanes, __m512 x) {
  _mm256_mask_storeu_epi16(to, lanes, (__m256i)_mm512_cvtneps_pbh(x));
}

}  // namespace
