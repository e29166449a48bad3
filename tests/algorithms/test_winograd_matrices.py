"""Winograd's matrices satisfy the identity over the rationals, and their points have the smallest measured error."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.winograd.matrices import F2, F2_POINTS, F4_POINTS, Transforms, as_array, derive, longest_chain
from algorithms.winograd.winograd import Winograd2x2, Winograd4x4

CANDIDATES = {
    "0, ±1, ±2": ("0", "1", "-1", "2", "-2"),
    "0, ±1/2, ±2": ("0", "1/2", "-1/2", "2", "-2"),
    "0, ±7/10, ±3/2": ("0", "7/10", "-7/10", "3/2", "-3/2"),
}


def fractions(*words: str) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, words))


def filtered(t: Transforms, d: tuple[Fraction, ...], g: tuple[Fraction, ...]) -> list[Fraction]:
    """Aᵀ[(G g) ⊙ (Bᵀ d)] in exact arithmetic."""
    dot = lambda row, vector: sum(a * b for a, b in zip(row, vector, strict=True))  # noqa: E731
    products = [dot(row_g, g) * dot(row_b, d) for row_g, row_b in zip(t.g, t.b_t, strict=True)]
    return [dot(row, products) for row in t.a_t]


def assert_identity(t: Transforms, r: int) -> None:
    """It is bilinear in d and g: true on every pair of unit vectors, true everywhere."""
    for i in range(t.alpha):
        for j in range(r):
            d = tuple(Fraction(a == i) for a in range(t.alpha))
            g = tuple(Fraction(b == j) for b in range(r))
            assert filtered(t, d, g) == [Fraction(i == p + j) for p in range(t.m)]


@pytest.mark.parametrize("transforms", [Winograd2x2.transforms, Winograd4x4.transforms], ids=["F(2,3)", "F(4,3)"])
def test_the_shipped_matrices_are_a_correlation_over_the_rationals(transforms):
    assert transforms.alpha == transforms.m + 2
    assert_identity(transforms, 3)


@given(st.lists(st.fractions(-3, 3, max_denominator=10), min_size=2, max_size=6, unique=True), st.data())
def test_any_distinct_points_make_a_correlation(points, data):
    r = data.draw(st.integers(1, len(points)))
    assert_identity(derive(points, r), r)


def test_f2_has_the_matrices_of_lavin_and_gray():
    """Their equation 5, up to the signs of rows that cancel in the product."""
    t = Winograd2x2.transforms
    half = Fraction(1, 2)
    assert [[abs(entry) for entry in row] for row in t.a_t] == [[1, 1, 1, 0], [0, 1, 1, 1]]
    assert [[abs(entry) for entry in row] for row in t.g] == [[1, 0, 0], [half] * 3, [half] * 3, [0, 0, 1]]
    assert [[abs(entry) for entry in row] for row in t.b_t] == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]]


def test_f2_needs_the_headroom_that_it_claims():
    """4 for the quarters, times the squared largest row sums of the three matrices, per nine terms."""
    t = Winograd2x2.transforms
    g, b, a = (max(sum(abs(entry) for entry in row) for row in matrix) for matrix in (t.g, t.b_t, t.a_t))
    assert 4 * (g * b * a) ** 2 / 9 == Winograd2x2.error_model.exact_headroom


def test_chains_of_roundings_are_as_long_as_counted_by_hand():
    """F(2,3) multiplies by powers of two alone; 7/10 is rounded itself, 3/2 is not."""
    assert [longest_chain(matrix) for matrix in (F2.b_t, F2.g, F2.a_t)] == [1, 2, 2]
    half, tenths = Fraction(3, 2), Fraction(7, 10)
    zero, one = Fraction(0), Fraction(1)
    assert longest_chain(((one, zero),)) == 0
    assert longest_chain(((zero, half),)) == 1
    assert longest_chain(((tenths, zero),)) == 2
    assert longest_chain(((one, half, zero), (one, one, one))) == 2
    assert longest_chain(((one, half, tenths),)) == 4


def measured_error(points: tuple[Fraction, ...]) -> tuple[float, float]:
    """Largest and rms error of F(4×4, 3×3) in float32, in u · Σ_c ‖x_c‖ ‖w_c‖: 200 random tiles of 64 channels."""
    rng = np.random.default_rng(0)
    t = derive(points, 3)
    a, g, b = (as_array(matrix, np.float32) for matrix in (t.a_t, t.g, t.b_t))
    errors = []
    for _ in range(200):
        d = rng.uniform(-1, 1, (64, 6, 6)).astype(np.float32)
        w = rng.uniform(-1, 1, (64, 3, 3)).astype(np.float32)
        total = np.zeros((6, 6), np.float32)
        for product in (g @ w @ g.T) * (b @ d @ b.T):
            total = total + product
        windows = np.lib.stride_tricks.sliding_window_view(d.astype(np.float64), (3, 3), axis=(1, 2))
        exact = np.einsum("cijrs,crs->ij", windows, w.astype(np.float64))
        size = sum(np.linalg.norm(x) * np.linalg.norm(y) for x, y in zip(d.astype(float), w.astype(float), strict=True))
        errors.append(np.abs(a @ total @ a.T - exact) / size * 2**24)
    return float(np.max(errors)), float(np.sqrt(np.mean(np.square(errors))))


def test_the_chosen_points_have_the_least_error():
    """The table in `algorithms.winograd.matrices`, measured again; sums in other orders may move the last digit."""
    documented = {
        "0, ±1, ±2": (94.3, 6.46, 0.59),
        "0, ±1/2, ±2": (36.2, 3.51, 0.37),
        "0, ±7/10, ±3/2": (23.1, 1.45, 0.27),
    }
    measured = {}
    for name, words in CANDIDATES.items():
        points = fractions(*words)
        amplification, (largest, rms) = derive(points, 3).amplification(), measured_error(points)
        measured[name] = (amplification, largest, rms)
        written = documented[name]
        assert round(amplification, 1) == written[0]
        assert written[1] / 1.5 < largest < written[1] * 1.5
        assert written[2] / 1.2 < rms < written[2] * 1.2
    chosen = next(name for name, words in CANDIDATES.items() if fractions(*words) == F4_POINTS)
    for column in range(3):
        assert min(measured, key=lambda name: measured[name][column]) == chosen
    assert derive(F2_POINTS, 3).amplification() == pytest.approx(5.0, rel=2**-50)
