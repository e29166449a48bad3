"""The comparison must be able to fail; the data must be what they claim; the bounds must reject what is too far off."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import problems, problems_for, seeds

from convbench import registry
from convbench.data import integer_tensors, random_tensors
from convbench.error_model import ErrorModel, dot_product_growth, roundings
from convbench.errors import ConfigError
from convbench.notation import parse
from convbench.problem import ConvProblem
from convbench.reference import convolve
from convbench.verify import Case, compare, digest_of

Y = np.arange(1.0, 25.0).reshape(1, 2, 3, 4)


def test_equal_arrays_pass_with_no_bound_at_all():
    verdict = compare(actual=Y.copy(), expected=Y, bound=0.0)
    assert verdict.passed
    assert (verdict.compared, verdict.wrong, verdict.fraction) == (24, 0, 0.0)


@pytest.mark.parametrize("index", [(0, 0, 0, 0), (0, 1, 2, 3), (0, 1, 0, 2)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_one_wrong_element_fails_and_is_named(index, value):
    actual = Y.copy()
    actual[index] = value
    verdict = compare(actual=actual, expected=Y, bound=0.5)
    assert not verdict.passed
    assert verdict.wrong == 1
    assert verdict.worst_index == index
    for part in ("y[" + ",".join(map(str, index)) + "]", repr(float(value)), repr(float(Y[index])), "1 of 24"):
        assert part in str(verdict)


def test_a_transposed_a_shifted_and_a_zero_result_fail():
    square = np.arange(16.0).reshape(1, 1, 4, 4)
    for actual in (square.swapaxes(2, 3), np.roll(square, 1, axis=3), np.zeros_like(square)):
        assert not compare(actual=actual, expected=square, bound=0.5).passed


@given(st.floats(0, 3), st.floats(0.25, 2))
def test_the_fraction_is_the_distance_in_bounds(distance, bound):
    verdict = compare(actual=Y + distance, expected=Y, bound=bound)
    exact = np.abs(Y + distance - Y).max() / bound
    assert verdict.fraction == exact
    assert verdict.passed == (exact <= 1)


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (1, 0, 3, 4)])
def test_comparing_nothing_is_an_error(shape):
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(actual=np.empty(shape), expected=np.empty(shape), bound=1.0)


def test_comparing_two_shapes_is_an_error():
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(actual=Y, expected=Y[0], bound=1.0)


@given(problems(), seeds, st.sampled_from((1, 36, 2**16)))
def test_integers_leave_room_for_every_intermediate(problem, seed, headroom):
    t = integer_tensors(problem, seed, headroom=headroom)
    for array in (t.x, t.w, t.bias):
        if array is not None:
            assert (array == np.rint(array)).all()
    filters = np.abs(t.w.astype(np.float64)).reshape(problem.k, -1)
    largest = np.count_nonzero(filters, axis=1).max() * np.abs(t.x).max() * filters.max()
    largest += 0 if t.bias is None else np.abs(t.bias).max()
    assert headroom * largest <= 2**24
    assert (t.x != 0).all(), "a missed element must show"


def test_filters_of_too_many_terms_are_thinned_out():
    problem = parse("n1c2048h1w1-k3r1s1")
    t = integer_tensors(problem, 0, headroom=2**14)
    assert (np.count_nonzero(t.w.reshape(3, -1), axis=1) == 64).all()
    assert np.abs(t.x).max() == 16


@given(problems(), seeds)
def test_data_depend_on_problem_and_seed_alone(problem, seed):
    for make in (random_tensors, integer_tensors):
        a, b, other = make(problem, seed), make(problem, seed), make(problem, seed + 1)
        assert digest_of(a.x) == digest_of(b.x)
        assert digest_of(a.w) == digest_of(b.w)
        assert a.x.dtype == problem.dtype
        if a.x.size > 8:
            assert digest_of(a.x) != digest_of(other.x)


@given(problems(), seeds)
def test_random_data_use_all_significand_bits(problem, seed):
    x = random_tensors(problem, seed).x
    assert np.abs(x).max() <= 1
    if x.size > 20:
        assert (x.view(np.uint32) & 0xFF).any(), "the low bits are all zero"


@given(problems(), seeds)
def test_float32_and_float64_products_stay_within_the_bound(problem, seed):
    """A plain float32 sum in another order than any kernel's: what the bound must never reject."""
    t = random_tensors(problem, seed)
    expected = convolve(problem, t.x, t.w, t.bias)
    sums = np.zeros(problem.y_shape, np.float32)
    one = ConvProblem(c=1, h=problem.h, w=problem.w, k=1, r=problem.r, s=problem.s,
                      stride=problem.stride, padding=problem.padding, dilation=problem.dilation)  # fmt: skip
    per_group = problem.c // problem.groups
    for n, k, c in np.ndindex(problem.n, problem.k, per_group):
        channel = k // (problem.k // problem.groups) * per_group + c
        part = convolve(one, t.x[n, channel][None, None], t.w[k, c][None, None])[0, 0]
        sums[n, k] += part.astype(np.float32)
    if t.bias is not None:
        sums += t.bias.reshape(1, -1, 1, 1)
    bound = ErrorModel().bound(problem, t.x, t.w, t.bias, expected=expected)
    assert compare(actual=sums, expected=expected, bound=bound).passed


@pytest.mark.parametrize("terms", [64, 576, 2304])
def test_rounding_the_inputs_to_half_or_tf32_is_beyond_the_bound(terms):
    """What a faster and less precise unit would do must not pass for float32."""
    problem = ConvProblem(n=4, c=terms, h=8, w=8, k=16, r=1, s=1)
    t = random_tensors(problem, 3)
    expected = convolve(problem, t.x, t.w)
    bound = ErrorModel().bound(problem, t.x, t.w, None, expected=expected)
    for bits in (10, 10 - 3):  # TF32 and float16 keep 10 bits of the significand, bfloat16 keeps 7
        mask = np.uint32((0xFFFFFFFF << (23 - bits)) & 0xFFFFFFFF)
        half = np.uint32(1 << (22 - bits))  # to nearest, and not towards zero
        x, w = (((a.view(np.uint32) + half) & mask).view(np.float32) for a in (t.x, t.w))
        assert not compare(actual=convolve(problem, x, w), expected=expected, bound=bound).passed


@pytest.mark.parametrize("name", registry.names())
def test_one_wrong_tap_is_beyond_every_algorithms_bound(name):
    """A single weight off by a thousandth shows in every algorithm's own model, wherever the tap reads anything.

    With few channels, that is: the bound grows with the sum.
    """
    algorithm = registry.get(name)
    shown = []

    @given(problems_for(name, tiles=None), seeds)
    def law(problem, seed):
        t = random_tensors(problem, seed)
        x = np.copysign((1 + np.abs(t.x)) / 2, t.x)  # at least a half, so that what is read counts
        expected = convolve(problem, x, t.w, t.bias)
        bound = algorithm.error_bound(problem, x, t.w, t.bias, expected=expected)
        assert bound.shape == expected.shape
        off = t.w.copy()
        off.flat[0] += np.float32(0.001)
        wrong = convolve(problem, x, off, t.bias)
        if (wrong != expected).any():
            assert not compare(actual=wrong, expected=expected, bound=bound).passed
            shown.append(problem)

    law()
    assert shown, "no tap read anything"


@pytest.mark.parametrize("headroom", [1, 36])
@pytest.mark.parametrize("terms", [9, 576, 9216, 36864])
def test_rounding_integer_inputs_to_half_or_tf32_shows_at_any_size(terms, headroom):
    problem = ConvProblem(c=terms, h=6, w=6, k=8, r=1, s=1)
    t = integer_tensors(problem, 0, headroom=headroom)
    rounded = t.x.astype(np.float16)
    assert not compare(actual=convolve(problem, rounded, t.w), expected=convolve(problem, t.x, t.w), bound=0.0).passed


def test_growth_is_the_smaller_of_the_two_counts():
    assert roundings(4) == 4
    assert roundings(16) == 16
    assert roundings(100) == 40
    assert dot_product_growth(parse("n1c4h5w5-k1r3s3-bias")) == 4 * 37**0.5


def test_a_case_computes_each_reference_once():
    case = Case(parse("n1c2h5w5-k2r3s3"), 0)
    assert case.random is case.random
    assert case.integers(1) is case.integers(1)
    assert case.integers(1)[0] is not case.integers(36)[0]


def test_a_bound_belongs_to_a_config():
    """A longer transform mixes more of the input, and rounds more often."""
    fft, problem = registry.get("fft_tiled"), parse("n1c1h40w40-k1r3s3")
    x = np.zeros(problem.x_shape, np.float32)
    x[0, 0, 0, 0] = 1
    w = random_tensors(problem, 0).w
    expected = convolve(problem, x, w)
    bounds = {
        config.length: fft.error_bound(problem, x, w, None, expected=expected, config=config)
        for config in fft.configs(problem)
    }
    reached = {length: np.argwhere(bound[0, 0] > 0).max() for length, bound in bounds.items()}
    assert reached == {16: 13, 32: 29}


def test_a_config_of_another_algorithm_is_refused():
    problem = parse("n1c1h5w5-k1r3s3")
    other = registry.get("fft_tiled").configs(problem)[0]
    with pytest.raises(ConfigError, match=r"no config of direct; it takes Config\(threads=256\)"):
        registry.get("direct").resolved(problem, other)
