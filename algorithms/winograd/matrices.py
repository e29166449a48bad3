"""The matrices of Winograd's minimal filtering F(m, r), derived exactly from interpolation points.

    y = Aᵀ [(G g) ⊙ (Bᵀ d)],      y[i] = Σ_j d[i + j] · g[j]           0 ≤ i < m, 0 ≤ j < r, α = m + r − 1

Toom-Cook multiplies polynomials by their values at α − 1 points aᵢ and at infinity. The transpose of that algorithm
is a correlation. With f(z) = Π (z − aᵢ) and Nᵢ = f'(aᵢ):

    Aᵀ[i, j] = a_jⁱ                     and at infinity the last unit vector
    G[j, :]  = a_j⁰ … a_j^{r−1} / N_j   and at infinity the last unit vector
    Bᵀ[j, :] = coefficients of f(z) / (z − a_j)    and at infinity those of f(z)

All entries are of type `Fraction`. A test proves the identity over the rationals, on every pair of unit vectors.

Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4; Barabasz et
          al. 2018, "Error analysis and improving the accuracy of Winograd convolution for DNNs", arXiv 1803.10986.

The points of F(4×4, 3×3)
-------------------------
Errors grow with the norms of the three matrices, which depend on the points. `amplification` is the factor. For α = 6
there are five finite points. Largest and root-mean-square error of one tile in float32, in units of
u · Σ_c ‖x_c‖₂ ‖w_c‖₂, over 200 random tiles with C = 64 (`tests/algorithms/test_winograd_matrices.py` measures it
again):

    points              amplification   largest   rms
    0, ±1, ±2                    94.3      6.46   0.59      Lavin's choice: integers, few multiplications
    0, ±1/2, ±2                  36.2      3.51   0.37      pairs of reciprocals
    0, ±7/10, ±3/2               23.1      1.45   0.27      the choice here

Small and near-reciprocal points keep the powers in Aᵀ and the quotients in G near 1. F(2×2, 3×3) with 0, ±1 has
amplification 5.0, and its matrices are so simple that it is exact on small integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod, sqrt

import numpy as np
import numpy.typing as npt

Matrix = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True)
class Transforms:
    """Aᵀ (m, α), G (α, r) and Bᵀ (α, α), exact."""

    a_t: Matrix
    g: Matrix
    b_t: Matrix

    @property
    def m(self) -> int:
        """Outputs of one tile along an axis."""
        return len(self.a_t)

    @property
    def alpha(self) -> int:
        """Inputs of one tile along an axis, and products."""
        return len(self.b_t)

    def amplification(self) -> float:
        """The factor by which independent roundings of the products grow, per unit of ‖d‖₂ ‖g‖₂, in two dimensions.

        |Mⱼ| ≤ ‖Gⱼ‖ ‖g‖ · ‖Bᵀⱼ‖ ‖d‖ (Cauchy–Schwarz) reaches output i by Aᵀ[i, j]. Independent errors add in squares,
        so that one axis gives maxᵢ √Σⱼ (Aᵀ[i,j] ‖Gⱼ‖ ‖Bᵀⱼ‖)², and two axes the square of that.
        """
        reach = [_norm(self.g[j]) * _norm(self.b_t[j]) for j in range(self.alpha)]
        return max(sum((float(a) * b) ** 2 for a, b in zip(row, reach, strict=True)) for row in self.a_t)


def derive(points: Sequence[Fraction], r: int) -> Transforms:
    """The transforms of F(m, r) with m = len(points) + 2 − r, from distinct finite points and infinity."""
    alpha = len(points) + 1
    m = alpha + 1 - r
    slopes = [prod((a - b for b in points if b != a), start=Fraction(1)) for a in points]
    a_t = tuple((*(a**i for a in points), Fraction(i == m - 1)) for i in range(m))
    g = (*(tuple(a**j / slope for j in range(r)) for a, slope in zip(points, slopes, strict=True)), _last_unit(r))
    b_t = (*(_coefficients([b for b in points if b != a], alpha) for a in points), _coefficients(points, alpha))
    return Transforms(a_t, g, b_t)


def as_array(matrix: Matrix, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """The matrix with each entry rounded once; for float32 once more, from float64, which matters once in 2²⁹ cases."""
    return np.array([[float(entry) for entry in row] for row in matrix]).astype(dtype)


def longest_chain(matrix: Matrix) -> int:
    """The largest number of roundings between an element of a vector and an element of the matrix times the vector.

    n products take n − 1 sums. A product is rounded unless it is by a power of two. So is an entry that is not a binary
    number.
    """
    return max(sum(map(bool, row)) - 1 + max(map(_roundings_by, row)) for row in matrix)


def _roundings_by(entry: Fraction) -> int:
    if not _is_power_of_two(entry.denominator):
        return 2
    return int(entry != 0 and not _is_power_of_two(abs(entry.numerator)))


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _coefficients(roots: Sequence[Fraction], size: int) -> tuple[Fraction, ...]:
    """Coefficients of Π (z − root), the constant first, padded with zeros to `size`."""
    polynomial = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *polynomial], [*(-root * term for term in polynomial), Fraction(0)]
        polynomial = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return (*polynomial, *(Fraction(0),) * (size - len(polynomial)))


def _last_unit(size: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(i == size - 1) for i in range(size))


def _norm(row: Sequence[Fraction]) -> float:
    return sqrt(float(sum(entry * entry for entry in row)))


TAPS = 3
F2_POINTS = tuple(map(Fraction, ("0", "1", "-1")))
F4_POINTS = tuple(map(Fraction, ("0", "7/10", "-7/10", "3/2", "-3/2")))  # chosen above
F2, F4 = derive(F2_POINTS, TAPS), derive(F4_POINTS, TAPS)
