#ifndef LOSSD_SWEEP_VECTOR_MATH_H_
#define LOSSD_SWEEP_VECTOR_MATH_H_

#include <cstdint>

#include "lossd/base/vectorized.h"

// Elementary functions in float32 without branches, table or library call, so that loops over them
// become vector code. Each is accurate to a few units in the last place, also relative to small
// results, and NaN in gives NaN out.
namespace lossd {

LOSSD_VECTORIZED uint32_t BitsOf(float x) { return __builtin_bit_cast(uint32_t, x); }
LOSSD_VECTORIZED float FloatOf(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// exp(−a) for a >= 0; at least exp(−87), the least normal number. 2ⁿ × polynomial (Cephes' expf).
LOSSD_VECTORIZED float ExpMinus(float a) {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  // Adding it rounds to an integer, which the low bits then hold.
  constexpr float kRound = 12582912.0F;
  const float x = a > 87.0F ? -87.0F : -a;
  const float rounded = x * kLog2E + kRound;
  const float n = rounded - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const uint32_t exponent = BitsOf(rounded) - BitsOf(kRound);
  return p * FloatOf((exponent + 127) << 23);
}

// log(1 + e) for e in [0, 1]: 2·artanh(e / (2 + e)) by its series.
LOSSD_VECTORIZED float LogOnePlus(float e) {
  const float s = e / (2.0F + e);
  const float q = s * s;
  float p = 1.0F / 15;
  p = p * q + 1.0F / 13;
  p = p * q + 1.0F / 11;
  p = p * q + 1.0F / 9;
  p = p * q + 1.0F / 7;
  p = p * q + 1.0F / 5;
  p = p * q + 1.0F / 3;
  p = p * q + 1.0F;
  return 2.0F * s * p;
}

LOSSD_VECTORIZED float Abs(float x) { return x < 0 ? -x : x; }

// 1 / (1 + exp(−x)).
LOSSD_VECTORIZED float Sigmoid(float x) {
  const float e = ExpMinus(Abs(x));
  return (x < 0 ? e : 1.0F) / (1.0F + e);
}

// Near 0 an odd polynomial (Cephes' tanhf), for (1 − e) / (1 + e) cancels there.
LOSSD_VECTORIZED float Tanh(float x) {
  const float q = x * x;
  float p = -5.70498872745e-3F;
  p = p * q + 2.06390887954e-2F;
  p = p * q - 5.37397155531e-2F;
  p = p * q + 1.33314422036e-1F;
  p = p * q - 3.33332819422e-1F;
  const float small = p * q * x + x;
  const float e = ExpMinus(2.0F * Abs(x));
  const float magnitude = (1.0F - e) / (1.0F + e);
  const float large = x < 0 ? -magnitude : magnitude;
  return Abs(x) < 0.625F ? small : large;
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_VECTOR_MATH_H_
