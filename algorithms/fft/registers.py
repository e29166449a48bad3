"""Fast Fourier transforms of one short column by one thread, in registers, for complex and for real numbers.

    X[f] = Σ_j x[j] · exp(−2πi·f·j / L),      0 ≤ f, j < L, L a power of two
    of real x, by z[j] = x[2j] + i·x[2j+1] and Z = F(z) of L/2 points:
    X[f] = E[f] + ω^f·O[f],  E = (Z[f] + conj Z[L/2−f]) / 2,  O = (Z[f] − conj Z[L/2−f]) / 2i,  ω = exp(−2πi / L)

Layouts   real and imaginary parts (L,) in local memory. Every index is a constant once the compiler has unrolled the
          loops, so that the parts are in registers. The spectrum of real numbers is (L/2,): f = 0 holds
          X[0] + i·X[L/2], which are both real, and the others hold X[f], whose conjugates are X[L−f].
Index map a thread has a whole column: log₂L levels of L/2 butterflies over spans of 1, 2, 4, …, L/2; the factors 1 and
          −i take no product, because a compiler may not leave out a product with 0.
Inverse   exchange the real and imaginary parts of the input and of the output. The result is L times the inverse.
Source    Cooley & Tukey 1965, "An algorithm for the machine calculation of complex Fourier series"; Press et al. 2007,
          "Numerical recipes", 3rd edition, §12.3 (real numbers).
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32

from algorithms.fft.radix2 import bit_reversal, twiddle_factors
from convbench.devices import Array
from convbench.intrinsics import static, unrolled


@cache
def make_fft(length: int) -> Any:
    """A device function: the transform of `length` complex numbers in place, both in their natural order."""
    factors = twiddle_factors(length)
    real_factors, imaginary_factors = factors.real.astype(np.float32), factors.imag.astype(np.float32)
    order = np.array(bit_reversal(length), np.int32)
    levels = length.bit_length() - 1

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def fft(re: Array, im: Array) -> None:
        cosines = cuda.const.array_like(real_factors)
        sines = cuda.const.array_like(imaginary_factors)
        places = cuda.const.array_like(order)
        for a in range(length):
            if a < places[a]:
                re[a], re[places[a]] = re[places[a]], re[a]
                im[a], im[places[a]] = im[places[a]], im[a]
        # both loops have a known number of steps, so that the compiler unrolls them
        for level in static(levels):
            for pair in range(length // 2):
                i = pair & ((1 << level) - 1)
                p = 2 * pair - i
                q = p + (1 << level)
                a_re, a_im, b_re, b_im = re[p], im[p], re[q], im[q]
                if i == 0:  # by 1
                    turned_re, turned_im = b_re, b_im
                elif 2 * i == 1 << level:  # by −i
                    turned_re, turned_im = b_im, -b_re
                else:
                    c, s = cosines[i << (levels - 1 - level)], sines[i << (levels - 1 - level)]
                    turned_re, turned_im = b_re * c - b_im * s, b_re * s + b_im * c
                re[p], im[p], re[q], im[q] = a_re + turned_re, a_im + turned_im, a_re - turned_re, a_im - turned_im

    return fft


@cache
def make_real_split(length: int) -> Any:
    """A device function: from Z to the spectrum of the `length` real numbers in z, in place."""
    factors, half = twiddle_factors(length), length // 2
    # halved, which is exact, because E and O are half of sums
    real_factors, imaginary_factors = (
        (part / 2).astype(np.float32) for part in (factors.imag, -factors.real)
    )  # of ω^f / 2i

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def split(re: Array, im: Array) -> None:
        cosines = cuda.const.array_like(real_factors)
        sines = cuda.const.array_like(imaginary_factors)
        re[0], im[0] = re[0] + im[0], re[0] - im[0]
        im[half // 2] = -im[half // 2]  # ω^f is −i there
        for f in range(1, half // 2):
            even_re, even_im = (re[f] + re[half - f]) * float32(0.5), (im[f] - im[half - f]) * float32(0.5)
            odd_re, odd_im = re[f] - re[half - f], im[f] + im[half - f]
            turned_re, turned_im = odd_re * cosines[f] - odd_im * sines[f], odd_re * sines[f] + odd_im * cosines[f]
            re[f], im[f] = even_re + turned_re, even_im + turned_im
            re[half - f], im[half - f] = even_re - turned_re, turned_im - even_im

    return split


@cache
def make_real_join(length: int) -> Any:
    """A device function: from a spectrum of `length` real numbers to 2·Z, in place."""
    factors, half = twiddle_factors(length), length // 2
    real_factors, imaginary_factors = factors.imag.astype(np.float32), factors.real.astype(np.float32)  # of i·ω^−f

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def join(re: Array, im: Array) -> None:
        cosines = cuda.const.array_like(real_factors)
        sines = cuda.const.array_like(imaginary_factors)
        re[0], im[0] = re[0] + im[0], re[0] - im[0]
        re[half // 2], im[half // 2] = re[half // 2] * float32(2), im[half // 2] * float32(-2)
        for f in range(1, half // 2):
            even_re, even_im = re[f] + re[half - f], im[f] - im[half - f]
            odd_re, odd_im = re[f] - re[half - f], im[f] + im[half - f]
            turned_re, turned_im = odd_re * cosines[f] - odd_im * sines[f], odd_re * sines[f] + odd_im * cosines[f]
            re[f], im[f] = even_re + turned_re, even_im + turned_im
            re[half - f], im[half - f] = even_re - turned_re, turned_im - even_im

    return join
