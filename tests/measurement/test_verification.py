"""Verification: the comparison can fail, the data are what they claim to be, and the bounds reject wrong results."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.algorithm import registry
from convbench.errors import ConfigError
from convbench.measurement import Case, compare
from convbench.measurement.verification import digest_of
from convbench.problem import DIRECTIONS, ConvProblem
from convbench.problem.notation import parse
from convbench.reference import KINDS, ErrorModel, compute
from convbench.reference.data import FACTOR, LARGEST_EXPONENT, MAP, SIGNIFICAND_BITS, Tensors, tensors
from convbench.reference.definition import convolve
from convbench.reference.error_model import SMALLEST_NORMAL, count_of_sum, roundings, storage_rounding
from support.strategies import any_problems, problems, problems_for, seeds


def uniform(problem: ConvProblem, seed: int) -> Tensors:
    return tensors(problem, "forward", seed, "uniform")


def integers(problem: ConvProblem, seed: int, headroom: int = 1) -> Tensors:
    return tensors(problem, "forward", seed, "integers", headroom=headroom)


def result(problem: ConvProblem, t) -> np.ndarray:
    return compute(problem, "forward", t)["y"]


def bound_of(algorithm_or_model, problem: ConvProblem, t, expected, **options) -> np.ndarray:
    """The bound of y, by an algorithm or by a model of its own."""
    bounds = getattr(algorithm_or_model, "error_bounds", None) or algorithm_or_model.bounds
    return bounds(problem, "forward", t, expected={"y": expected}, **options)["y"]


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


def test_only_the_expected_number_that_is_none_passes():
    """NaN for NaN, an infinity for the same; anything where the algorithm may have spread one, but no number for it."""
    expected = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compare(actual=expected.copy(), expected=expected, bound=0.0).passed
    for index, value in (
        (0, 1.0),
        (0, np.inf),
        (1, -np.inf),
        (1, np.nan),
        (1, 1e308),
        (2, 0.0),
        (3, np.nan),
        (3, np.inf),
    ):
        actual = expected.copy()
        actual[index] = value
        assert not compare(actual=actual, expected=expected, bound=np.inf).passed
        spread = compare(actual=actual, expected=expected, bound=np.inf, free=True)
        assert spread.passed == (not np.isfinite(value))


def test_the_fraction_leaves_out_what_storing_rounds():
    verdict = compare(actual=Y + 0.5, expected=Y, bound=0.75, rounding=0.25)
    assert verdict.passed
    assert verdict.fraction == 0.5
    assert compare(actual=Y + 0.25, expected=Y, bound=0.75, rounding=0.25).fraction == 0.0
    assert not compare(actual=Y + 0.8, expected=Y, bound=0.75, rounding=0.25).passed


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
    t = integers(problem, seed, headroom=headroom)
    for array in t.values():
        assert (array == np.rint(array)).all()
    filters = np.abs(t["w"].astype(np.float64)).reshape(problem.k, -1)
    largest = np.count_nonzero(filters, axis=1).max() * np.abs(t["x"]).max() * filters.max()
    largest += np.abs(t["bias"]).max() if problem.bias else 0
    assert headroom * largest <= 2**24
    assert (t["x"] != 0).all(), "a missed element must show"


@given(any_problems(), st.sampled_from(DIRECTIONS), seeds)
def test_integer_sums_are_exact_in_every_direction_and_dtype(problem, direction, seed):
    """No sum of absolute products is beyond the integers that the dtype has, nor beyond those of its accumulator."""
    t = tensors(problem, direction, seed, "integers")
    for sums in compute(problem, direction, {name: np.abs(value) for name, value in t.items()}).values():
        assert sums.max() <= 2 ** SIGNIFICAND_BITS[problem.dtype]
    assert (t[MAP[direction]] != 0).all(), "a missed element must show"
    assert (t[FACTOR[direction]] != 0).any(), "nothing is summed"


def test_filters_of_too_many_terms_are_thinned_out():
    problem = parse("n1c2048h1w1-k3r1s1")
    t = integers(problem, 0, headroom=2**14)
    assert (np.count_nonzero(t["w"].reshape(3, -1), axis=1) == 64).all()
    assert np.abs(t["x"]).max() == 16


@given(any_problems(), st.sampled_from(DIRECTIONS), st.sampled_from(KINDS), seeds)
def test_data_depend_on_problem_direction_kind_and_seed_alone(problem, direction, kind, seed):
    a, b, other = (tensors(problem, direction, number, kind) for number in (seed, seed, seed + 1))
    assert digest_of(a) == digest_of(b)
    assert {value.dtype.name for value in a.values()} == {problem.dtype}
    if a[MAP[direction]].size > 8 and kind != "denormal":  # of which half precision has few
        assert digest_of(a) != digest_of(other)


@given(any_problems(), st.sampled_from(DIRECTIONS), seeds)
def test_every_kind_of_data_is_what_it_says(problem, direction, seed):
    made = {kind: tensors(problem, direction, seed, kind) for kind in KINDS}
    sizes = {kind: np.abs(t[MAP[direction]].astype(np.float64)) for kind, t in made.items()}
    for kind, t in made.items():
        assert kind == "nonfinite" or all(np.isfinite(value.astype(np.float64)).all() for value in t.values())
    assert not np.isfinite(sizes["nonfinite"]).all()
    assert sizes["denormal"].max() <= SMALLEST_NORMAL[problem.dtype]
    main = next(iter(compute(problem, direction, made["large"]).values()))
    largest = (
        float(np.finfo(np.float64).max) if problem.dtype == "float64" else 2.0 ** (1 + LARGEST_EXPONENT[problem.dtype])
    )
    assert np.abs(main).max() < largest
    cancelling = {name: value for name, value in made["cancelling"].items() if name != "bias"}
    plain = replace(problem, bias=False)
    (sums,) = compute(plain, direction, cancelling).values()
    (absolute,) = compute(plain, direction, {name: np.abs(value) for name, value in cancelling.items()}).values()
    inside = problem.explicitly_padded() == problem and direction != "backward_data"
    if inside and problem.terms_of(direction) > 1:  # every sum has all its terms
        assert np.abs(sums).max() <= 2.0**-5 * absolute.max()


@given(any_problems(), seeds)
def test_what_storing_rounds_is_half_a_spacing_at_most(problem, seed):
    """For every dtype, by the conversion of that dtype."""
    values = np.random.default_rng(seed).uniform(-4, 4, 50) * 2.0 ** np.random.default_rng(seed).integers(-20, 10, 50)
    stored = values.astype(problem.dtype).astype(np.float64)
    assert (np.abs(stored - values) <= storage_rounding(problem.dtype, values)).all()


@given(problems(), seeds)
def test_random_data_use_all_significand_bits(problem, seed):
    x = uniform(problem, seed)["x"]
    assert np.abs(x).max() <= 1
    if x.size > 20:
        assert (x.view(np.uint32) & 0xFF).any(), "the low bits are all zero"


@given(problems(), seeds)
def test_float32_and_float64_products_stay_within_the_bound(problem, seed):
    """A plain float32 sum in another order than any kernel's: what the bound must never reject."""
    t = uniform(problem, seed)
    expected = result(problem, t)
    sums = np.zeros(problem.y_shape, np.float32)
    one = ConvProblem(c=1, h=problem.h, w=problem.w, k=1, r=problem.r, s=problem.s,
                      stride=problem.stride, padding=problem.padding, dilation=problem.dilation)  # fmt: skip
    per_group = problem.c // problem.groups
    for n, k, c in np.ndindex(problem.n, problem.k, per_group):
        channel = k // (problem.k // problem.groups) * per_group + c
        part = convolve(one, t["x"][n, channel][None, None], t["w"][k, c][None, None])[0, 0]
        sums[n, k] += part.astype(np.float32)
    if problem.bias:
        sums += t["bias"].reshape(1, -1, 1, 1)
    bound = bound_of(ErrorModel(), problem, t, expected)
    assert compare(actual=sums, expected=expected, bound=bound).passed


@pytest.mark.parametrize("terms", [64, 576, 2304])
def test_rounding_the_inputs_to_half_or_tf32_is_beyond_the_bound(terms):
    """The results of a faster and less precise unit must not pass as float32."""
    problem = ConvProblem(n=4, c=terms, h=8, w=8, k=16, r=1, s=1)
    t = uniform(problem, 3)
    expected = result(problem, t)
    bound = bound_of(ErrorModel(), problem, t, expected)
    for bits in (10, 10 - 3):  # TF32 and float16 keep 10 bits of the significand, bfloat16 keeps 7
        mask = np.uint32((0xFFFFFFFF << (23 - bits)) & 0xFFFFFFFF)
        half = np.uint32(1 << (22 - bits))  # to nearest, and not towards zero
        x, w = (((a.view(np.uint32) + half) & mask).view(np.float32) for a in (t["x"], t["w"]))
        assert not compare(actual=convolve(problem, x, w), expected=expected, bound=bound).passed


@pytest.mark.parametrize("name", registry.names())
def test_one_wrong_tap_is_beyond_every_algorithms_bound(name):
    """A single weight off by a thousandth shows in every algorithm's own model, wherever the tap reads anything.

    With few channels, that is: the bound grows with the sum. By a half, where factors have 11 bits or fewer.
    """
    algorithm = registry.get(name)
    is_fine = "float32" in algorithm.dtypes and algorithm.precision(ConvProblem(c=1, h=1, w=1, k=1, r=1, s=1)) != "tf32"
    shown = []

    @given(problems_for(name, tiles=None), seeds)
    def law(problem, seed):
        t = uniform(problem, seed)
        t["x"] = np.copysign((1 + np.abs(t["x"])) / 2, t["x"])  # at least a half, so that what is read counts
        expected = result(problem, t)
        bound = bound_of(algorithm, problem, t, expected)
        assert bound.shape == expected.shape
        off = t["w"].copy()
        off.flat[0] += off.dtype.type(0.001 if is_fine else 0.5)
        wrong = result(problem, {**t, "w": off})
        if (wrong != expected).any():
            assert not compare(actual=wrong, expected=expected, bound=bound).passed
            shown.append(problem)

    law()
    assert shown, "no tap read anything"


@pytest.mark.parametrize("headroom", [1, 36])
@pytest.mark.parametrize("terms", [9, 576, 9216, 36864])
def test_rounding_integer_inputs_to_half_or_tf32_shows_at_any_size(terms, headroom):
    problem = ConvProblem(c=terms, h=6, w=6, k=8, r=1, s=1)
    t = integers(problem, 0, headroom)
    rounded = {**t, "x": t["x"].astype(np.float16)}
    assert not compare(actual=result(problem, rounded), expected=result(problem, t), bound=0.0).passed


def test_growth_is_the_smaller_of_the_two_counts():
    assert roundings(4) == 4
    assert roundings(16) == 16
    assert roundings(100) == 40
    assert count_of_sum(parse("n1c4h5w5-k1r3s3-bias"), "forward") == 37
    assert count_of_sum(parse("n2c4h5w5-k6r3s3-g2-bias"), "backward_data") == 27
    assert count_of_sum(parse("n2c4h5w5-k6r3s3-g2-bias"), "backward_weights") == 18


def test_a_case_computes_each_reference_once():
    case = Case(parse("n1c2h5w5-k2r3s3"), 0)
    assert case.of("uniform") is case.of("uniform", 36)
    assert case.of("integers", 1) is case.of("integers", 1)
    assert case.of("integers", 1) is not case.of("integers", 36)


def test_a_bound_belongs_to_a_config():
    """A longer transform mixes more of the input, and rounds more often."""
    fft, problem = registry.get("fft_tiled"), parse("n1c1h40w40-k1r3s3")
    x = np.zeros(problem.x_shape, np.float32)
    x[0, 0, 0, 0] = 1
    t = {"x": x.astype(np.float64), "w": uniform(problem, 0)["w"].astype(np.float64)}
    reached = {
        config.length: np.argwhere(fft.error_model.reach(problem, "forward", t, config)[0, 0] > 0).max()
        for config in fft.space(problem, "forward")
    }
    assert reached == {16: 13, 32: 29}


def test_a_config_of_another_algorithm_is_refused():
    problem = parse("n1c1h5w5-k1r3s3")
    other = registry.get("fft_tiled").configs(problem, "forward")[0]
    with pytest.raises(ConfigError, match=r"no config of direct; it takes Config\(threads=256\)"):
        registry.get("direct").resolved(problem, "forward", other)
