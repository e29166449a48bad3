"""The fast Fourier transform of one short row, by one thread, in place.

    X[f] = Σ_j x[j] · exp(∓2πi·f·j / L),      0 ≤ f, j < L, L a power of two; − forward, + inverse, without a factor

Layouts   values (L,) in local memory, complex64; the rounded twiddle factors exp(−2πi·k / L), 0 ≤ k < L/2, constant.
Index map none: a thread has the whole row. log₂L levels of L/2 butterflies over spans of 1, 2, 4, …, L/2.
Source    Cooley & Tukey 1965, "An algorithm for the machine calculation of complex Fourier series".
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from convbench.devices.device import Array


def bit_reversal(length: int) -> list[int]:
    """The order in which a radix-2 transform of a power of two takes its input."""
    bits = length.bit_length() - 1
    return [int(f"{index:0{bits}b}"[::-1], 2) for index in range(length)]


@cache
def make_fft(length: int) -> Any:
    """A device function: the radix-2 transform of `length` values in place, unscaled in both directions."""
    twiddles = np.exp(-2j * np.pi * np.arange(length // 2) / length).astype(np.complex64)
    order = np.array(bit_reversal(length), np.int32)

    @cuda.jit(device=True)
    def fft(values: Array, inverse: bool) -> None:
        rotations = cuda.const.array_like(twiddles)
        places = cuda.const.array_like(order)
        for i in range(length):
            if i < places[i]:
                values[i], values[places[i]] = values[places[i]], values[i]
        half = 1
        while half < length:
            for start in range(0, length, 2 * half):
                for i in range(half):
                    rotation = rotations[i * (length // (2 * half))]
                    if inverse:
                        rotation = rotation.conjugate()
                    turned = values[start + half + i] * rotation
                    values[start + half + i] = values[start + i] - turned
                    values[start + i] = values[start + i] + turned
            half *= 2

    return fft
