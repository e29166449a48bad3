"""The true error: its unit is the same for all algorithms, and its sizes are those of an independent computation."""

import json
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from cases.wrong_algorithms import WithoutMistake, WrongAt, algorithm_of
from convbench.algorithm import registry
from convbench.devices.simulator import SimulatorDevice
from convbench.measurement import Case, Harness, Job, SampledCase, TrueError, true_error, verify
from convbench.problem.notation import parse
from convbench.workload import Layer
from support.running import assert_passes, run_direction

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
MANY_TERMS = parse("n1c64h14w14-k8r3s3-pad1")
SMALL = parse("n1c2h6w6-k3r3s3-pad1")


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def padded_convolution(x, w):
    """3 × 3, padding 1, in float64 and by sums over windows."""
    windows = sliding_window_view(np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    return np.einsum("nchwrs,kcrs->nkhw", windows, w.astype(np.float64))


@pytest.mark.parametrize(("name", "known"), [
    ("direct", 1.0e-5), ("fft_tiled", 6.1e-6), ("implicit_gemm", 5.2e-6), ("winograd_2x2_3x3", 6.4e-6),
    ("winograd_4x4_3x3", 1.9e-5),
])  # fmt: skip
def test_the_error_of_an_algorithm_is_that_of_an_independent_computation(name, known, device):
    """`known` is the rms error on normal numbers with 64 channels, where an output has the magnitude √(64·9) = 24."""
    given, reference = Case(MANY_TERMS, 0).of("uniform")
    algorithm = registry.get(name)
    config = algorithm.resolved(MANY_TERMS, "forward", None, device)
    if name == "implicit_gemm":
        config = replace(config, splits=4)  # as on larger maps: the sums are shorter, and their errors smaller
    y = run_direction(algorithm, MANY_TERMS, "forward", device, given, config)["y"]
    error = true_error(actual=y, expected=reference["y"], dtype="float32")
    expected = padded_convolution(given["x"], given["w"])
    errors = np.abs(y.astype(np.float64) - expected)
    unit = EPS["float32"] * rms(expected)
    assert error.rms == pytest.approx(rms(errors) / unit, rel=1e-6)
    assert error.worst == pytest.approx(errors.max() / unit, rel=1e-6)
    known_ulp = known / 24 / EPS["float32"]
    assert known_ulp / 1.3 < error.rms < known_ulp * 1.3


class OneElementOff(WithoutMistake):
    """One element is off by 60 units, which is within its bound."""

    def run(self, x, y):
        super().run(x, y)
        host = self.device.download(y)
        host.flat[11] += np.float32(60 * EPS["float32"] * rms(host.astype(np.float64)))
        self.device.write(y, host)


def test_one_element_that_is_off_shows_in_the_worst_error_and_hardly_in_the_mean(device):
    case = SampledCase(parse("n1c16h32w32-k24r3s3-pad1"), 0)
    without = assert_passes(algorithm_of(WithoutMistake), case, device).error
    error = assert_passes(algorithm_of(OneElementOff), case, device).error
    assert without.worst < 30
    assert 45 < error.worst < 90
    assert without.rms < error.rms < 1.2 * without.rms


def test_a_wrong_result_has_its_error_too(device):
    verdict = verify(algorithm_of(WrongAt), Case(SMALL, 0), device)
    assert "on integers, exactly" in verdict.reason
    assert verdict.error.rms > 1e4


@pytest.mark.parametrize(("direction", "dtype"), [
    *(("forward", dtype) for dtype in EPS), ("backward_data", "float32"), ("backward_weights", "float32"),
])  # fmt: skip
def test_every_direction_and_dtype_has_an_error_in_units_of_its_output(direction, dtype, device):
    """Half precision rounds when it stores: by a quarter of a unit on average, and by half a spacing at most."""
    problem = parse(f"n2c3h7w7-k4r3s3-pad1-bias-{dtype}")
    error = assert_passes(registry.get("direct"), Case(problem, 0, direction), device).error
    assert 0 < error.rms <= error.worst < 20
    if dtype in ("float16", "bfloat16"):
        assert 0.1 < error.rms < 0.35
        assert 0.25 < error.worst < 2.5


def test_only_compared_images_have_an_error():
    case = SampledCase(parse("n3c2h6w6-k3r3s3-pad1"), 0)
    (expected,) = case.of("uniform")[1].values()
    assert len(expected) == 2
    middle = type("Middle", (WrongAt,), {"image": 1})
    assert assert_passes(algorithm_of(middle), case, SimulatorDevice()).error.worst < 20


def measured(actual, expected, dtype="float32"):
    return true_error(actual=np.asarray(actual).astype(dtype), expected=np.asarray(expected, np.float64), dtype=dtype)


@pytest.mark.parametrize("dtype", EPS)
def test_the_unit_is_the_last_place_of_the_outputs_magnitude(dtype):
    error = measured([1 + EPS[dtype], 1, -1, 1], [1, 1, -1, 1], dtype)
    assert (error.rms, error.worst) == (0.5, 1.0)
    for scale in (2.0**-10, 2.0**10):  # the unit scales with the output, the error is measured in it
        assert measured(np.multiply([1 + EPS[dtype], 1], scale), np.multiply([1, 1], scale), dtype).worst == 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_storing_in_half_precision_is_an_error_of_a_quarter_of_a_unit(dtype):
    exact = np.random.default_rng(0).uniform(-1, 1, 100_000)
    error = measured(exact, exact, dtype)
    spacing = np.exp2(np.floor(np.log2(np.abs(exact)))) * EPS[dtype]
    assert error.rms == pytest.approx(rms(spacing) / np.sqrt(12) / (EPS[dtype] * rms(exact)), rel=0.01)
    assert 0.14 < error.rms < 0.29
    assert error.worst == pytest.approx(0.25 * EPS[dtype] / (EPS[dtype] * rms(exact)), rel=0.01)


@pytest.mark.parametrize("dtype", EPS)
def test_integers_and_zeros_have_no_error(dtype):
    given, expected = Case(parse(f"n1c2h6w6-k3r3s3-{dtype}"), 0).of("integers")
    assert given["x"].any()
    assert measured(expected["y"], expected["y"], dtype) == TrueError(rms=0.0, worst=0.0)
    assert measured(np.zeros(5), np.zeros(5), dtype) == TrueError(rms=0.0, worst=0.0)


def test_an_output_that_should_be_zero_has_the_smallest_spacing_as_its_unit():
    tiny = np.float32(2.0**-149)
    error = measured([tiny, 0, 0, 0], [0, 0, 0, 0])
    assert (error.rms, error.worst) == (0.5, 1.0)


def test_huge_numbers_have_a_finite_error():
    largest = float(np.finfo(np.float64).max)
    assert measured([largest, largest], [largest, largest], "float64").worst == 0.0
    error = measured([largest, largest / 2], [largest, largest], "float64")
    assert 0 < error.rms < error.worst < inf


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_no_number_has_no_finite_error(value):
    assert measured([1.0, value], [1.0, 2.0]) == TrueError(rms=inf, worst=inf)
    assert measured([1.0, value], [1.0, value]) == TrueError(rms=0.0, worst=0.0)  # as it should be
    assert measured([value], [value]) == TrueError(rms=0.0, worst=0.0)


@pytest.mark.parametrize("shape", [(0, 2), (2, 3)])
def test_an_empty_or_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match=r"no error to measure: .*shape \("):
        true_error(actual=np.empty(shape), expected=np.empty((0, 2)), dtype="float32")


class NotANumber(WithoutMistake):
    def run(self, x, y):
        super().run(x, y)
        host = self.device.download(y)
        host[0, 0, 0, 0] = np.nan
        self.device.write(y, host)


def test_records_hold_the_error():
    """A record of a wrong result that has no finite error holds none, because JSON cannot hold an infinity."""
    harness = Harness(SimulatorDevice())
    right, broken = (
        harness.judge(Job(layer=Layer(name="conv1", problem=SMALL), algorithm=algorithm_of(plan)))
        for plan in (WithoutMistake, NotANumber)
    )
    assert (right.outcome, broken.outcome) == ("passed", "wrong")
    assert right.error_ulp == {"rms_error_ulp": right.error.rms, "worst_error_ulp": right.error.worst}
    assert 0 < right.error.rms <= right.error.worst < 20
    assert broken.error == TrueError(rms=inf, worst=inf)
    assert broken.error_ulp == {"rms_error_ulp": None, "worst_error_ulp": None}
    assert json.dumps(broken.error_ulp, allow_nan=False)
