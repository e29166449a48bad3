"""The fast Fourier transform of one short row by one thread, and of a square tile of rows by a block.

    X[f] = Σ_j x[j] · exp(∓2πi·f·j / L),      0 ≤ f, j < L, L a power of two; − forward, + inverse, without a factor

Layouts   values (L,) in local memory, complex of the accumulating dtype; the rounded twiddle factors exp(−2πi·k / L),
          0 ≤ k < L/2, constant. A tile of real numbers has a spectrum of L rows and L/2 + 1 columns, in shared memory;
          the other columns are the conjugates of these.
Index map a thread has a whole row: log₂L levels of L/2 butterflies over spans of 1, 2, 4, …, L/2. For a tile, a block
          has L threads: threadIdx.x → row i, then column i.
Source    Cooley & Tukey 1965, "An algorithm for the machine calculation of complex Fourier series".
"""

from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from algorithms.correlation import number_of
from convbench.devices import Array
from convbench.problem import Dtype

# the dtype of complex numbers whose parts have an accumulating dtype
COMPLEX = {"float32": "complex64", "float64": "complex128"}


def complex_of(accumulator: Dtype) -> Any:
    """Numba's type for these complex numbers."""
    return number_of(COMPLEX[accumulator])


def bit_reversal(length: int) -> list[int]:
    """The order in which a radix-2 transform of a power of two takes its input."""
    bits = length.bit_length() - 1
    return [int(f"{index:0{bits}b}"[::-1], 2) for index in range(length)]


def twiddle_factors(length: int) -> npt.NDArray[np.complex128]:
    """exp(−2πi·k / length), 0 ≤ k < length / 2, each part rounded once, so that 1 and −i are exact.

    The angle is halved repeatedly, from cos π = −1, with forty digits.
    """
    with localcontext(prec=40):
        size, cosine = 2, Decimal(-1)
        points = [(Decimal(1), Decimal(0))]
        while size < length:
            size, cosine = 2 * size, ((1 + cosine) / 2).sqrt()
            sine = (1 - cosine**2).sqrt()
            odd = [(c * cosine - s * sine, c * sine + s * cosine) for c, s in points]
            points = [point for pair in zip(points, odd, strict=True) for point in pair]
    return np.array([complex(float(c), -float(s)) for c, s in points])


@cache
def make_fft(length: int, accumulator: Dtype) -> Any:
    """A device function: the radix-2 transform of `length` values in place, unscaled in both directions."""
    twiddles = twiddle_factors(length).astype(COMPLEX[accumulator])
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


@cache
def make_tile_transform(length: int, accumulator: Dtype) -> Any:
    """A device function for a block: `values` of thread i hold row i of a tile, and then column i of its spectrum."""
    fft = make_fft(length, accumulator)
    columns = length // 2 + 1

    @cuda.jit(device=True)
    def transform(values: Array, spectrum: Array, i: int) -> None:
        fft(values, False)
        for j in range(columns):
            spectrum[i, j] = values[j]
        cuda.syncthreads()
        if i < columns:
            for j in range(length):
                values[j] = spectrum[j, i]
            fft(values, False)

    return transform


@cache
def make_tile_inverse(length: int, accumulator: Dtype) -> Any:
    """A device function for a block: `values` of thread i hold column i of a spectrum, and then row i of the tile.

    The tile is in the real parts, and L² times too large.
    """
    fft = make_fft(length, accumulator)
    columns = length // 2 + 1

    @cuda.jit(device=True)
    def inverse(values: Array, spectrum: Array, i: int) -> None:
        if i < columns:
            fft(values, True)
            for j in range(length):
                spectrum[j, i] = values[j]
        cuda.syncthreads()
        for j in range(columns):
            values[j] = spectrum[i, j]
        for j in range(columns, length):
            values[j] = spectrum[i, length - j].conjugate()
        fft(values, True)

    return inverse
