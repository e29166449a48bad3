"""Laws of algorithms that transform tiles: how far a NaN spreads, how tight their bounds are, the order of sums."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.fft.radix2 import twiddle_factors
from algorithms.tiling import Tiling
from convbench.algorithm import Algorithm, registry
from convbench.devices.emulator import EmulatorDevice
from convbench.measurement import Case, verify_kinds
from convbench.problem import DTYPES, ConvProblem, Direction
from convbench.problem.notation import parse
from convbench.reference import KINDS, compute
from convbench.reference.data import MAP, tensors
from convbench.reference.error_model import elementwise_magnitude
from support.running import assert_within, bounds_of, run_direction
from support.strategies import directions_of, problems_for, seeds

WINOGRAD_TILES = {"winograd_2x2_3x3": 2, "winograd_4x4_3x3": 4}

accumulators = st.sampled_from(("float32", "float64"))


@pytest.fixture(scope="module", params=("fft_tiled", *WINOGRAD_TILES))
def transform(request) -> Algorithm:
    return registry.get(request.param)


def tile_of(transform: Algorithm, problem: ConvProblem, direction: Direction, axis: int) -> tuple[int, int]:
    """Outputs that a tile makes, and samples that it reads, along an axis."""
    if transform.name in WINOGRAD_TILES:
        made = WINOGRAD_TILES[transform.name]
        return made, made + 2
    length = transform.configs(problem, direction)[0].length
    return length - (problem.r, problem.s)[axis] + 1, length


def readers(transform: Algorithm, problem: ConvProblem, direction: Direction, axis: int, place: int) -> list[int]:
    """The dense outputs along an axis whose tile reads an element of the map, counted one by one."""
    u, d, top = problem.stride[axis], problem.dilation[axis], problem.padding[axis][0]
    outputs = ((problem.p, problem.q)[axis] - 1) * u + 1
    if direction == "backward_data":
        outputs, place, top = problem.x_shape[2 + axis], place * u, d * (problem.w_shape[2 + axis] - 1) - top
    made, read = tile_of(transform, problem, direction, axis)
    found = []
    for output in range(outputs):
        first = output // (made * d) * (made * d) + output % d
        if place + top in range(first, first + read * d, d):
            found.append(output)
    return found


def reached(transform: Algorithm, problem: ConvProblem, direction: Direction, place: tuple[int, ...]) -> np.ndarray:
    """Where the tiles are that read an element of the map, as a mask of the result."""
    n, channel, *position = place
    rows, columns = (readers(transform, problem, direction, axis, position[axis]) for axis in (0, 1))
    if direction == "backward_weights":
        mask, c_per_group = np.zeros(problem.w_shape, bool), problem.c // problem.groups
        k = np.arange(problem.k) // (problem.k // problem.groups) == channel // c_per_group
        mask[k, channel % c_per_group] = bool(rows and columns)
        return mask
    sources, (shape, stride) = {
        "forward": (problem.c, (problem.y_shape, problem.stride)),
        "backward_data": (problem.k, (problem.x_shape, (1, 1))),
    }[direction]
    mask = np.zeros(shape, bool)
    same_group = np.arange(shape[1]) // (shape[1] // problem.groups) == channel // (sources // problem.groups)
    for row in rows:
        for column in columns:
            if row % stride[0] == 0 and column % stride[1] == 0:
                mask[n, same_group, row // stride[0], column // stride[1]] = True
    return mask


@given(data=st.data(), seed=seeds, value=st.sampled_from((np.nan, np.inf, -np.inf)))
def test_a_number_that_is_none_spreads_in_its_tiles_and_no_further(transform, device, data, seed, value):
    direction = data.draw(directions_of(transform))
    problem = data.draw(problems_for(transform.name, direction, dtype=accumulators))
    inputs = tensors(problem, direction, seed, "uniform")
    name, (main, *_) = MAP[direction], compute(problem, direction, inputs)
    place = tuple(data.draw(st.integers(0, size - 1)) for size in inputs[name].shape)
    mask = reached(transform, problem, direction, place)

    marks = {key: np.ones(array.shape) for key, array in inputs.items() if key != "bias"}
    marks[name] = np.zeros(inputs[name].shape)
    marks[name][place] = 1
    config = transform.resolved(problem, direction)
    assert np.array_equal(transform.error_model.reach(problem, direction, marks, config) > 0, mask)

    inputs[name][place] = 0.5
    without = run_direction(transform, problem, direction, device, inputs)[main]
    inputs[name][place] = value
    actual = run_direction(transform, problem, direction, device, inputs)[main]
    with np.errstate(invalid="ignore"):
        expected = compute(problem, direction, inputs)[main]
    assert actual[~mask].tobytes() == without[~mask].tobytes(), "it reached another tile"
    assert not np.isfinite(actual[~np.isfinite(expected)]).any(), "it got lost"


@given(data=st.data(), seed=seeds, more=st.tuples(*[st.integers(0, 9)] * 4))
def test_padding_beyond_the_filter_crops_the_gradient(transform, device, data, seed, more):
    """Outputs whose windows lie in the padding add nothing to dx, not even a rounding."""
    tight = data.draw(problems_for(transform.name, "backward_data", dtype=accumulators))
    top, left = (d * (taps - 1) for d, taps in zip(tight.dilation, (tight.r, tight.s), strict=True))
    tight = replace(tight, padding=((top + more[0], top), (left + more[1], left)))
    (u, v), rows, columns = tight.stride, more[2], more[3]
    wide = replace(tight, padding=((top + more[0] + rows * u, top), (left + more[1] + columns * v, left)))
    inputs = tensors(wide, "backward_data", seed, "uniform")
    cropped = {"w": inputs["w"], "dy": np.ascontiguousarray(inputs["dy"][:, :, rows:, columns:])}
    whole = run_direction(transform, wide, "backward_data", device, inputs)["dx"]
    assert whole.tobytes() == run_direction(transform, tight, "backward_data", device, cropped)["dx"].tobytes()


@given(data=st.data(), seed=seeds, kind=st.sampled_from(KINDS))
def test_every_kind_of_data_keeps_within_the_bound(transform, device, data, seed, kind):
    direction = data.draw(directions_of(transform))
    problem = data.draw(problems_for(transform.name, direction, dtype=st.sampled_from(DTYPES)))
    verdict = verify_kinds(transform, Case(problem, seed, direction), device, [kind])
    assert verdict.passed, verdict.reason


def test_the_bounds_are_neither_loose_nor_lucky(transform, device):
    """Of maps one element wide, and of single channels with few products to sum, errors are the least independent."""
    narrow = ("n3c1h20w1-k2r1s1-stride5x1", "n1c1h31w31-k1r2s2-stride7", "n2c1h1w40-k3r1s5-pad0x2")
    square = ("n3c1h9w1-k3r3s3-pad2", "n2c2h12w12-k4r3s3-pad1-g2-bias", "n1c1h5w5-k8r3s3-pad4-dil2")
    cases = (narrow if transform.name == "fft_tiled" else ()) + square
    for direction in transform.plans:
        largest = 0.0
        for text, seed in itertools.product(cases, range(30)):
            verdict = verify_kinds(transform, Case(parse(text), seed, direction), device, ["uniform"])
            assert verdict.passed, verdict.reason
            largest = max(largest, verdict.fraction)
        assert 0.02 < largest < 0.8, direction


@given(data=st.data(), seed=seeds, power=st.integers(-900, 900), more=st.integers(-50, 50))
def test_the_magnitude_scales_with_the_data(transform, data, seed, power, more):
    """Exactly, by powers of two, although the squares of such data are no numbers of float64."""
    direction = data.draw(directions_of(transform))
    problem = replace(data.draw(problems_for(transform.name, direction)), bias=False)
    inputs = {name: value.astype(np.float64) for name, value in tensors(problem, direction, seed, "uniform").items()}
    first, second = inputs
    scaled = {first: np.ldexp(inputs[first], power), second: np.ldexp(inputs[second], more - power)}
    config = transform.resolved(problem, direction)
    one, other = (transform.error_model.magnitude(problem, direction, given, config) for given in (inputs, scaled))
    sizeable = one > 2.0**-400  # what only marks the reach of a NaN may underflow
    assert np.array_equal(np.ldexp(one[sizeable], more), other[sizeable])
    assert sizeable[elementwise_magnitude(problem, direction, inputs) > 0].all()


@given(data=st.data(), seed=seeds)
def test_elements_of_all_sizes_keep_within_the_bound(transform, device, data, seed):
    """Tiles, and elements of one tile, that are 2⁹⁰⁰ apart: no square of the small ones is a number of float64."""
    direction = data.draw(directions_of(transform))
    problem = replace(data.draw(problems_for(transform.name, direction)), dtype="float64", bias=False)
    inputs = tensors(problem, direction, seed, "normal")
    name = MAP[direction]
    powers = np.random.default_rng(seed).choice((-600, 0, 300), inputs[name].shape)
    inputs[name] = np.ldexp(inputs[name], powers)
    expected = compute(problem, direction, inputs)
    actual = run_direction(transform, problem, direction, device, inputs)
    bounds = bounds_of(transform, problem, direction, inputs, expected)
    for key, value in expected.items():
        assert_within(actual=actual[key], expected=value, bound=bounds[key])


@given(data=st.data(), seed=seeds)
def test_the_sum_over_all_tiles_has_one_order(data, seed):
    """However many blocks run at once, dw is the same bit for bit."""
    fft = registry.get("fft_tiled")
    problem = data.draw(problems_for("fft_tiled", "backward_weights"))
    inputs = tensors(problem, "backward_weights", seed, "uniform")
    runs = [
        run_direction(fft, problem, "backward_weights", EmulatorDevice(workers=workers), inputs)["dw"]
        for workers in (1, 2, 5)
    ]
    assert runs[0].tobytes() == runs[1].tobytes() == runs[2].tobytes()


@given(data=st.data())
def test_every_output_has_one_tile(transform, data):
    """The tiles of both axes make all dense outputs, none of them twice."""
    direction = data.draw(directions_of(transform).filter(lambda direction: direction != "backward_weights"))
    problem = data.draw(problems_for(transform.name, direction))
    plan = transform.plan(problem, EmulatorDevice(), direction=direction)
    tiling: Tiling = getattr(plan, "inner", plan).tiling
    for axis, (dense, places) in enumerate(zip(tiling.dense, tiling.places(tiling.extent), strict=True)):
        made = [place for place in places.ravel() if place < dense]
        assert sorted(made) == list(range(dense))
        assert places.shape == (tiling.counts[axis], tile_of(transform, problem, direction, axis)[0])


@pytest.mark.parametrize("length", [2, 4, 8, 16, 32, 64])
def test_twiddle_factors_are_points_of_the_circle_rounded_once(length):
    factors = twiddle_factors(length)
    assert len(factors) == length // 2
    for k, factor in enumerate(factors):
        angle = -2 * math.pi * k / length
        assert abs(factor - complex(math.cos(angle), math.sin(angle))) < 4 * 2.0**-53
        assert abs(abs(factor) - 1) <= 2.0**-52
        mirrored = factors[(length // 2 - k) % (length // 2)]
        assert factor == 1 if k == 0 else (factor.real, factor.imag) == (-mirrored.real, mirrored.imag)
    if length >= 4:
        assert factors[length // 4] == -1j
