"""Laws of convolution that every algorithm must obey in all its directions, on inputs that Hypothesis chooses.

Integers make the laws exact for the algorithms that claim so; the others must obey within their own error model. Most
laws draw half of the examples, because the comparison of any problem with the reference finds the same faults.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.measurement import Case, verify_kinds
from convbench.problem import PADDING_MODES, ConvProblem, Direction
from convbench.problem.notation import parse
from convbench.problem.operands import inputs
from convbench.reference import KINDS, Float64, compute
from convbench.reference.data import FACTOR, MAP, SIGNIFICAND_BITS, Tensors, tensors
from convbench.reference.definition import copies, pad
from support.running import assert_within, bound_of, bounds_of, run, run_direction
from support.strategies import (
    directions_of,
    fewer,
    formats_of,
    formatted,
    formatted_problems,
    in_own_dtype,
    problems_for,
    seeds,
)


def integers(algorithm: Algorithm, problem: ConvProblem, seed: int, direction: Direction = "forward") -> Tensors:
    """Integers so small that they, and sums and differences of a few of them, are exact in the dtype."""
    bits = SIGNIFICAND_BITS["float32"] - min(SIGNIFICAND_BITS["float32"], SIGNIFICAND_BITS[problem.dtype])
    headroom = 4 * (algorithm.error_model.exact_headroom or 1) << bits
    return tensors(problem, direction, seed, "integers", headroom=headroom)


def assert_law(algorithm: Algorithm, *, actual: Float64, expected: Float64, bound: Float64) -> None:
    """Equal, or within the sum of the bounds where the algorithm does not claim to be exact."""
    exact = algorithm.error_model.exact_headroom and "float32" in algorithm.dtypes  # else the result is rounded
    assert_within(actual=actual, expected=expected, bound=0.0 if exact else bound)


def outputs_and_bounds(algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device, t: Tensors):
    """The main output in float64, and its bound."""
    results = run_direction(algorithm, problem, direction, device, t)
    bounds = bounds_of(algorithm, problem, direction, t, results)
    main = next(iter(results))
    return results[main].astype(np.float64), bounds[main]


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_every_direction_is_linear_in_the_map(relatives, device, data, seed):
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem = replace(data.draw(problems_for(algorithm.name, direction)), bias=False)
    a, b = integers(algorithm, problem, seed, direction), integers(algorithm, problem, seed + 1, direction)
    name, factor = MAP[direction], FACTOR[direction]
    second = {**a, name: b[name]}
    mixed = {name: a[name] - 2 * b[name], factor: a[factor]}
    (ya, bound_a), (yb, bound_b), (both, bound) = (
        outputs_and_bounds(algorithm, problem, direction, device, {n: t[n] for n in mixed}) for t in (a, second, mixed)
    )
    assert_law(algorithm, actual=both, expected=ya - 2 * yb, bound=bound + bound_a + 2 * bound_b)


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_batch_items_are_independent(relatives, device, data, seed):
    """In y and dx an item has its own part; in dw it has its own share of the sum."""
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem = data.draw(problems_for(algorithm.name, direction))
    t, alone = integers(algorithm, problem, seed, direction), replace(problem, n=1)
    whole, bound = outputs_and_bounds(algorithm, problem, direction, device, t)
    parts, bounds = [], []
    for n in range(problem.n):
        item = {name: value if name in ("w", "bias") else value[n : n + 1] for name, value in t.items()}
        part, part_bound = outputs_and_bounds(algorithm, alone, direction, device, item)
        parts.append(part)
        bounds.append(part_bound)
    if direction == "backward_weights":
        expected, allowed = sum(parts), sum(bounds)
    else:
        expected, allowed = np.concatenate(parts), np.concatenate(bounds)
    assert_law(algorithm, actual=whole, expected=expected, bound=bound + allowed)


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_each_group_is_its_own_convolution(relatives, device, data, seed):
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem = data.draw(problems_for(algorithm.name, direction))
    t, one = integers(algorithm, problem, seed, direction), problem.group()
    whole, bound = outputs_and_bounds(algorithm, problem, direction, device, t)
    axis = 0 if direction == "backward_weights" else 1
    for g in range(problem.groups):
        c, k = slice(g * one.c, (g + 1) * one.c), slice(g * one.k, (g + 1) * one.k)
        cut = {"x": np.s_[:, c], "w": np.s_[k], "bias": np.s_[k], "dy": np.s_[:, k]}
        part, allowed = outputs_and_bounds(
            algorithm, one, direction, device, {name: value[cut[name]] for name, value in t.items()}
        )
        ours = {"forward": k, "backward_data": c, "backward_weights": k}[direction]
        place = (slice(None),) * axis + (ours,)
        assert_law(algorithm, actual=whole[place], expected=part, bound=bound[place] + allowed)


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_zero_padding_equals_explicit_padding(relatives, device, data, seed):
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem = data.draw(problems_for(algorithm.name, direction))
    t, outer = integers(algorithm, problem, seed, direction), problem.explicitly_padded()
    written_out = {name: pad(problem, value).astype(value.dtype) if name == "x" else value for name, value in t.items()}
    implicit, bound = outputs_and_bounds(algorithm, problem, direction, device, t)
    explicit, allowed = outputs_and_bounds(algorithm, outer, direction, device, written_out)
    if direction == "backward_data":  # the gradient of the padding is nobody's
        (top, _), (left, _) = problem.padding
        inside = np.s_[:, :, top : top + problem.h, left : left + problem.w]
        explicit, allowed = explicit[inside], allowed[inside]
    assert_law(algorithm, actual=implicit, expected=explicit, bound=bound + allowed)


@pytest.mark.parametrize("direction", ["backward_data", "backward_weights"])
@given(data=st.data(), seed=seeds)
def test_a_gradient_is_the_adjoint_of_forward(relatives, direction, device, data, seed):
    """⟨conv(x; w), dy⟩ is ⟨x, dx⟩ and ⟨w, dw⟩, whatever the padding mode."""
    algorithm = data.draw(st.sampled_from(relatives))
    if direction not in algorithm.plans:
        pytest.skip(f"it has no {direction}")
    modes = st.sampled_from(PADDING_MODES)
    problem = replace(data.draw(problems_for(algorithm.name, direction, modes=modes)), bias=False)
    forward, backward = integers(algorithm, problem, seed), integers(algorithm, problem, seed, direction)
    assert_adjoint(algorithm, problem, device, direction, {**forward, **backward})


def assert_adjoint(
    algorithm: Algorithm, problem: ConvProblem, device: Device, direction: Direction, t: Tensors
) -> None:
    """The two inner products in float64; integers are scaled down until both sides are exact."""
    if algorithm.error_model.exact_headroom:  # x, w and dy come from two draws, each with room for its own sums
        t = {name: np.sign(value) for name, value in t.items()}
        terms = max(problem.terms, problem.terms_of(direction)) * copies(problem)
        assert terms * algorithm.error_model.exact_headroom < 2**24, "not exact any more"
    forward = {name: t[name] for name in ("x", "w")}
    y, y_bound = outputs_and_bounds(algorithm, problem, "forward", device, forward)
    given_backward = {name: t[name] for name in inputs(problem, direction)}
    gradient, bound = outputs_and_bounds(algorithm, problem, direction, device, given_backward)
    variable = t["x" if direction == "backward_data" else "w"].astype(np.float64)
    dy = t["dy"].astype(np.float64)
    left, right = np.array([(y * dy).sum()]), np.array([(variable * gradient).sum()])
    allowed = (y_bound * np.abs(dy)).sum() + (np.abs(variable) * bound).sum()
    assert_law(algorithm, actual=left, expected=right, bound=allowed)


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_gradients_are_what_finite_differences_say(relatives, device, data, seed):
    """In float64: ⟨y, dy⟩ is linear in x and in w, so that a central difference of any step is exact but for rounding.

    The step moves all elements at once, in a random direction e: (f(v + e) − f(v − e)) / 2 = ⟨gradient, e⟩.
    """
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm).filter(lambda d: d != "forward"))
    problem = data.draw(problems_for(algorithm.name, direction, modes=st.sampled_from(PADDING_MODES)))
    problem = replace(problem, dtype="float64", bias=False)
    if algorithm.refuses(problem, direction):
        pytest.skip("refused")
    forward, backward = (tensors(problem, d, seed, "uniform") for d in ("forward", direction))
    name: str = "x" if direction == "backward_data" else "w"
    t = {"x": forward["x"], "w": forward["w"], "dy": backward["dy"]}
    step = tensors(problem, "forward", seed + 1, "uniform")[name]
    values, bounds = [], []
    for moved in (t[name] + step, t[name] - step):
        y, bound = outputs_and_bounds(algorithm, problem, "forward", device, {**{n: t[n] for n in "xw"}, name: moved})
        values.append((y * t["dy"]).sum())
        bounds.append((bound * np.abs(t["dy"])).sum())
    given_backward = {name: t[name] for name in inputs(problem, direction)}
    gradient, bound = outputs_and_bounds(algorithm, problem, direction, device, given_backward)
    allowed = sum(bounds) / 2 + (bound * np.abs(step)).sum()
    # what the inner products themselves round, in float64
    largest = (np.abs(y) * np.abs(t["dy"])).sum() + (np.abs(gradient) * np.abs(step)).sum()
    allowed += 2.0**-53 * (y.size + gradient.size) * largest
    assert_within(
        actual=np.array([(values[0] - values[1]) / 2]), expected=np.array([(gradient * step).sum()]), bound=allowed
    )


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_the_gradient_of_the_bias_is_the_sum_of_dy(relatives, device, data, seed):
    algorithm = data.draw(st.sampled_from(relatives))
    if "backward_weights" not in algorithm.plans:
        pytest.skip("it has no backward_weights")
    problem = replace(data.draw(problems_for(algorithm.name, "backward_weights")), bias=True)
    t = integers(algorithm, problem, seed, "backward_weights")
    results = run_direction(algorithm, problem, "backward_weights", device, t)
    np.testing.assert_array_equal(results["dbias"], t["dy"].sum((0, 2, 3)))


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_a_shifted_input_gives_a_shifted_output(relatives, device, data, seed):
    """Crop one stride of rows and columns off the front, and the first outputs are gone, the others the same."""
    algorithm = data.draw(st.sampled_from(relatives))
    drawn = data.draw(problems_for(algorithm.name))
    (u, v), (_, _, h, w) = drawn.stride, drawn.padded_shape
    longer = replace(drawn, h=h + u, w=w + v, padding=((0, 0), (0, 0)))
    shorter = replace(longer, h=longer.h - u, w=longer.w - v)
    t = integers(algorithm, longer, seed)
    whole, bound = outputs_and_bounds(algorithm, longer, "forward", device, t)
    # tiles fall elsewhere on the cropped input: each side has its own bound
    rest, allowed = outputs_and_bounds(algorithm, shorter, "forward", device, {**t, "x": t["x"][:, :, u:, v:]})
    assert_law(algorithm, actual=whole[:, :, 1:, 1:], expected=rest, bound=bound[:, :, 1:, 1:] + allowed)


@given(data=st.data(), seed=seeds)
def test_an_identity_filter_gives_the_input_back(relatives, device, data, seed):
    """One tap of 1, in any place: y is x, moved by the padding and the tap's place, sampled by the stride."""
    algorithm = data.draw(st.sampled_from(relatives))
    problem = replace(data.draw(problems_for(algorithm.name)), bias=False)
    problem = replace(problem, k=problem.c)  # one filter per channel
    r, s = data.draw(st.integers(0, problem.r - 1)), data.draw(st.integers(0, problem.s - 1))
    x = integers(algorithm, problem, seed)["x"]
    w = np.zeros(problem.w_shape, problem.dtype)
    for k in range(problem.k):
        w[k, k % (problem.c // problem.groups), r, s] = 1
    actual = run(algorithm, problem, device, x, w)
    top, left = r * problem.dilation[0], s * problem.dilation[1]
    moved = pad(problem, x)[:, :, top :: problem.stride[0], left :: problem.stride[1]]
    expected = moved[:, :, : problem.p, : problem.q]
    assert_law(algorithm, actual=actual, expected=expected, bound=bound_of(algorithm, problem, x, w, None, expected))


@given(data=st.data(), seed=seeds)
def test_a_1x1_convolution_is_a_matrix_product(relatives, device, data, seed):
    algorithm = data.draw(st.sampled_from(relatives))
    if algorithm.refuses(in_own_dtype(parse("n1c1h2w2-k1r1s1"), algorithm)):
        pytest.skip("it has no 1 × 1 filters")
    problem = data.draw(problems_for(algorithm.name, taps=st.just((1, 1)), strides=st.just(1)))
    problem = replace(problem, padding=((0, 0), (0, 0)))
    t = integers(algorithm, problem, seed)
    actual, bound = outputs_and_bounds(algorithm, problem, "forward", device, t)
    grouped = t["x"].reshape(problem.n, problem.groups, problem.c // problem.groups, -1).astype(np.float64)
    filters = t["w"].reshape(problem.groups, problem.k // problem.groups, -1).astype(np.float64)
    expected = (filters @ grouped).reshape(problem.y_shape)
    if problem.bias:
        expected = expected + t["bias"].reshape(1, -1, 1, 1)
    assert_law(algorithm, actual=actual, expected=expected, bound=bound)


@fewer(2)
@given(data=st.data(), seed=seeds)
def test_a_layout_moves_elements_and_changes_none(relatives, device, data, seed):
    """The same bits in every order of memory: a layout may be packed, or read as it is, but not computed otherwise."""
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem = data.draw(problems_for(algorithm.name, direction))
    format_, _ = data.draw(formats_of(algorithm))
    moved = formatted(problem, format_)
    problem = replace(problem, dtype=moved.dtype)
    t = tensors(problem, direction, seed, "uniform")
    plain = run_direction(algorithm, problem, direction, device, t)
    for name, value in run_direction(algorithm, moved, direction, device, t).items():
        np.testing.assert_array_equal(value, plain[name])


@given(data=st.data(), seed=seeds)
def test_every_problem_that_is_not_refused_is_computed_right(relatives, device, data, seed):
    """The contract's verdict, on problems and data that nobody thought of: every axis, and any config."""
    algorithm = data.draw(st.sampled_from(relatives))
    direction = data.draw(directions_of(algorithm))
    problem, config = data.draw(formatted_problems(algorithm, direction))
    assert algorithm.refuses(problem, direction) is None
    kind = data.draw(st.sampled_from(KINDS))
    verdict = verify_kinds(algorithm, Case(problem, seed, direction), device, [kind], config=config)
    assert verdict.passed, f"{direction} of {problem}, {config}: {verdict.reason}"


@given(data=st.data(), seed=seeds)
def test_the_reference_is_its_own_adjoint(data, seed):
    """Exact on integers: the gradients belong to the convolution, whatever an algorithm does."""
    modes = st.sampled_from(PADDING_MODES)
    problem = replace(data.draw(problems_for("direct", modes=modes)), bias=False)
    x, w = (tensors(problem, "forward", seed, "integers")[name] for name in ("x", "w"))
    dy = tensors(problem, "backward_weights", seed, "integers")["dy"]
    inner = (compute(problem, "forward", {"x": x, "w": w})["y"] * dy).sum()
    assert (compute(problem, "backward_data", {"dy": dy, "w": w})["dx"] * x).sum() == inner
    assert (compute(problem, "backward_weights", {"x": x, "dy": dy})["dw"] * w).sum() == inner
