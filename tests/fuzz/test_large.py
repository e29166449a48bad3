"""The fuzzer draws problems with one large axis, and compares their outputs at samples, which are right."""

from itertools import product
from random import Random

import numpy as np
import pytest

from algorithms.direct.plain import Direct
from cases.forgetful import Reference
from cases.wrong_algorithms import WithoutMistake
from convbench.algorithm import Algorithm, registry
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import FuzzCase, Suit, judge
from convbench.fuzz.drawing import BYTES, Drawer
from convbench.fuzz.large import BUDGETS, LARGEST, Large, steps
from convbench.fuzz.shapes import is_small
from convbench.fuzz.suiting import AWKWARD
from convbench.measurement import Case, SpotCase
from convbench.problem import DIRECTIONS, DTYPES, ConvProblem, operands
from convbench.problem.notation import parse
from convbench.reference import KINDS, compute, data, samples

PROBLEMS = (
    "n2c4h7w9-k6r3s2-g2-stride2x3-pad1.2x0.1-dil2x1-bias", "n3c3h5w5-k4r3s3-pad2-reflect",
    "n1c5h4w6-k2r3s3-pad3-circular",
    "n2c6h8w3-k6r5s3-g6-pad4-replicate-stride3", "n1c1h1w1-k1r1s1", "n1c70h2w2-k3r1s1-NHWC-bias",
    "n1c2h3w3-k2r3s3-pad5-stride4",
)  # fmt: skip


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice(checked=True, workers=1)


# ---- shapes


def value(problem: ConvProblem, axis: str) -> int:
    if axis == "filters":
        return min(problem.c, problem.k)
    return problem.h if axis == "pixels" else getattr(problem, axis)


@pytest.mark.parametrize("axis", LARGEST)
def test_each_axis_reaches_its_limit_in_each_direction(axis, emulator):
    suit = Suit(Direct(), emulator, DIRECTIONS)
    for direction in DIRECTIONS:
        row = next(row for row in suit.rows if row.direction == direction)
        large = Large.along(axis, LARGEST[axis])
        problem = suit.problem(AWKWARD, row, large)
        assert value(problem, axis) >= 0.9 * LARGEST[axis], problem
        assert large.fits(problem, direction, "direct")


def test_some_cases_of_each_algorithm_have_a_large_axis_within_the_budget(emulator):
    for name in ("depthwise", "direct_tiled", "implicit_gemm_f16", "winograd_4x4_3x3", "fft_tiled"):
        algorithm = registry.get(name)
        suit, random = Suit(algorithm, emulator, DIRECTIONS), Random(0)
        drawer = Drawer(suit, suit.rows)
        cases = [case for _ in range(240) if (case := drawer.draw(random.randbytes(BYTES)))]
        large = [case for case in cases if not is_small(case.problem)]
        assert len(large) > (3 if algorithm.family == "fft" else 15), name
        for case in large:
            assert suit.refuses(case.problem, case.direction) is None
            assert steps(case.problem, case.direction, algorithm.family) <= 16 * max(BUDGETS), case
        assert {case.direction for case in large} == set(algorithm.plans)
        assert max(case.problem.n for case in cases) > 16
        assert max(max(case.problem.c, case.problem.k) for case in cases) > (64 if algorithm.family == "fft" else 128)
        assert max(max(case.problem.h, case.problem.w) for case in cases) > 200


# ---- samples


@pytest.mark.parametrize(("text", "direction"), [*product(PROBLEMS, DIRECTIONS)])
def test_a_sample_is_the_element_of_the_whole_reference(text, direction):
    problem = parse(text)
    given = data.tensors(problem, direction, 3, "integers")
    whole, places = compute(problem, direction, given), samples.choose(problem, direction, 5)
    assert places.keys() == whole.keys()
    for name, its in places.items():
        assert (samples.values_at(problem, direction, given, name, its) == whole[name][its]).all()


@pytest.mark.parametrize("name", ["direct", "winograd_2x2_3x3", "implicit_gemm_3xtf32", "fft_tiled"])
@pytest.mark.parametrize("kind", ["uniform", "denormal", "nonfinite"])
def test_the_bound_at_a_sample_is_the_bound_of_the_element(name, kind):
    algorithm = registry.get(name)
    for dtype, direction in product(sorted({"float32", "float64"} & set(algorithm.dtypes)), algorithm.plans):
        problem = parse(f"n2c4h7w9-k6r3s3-g2-pad1.2x0.1-bias-{dtype}")
        given = data.tensors(problem, direction, 3, kind)
        given = {each: np.where(np.isfinite(value), value, 0) for each, value in given.items()}
        expected, places = compute(problem, direction, given), samples.choose(problem, direction, 5)
        whole = algorithm.error_bounds(problem, direction, given, expected=expected)
        few = {each: expected[each][its] for each, its in places.items()}
        found = algorithm.error_bounds(problem, direction, given, expected=few, places=places)
        for each, its in places.items():
            np.testing.assert_allclose(found[each], whole[each][its], rtol=1e-12)


def test_samples_have_the_corners_and_borders_of_tiles_and_depend_on_the_seed_alone():
    problem = parse("n64c3h40w40-k70r3s3")
    (places,) = samples.choose(problem, "forward", 1).values()
    assert {*zip(*(axis.tolist() for axis in places), strict=True)} >= set(product((0, 63), (0, 69), (0, 37), (0, 37)))
    assert {7, 31, 32} <= set(places[2].tolist()) | set(places[3].tolist())
    assert {63, 64} & set(places[1].tolist())
    (again,), (other,) = (samples.choose(problem, "forward", seed).values() for seed in (1, 2))
    assert all(map(np.array_equal, places, again))
    assert not all(map(np.array_equal, places, other))


# ---- judging


class LastImagesForgotten(WithoutMistake):
    """Computes at most 40 images."""

    def run(self, source, target):
        super().run(source, target)
        host = self.device.download(target)
        host[40:] = 0
        self.device.write(target, host)


class Forgets(Algorithm):
    name, family = "forgets", "direct"
    plans = {"forward": LastImagesForgotten}


def test_a_mistake_that_only_a_large_axis_shows_is_found_at_samples_and_told_of_all_elements(emulator):
    case = FuzzCase.read("forgets forward n64c3h12w12-k8r3s3 integers seed=1")
    assert not is_small(case.problem)
    verdict = judge(case, Forgets(), emulator)
    assert verdict.cause.fault == "wrong values"
    assert "of 51,200 elements are wrong" in verdict.reason
    assert "image" in verdict.explanation
    right = judge(FuzzCase.read("forgets forward n40c3h16w16-k9r3s3 uniform seed=1"), Forgets(), emulator)
    assert (right.outcome, right.samples) == ("passed", len(SpotCase(parse("n40c3h16w16-k9r3s3"), 1).places["y"][0]))


def test_a_sample_of_a_problem_too_large_to_compare_names_its_place_and_its_seed(emulator, monkeypatch):
    monkeypatch.setattr(SpotCase, "whole", None)
    verdict = judge(FuzzCase.read("forgets forward n64c3h12w12-k8r3s3 integers seed=1"), Forgets(), emulator)
    assert verdict.cause.fault == "wrong values"
    image = int(verdict.reason.partition("y[")[2].partition(",")[0])
    assert image >= 40
    assert "samples, chosen by seed 1, are wrong" in verdict.reason


def test_a_case_that_a_user_asks_for_is_compared_as_a_whole(emulator):
    case = FuzzCase.read("forgets forward n40c3h16w16-k9r3s3 uniform seed=1")
    assert judge(case, Forgets(), emulator, whole=True).samples is None


@pytest.mark.parametrize(("direction", "dtype"), [*product(DIRECTIONS, DTYPES)])
def test_a_right_algorithm_passes_at_samples(direction, dtype, emulator):
    for kind in KINDS:
        case = FuzzCase.read(f"reference {direction} n33c3h14w14-k8r3s3-pad1-{dtype} {kind} seed=2")
        verdict = judge(case, Reference(), emulator)
        assert (verdict.outcome, verdict.reason) == ("passed", None)
        assert verdict.samples


def test_the_sampled_reference_costs_what_the_samples_cost():
    """The reference of the whole problem would be 2.3 G multiply-adds."""
    case = SpotCase(parse("n1c512h64w64-k512r1s2"), 0)
    given, expected = case.of("integers")
    assert len(expected["y"]) <= samples.SAMPLES
    assert isinstance(case, Case)
    assert case.whole is None
    assert given["x"].shape == operands.shape(case.problem, "x")
