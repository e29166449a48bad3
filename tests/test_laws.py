"""Laws of convolution that every algorithm must obey, on inputs that Hypothesis chooses.

Integers make the laws exact for the algorithms that claim so; the others must obey within their own error model.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import assert_within, bound_of, run
from strategies import problems_for, seeds

from convbench.algorithm import Algorithm
from convbench.data import Tensors, integer_tensors
from convbench.notation import parse
from convbench.problem import PADDING_MODES, ConvProblem
from convbench.reference import Float64, pad
from convbench.verify import Case, verify


def tensors_of(algorithm: Algorithm, problem: ConvProblem, seed: int) -> Tensors:
    return integer_tensors(problem, seed, headroom=4 * (algorithm.error_model.exact_headroom or 1))


def assert_law(algorithm: Algorithm, *, actual: Float64, expected: Float64, bound: Float64) -> None:
    """Equal, or within the sum of the bounds where the algorithm does not claim to be exact."""
    assert_within(actual=actual, expected=expected, bound=0.0 if algorithm.error_model.exact_headroom else bound)


@given(data=st.data(), seed=seeds)
def test_convolution_is_linear_in_the_input(algorithm, device, data, seed):
    problem = replace(data.draw(problems_for(algorithm.name)), bias=False)
    a, b = tensors_of(algorithm, problem, seed), tensors_of(algorithm, problem, seed + 1)
    together = run(algorithm, problem, device, a.x - 2 * b.x, a.w)
    apart = [run(algorithm, problem, device, x, a.w).astype(np.float64) for x in (a.x, b.x)]
    bounds = [bound_of(algorithm, problem, x, a.w, None, y) for x, y in zip((a.x, b.x), apart, strict=True)]
    joint = bound_of(algorithm, problem, a.x - 2 * b.x, a.w, None, together.astype(np.float64))
    assert_law(algorithm, actual=together, expected=apart[0] - 2 * apart[1], bound=joint + bounds[0] + 2 * bounds[1])


@given(data=st.data(), seed=seeds)
def test_batch_items_are_independent(algorithm, device, data, seed):
    problem = data.draw(problems_for(algorithm.name))
    t = tensors_of(algorithm, problem, seed)
    whole = run(algorithm, problem, device, t.x, t.w, t.bias)
    alone = replace(problem, n=1)
    for n in range(problem.n):
        part = run(algorithm, alone, device, t.x[n : n + 1], t.w, t.bias)
        bound = 2 * bound_of(algorithm, alone, t.x[n : n + 1], t.w, t.bias, part.astype(np.float64))
        assert_law(algorithm, actual=whole[n : n + 1], expected=part.astype(np.float64), bound=bound)


@given(data=st.data(), seed=seeds)
def test_each_group_is_its_own_convolution(algorithm, device, data, seed):
    problem = data.draw(problems_for(algorithm.name))
    t = tensors_of(algorithm, problem, seed)
    whole = run(algorithm, problem, device, t.x, t.w, t.bias)
    one = problem.group()
    for g in range(problem.groups):
        c, k = slice(g * one.c, (g + 1) * one.c), slice(g * one.k, (g + 1) * one.k)
        x, w, bias = t.x[:, c], t.w[k], None if t.bias is None else t.bias[k]
        part = run(algorithm, one, device, x, w, bias)
        bound = 2 * bound_of(algorithm, one, x, w, bias, part.astype(np.float64))
        assert_law(algorithm, actual=whole[:, k], expected=part.astype(np.float64), bound=bound)


@given(data=st.data(), seed=seeds)
def test_zero_padding_equals_explicit_padding(algorithm, device, data, seed):
    problem = data.draw(problems_for(algorithm.name))
    t = tensors_of(algorithm, problem, seed)
    padded, outer = pad(problem, t.x).astype(np.float32), problem.explicitly_padded()
    implicit = run(algorithm, problem, device, t.x, t.w, t.bias)
    explicit = run(algorithm, outer, device, padded, t.w, t.bias).astype(np.float64)
    bound = 2 * bound_of(algorithm, outer, padded, t.w, t.bias, explicit)
    assert_law(algorithm, actual=implicit, expected=explicit, bound=bound)


@given(data=st.data(), seed=seeds)
def test_a_shifted_input_gives_a_shifted_output(algorithm, device, data, seed):
    """Crop one stride of rows and columns off the front, and the first outputs are gone, the others the same."""
    drawn = data.draw(problems_for(algorithm.name))
    (u, v), (_, _, h, w) = drawn.stride, drawn.padded_shape
    longer = replace(drawn, h=h + u, w=w + v, padding=((0, 0), (0, 0)))
    shorter = replace(longer, h=longer.h - u, w=longer.w - v)
    t = tensors_of(algorithm, longer, seed)
    whole = run(algorithm, longer, device, t.x, t.w, t.bias)
    cropped = t.x[:, :, u:, v:]
    rest = run(algorithm, shorter, device, cropped, t.w, t.bias).astype(np.float64)
    # tiles fall elsewhere on the cropped input: each side has its own bound
    bound = bound_of(algorithm, longer, t.x, t.w, t.bias, whole.astype(np.float64))[:, :, 1:, 1:]
    bound = bound + bound_of(algorithm, shorter, cropped, t.w, t.bias, rest)
    assert_law(algorithm, actual=whole[:, :, 1:, 1:], expected=rest, bound=bound)


@given(data=st.data(), seed=seeds)
def test_an_identity_filter_gives_the_input_back(algorithm, device, data, seed):
    """One tap of 1, in any place: y is x, moved by the padding and the tap's place, sampled by the stride."""
    problem = replace(data.draw(problems_for(algorithm.name)), bias=False)
    problem = replace(problem, k=problem.c)  # one filter per channel
    r, s = data.draw(st.integers(0, problem.r - 1)), data.draw(st.integers(0, problem.s - 1))
    x = tensors_of(algorithm, problem, seed).x
    w = np.zeros(problem.w_shape, np.float32)
    for k in range(problem.k):
        w[k, k % (problem.c // problem.groups), r, s] = 1
    actual = run(algorithm, problem, device, x, w)
    top, left = r * problem.dilation[0], s * problem.dilation[1]
    moved = pad(problem, x)[:, :, top :: problem.stride[0], left :: problem.stride[1]]
    expected = moved[:, :, : problem.p, : problem.q]
    assert_law(algorithm, actual=actual, expected=expected, bound=bound_of(algorithm, problem, x, w, None, expected))


@given(data=st.data(), seed=seeds)
def test_a_1x1_convolution_is_a_matrix_product(algorithm, device, data, seed):
    if algorithm.refuses(parse("n1c1h2w2-k1r1s1")):
        pytest.skip("it has no 1 × 1 filters")
    problem = data.draw(problems_for(algorithm.name, taps=st.just((1, 1)), strides=st.just(1)))
    problem = replace(problem, padding=((0, 0), (0, 0)))
    t = tensors_of(algorithm, problem, seed)
    actual = run(algorithm, problem, device, t.x, t.w, t.bias)
    grouped = t.x.reshape(problem.n, problem.groups, problem.c // problem.groups, -1).astype(np.float64)
    filters = t.w.reshape(problem.groups, problem.k // problem.groups, -1).astype(np.float64)
    expected = (filters @ grouped).reshape(problem.y_shape)
    if t.bias is not None:
        expected = expected + t.bias.reshape(1, -1, 1, 1)
    bound = bound_of(algorithm, problem, t.x, t.w, t.bias, expected)
    assert_law(algorithm, actual=actual, expected=expected, bound=bound)


@given(data=st.data(), seed=seeds)
def test_inputs_are_untouched(algorithm, device, data, seed):
    problem = data.draw(problems_for(algorithm.name))
    t = tensors_of(algorithm, problem, seed)
    plan = algorithm.plan(problem, device)
    x, w, y = device.upload(t.x), device.upload(t.w), device.empty(problem.y_shape, np.float32)
    bias = None if t.bias is None else device.upload(t.bias)
    plan.load(w, bias)
    plan.run(x, y)
    np.testing.assert_array_equal(device.download(x), t.x)
    np.testing.assert_array_equal(device.download(w), t.w)
    if t.bias is not None:
        np.testing.assert_array_equal(device.download(bias), t.bias)


@given(data=st.data(), seed=seeds)
def test_every_problem_that_is_not_refused_is_computed_right(algorithm, device, data, seed):
    """The contract's verdict, on problems that nobody thought of; padding modes and configs included."""
    problem = data.draw(problems_for(algorithm.name, modes=st.sampled_from(PADDING_MODES)))
    config = data.draw(st.sampled_from(algorithm.configs(problem.explicitly_padded())))
    verdict = verify(algorithm, Case(problem, seed), device, config=config)
    assert verdict.passed, f"{problem}, {config}: {verdict.reason}"
