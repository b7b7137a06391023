// Elementary functions and conversions of 16 float32 values, shared by the kernels.

#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

constexpr int kLanes = 16;
constexpr int kVectors = 4;                    // registers across a panel
constexpr int kPanel = kLanes * kVectors;      // outputs in a panel
constexpr int kTileRows = 6;                   // 6 x 4 sums and 4 weights fit in 32 registers

// 2^x for x in [-126, 127], with a relative error below 3e-7 and no error at 0. The result is the
// power of the nearest whole number times a polynomial of the remainder (fitted on [-1/2, 1/2]).
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

// In the functions below the bound is the first argument of min and max: if one argument is a NaN,
// they return the second one.

// exp(x) for x <= 0. Values below -87 give exp(-87).
inline __m512 exp_of_negative16(__m512 x) {
  return exp2_16(_mm512_max_ps(
      _mm512_set1_ps(-126.0F), _mm512_mul_ps(x, _mm512_set1_ps(kLog2E))));
}

// exp(-scale x), bounded so that a product of three such values is finite.
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

// Slope of a sigmoid with value y: y (1 - y).
inline __m512 sigmoid_slope16(__m512 y) { return _mm512_fnmadd_ps(y, y, y); }

// Slope of a tanh with value y: 1 - y^2.
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
