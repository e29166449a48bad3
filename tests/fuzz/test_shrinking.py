"""A failing case is shrunk to a small case that fails in the same way."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from convbench.fuzz import FuzzCase
from convbench.fuzz.shapes import Shape
from convbench.fuzz.shrinking import shrink
from convbench.fuzz.verdicts import traits
from support.strategies import any_problems

LARGE = FuzzCase.read(
    "direct forward n3c12h40w300-k24r5s3-pad3.1x0.7-stride7x1000-dil2x9-g4-bias-reflect-bfloat16-NHWC-RSCK "
    "nonfinite seed=41000 config=threads=64"
)
SMALLEST = FuzzCase.read("direct forward n1c1h1w1-k1r1s1 integers seed=0")


@given(any_problems())
def test_a_problem_is_what_its_shape_makes(problem):
    assert Shape.of(problem).problem(problem.dtype, problem.layout, problem.filter_layout) == problem


def test_nothing_is_left_of_what_always_fails():
    assert shrink(LARGE, lambda case: True) == (SMALLEST, True)


@given(any_problems())
@settings(max_examples=20, suppress_health_check=[HealthCheck.nested_given])
def test_the_first_trial_is_the_case_itself(problem):
    tried = []
    given_case = replace(LARGE, problem=problem)
    shrink(given_case, lambda case: bool(tried.append(case)))
    assert tried == [given_case]


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda case: case.problem.c >= 3, "n1c3h1w1-k1r1s1"),
        (lambda case: case.problem.groups > 1, "n1c2h1w1-k2r1s1-g2"),
        (lambda case: case.problem.stride[1] > 500, "n1c1h1w1-k1r1s1-stride1x1000"),
        (lambda case: case.problem.dilation[1] > 3 and case.problem.s > 1, "n1c1h1w5-k1r1s2-dil1x4"),
        (lambda case: case.problem.padding_mode == "reflect" and case.problem.padding[1][1], None),
        (lambda case: case.problem.layout == "NHWC" and case.problem.bias, "n1c1h1w1-k1r1s1-bias-NHWC"),
        (lambda case: case.problem.filter_layout == "RSCK", "n1c1h1w1-k1r1s1-RSCK"),
        (lambda case: case.problem.w > 200, None),
        (lambda case: case.problem.q * case.problem.p >= 6, None),
    ],
)
def test_only_what_the_failure_needs_is_left(fails, expected):
    small, ended = shrink(LARGE, fails)
    assert ended
    assert fails(small)
    assert (small.seed, small.config, small.kind) == (0, "", "integers")
    if expected is not None:
        assert str(small.problem) == expected
    assert small.problem.macs <= 12


def test_the_seed_the_config_and_the_data_are_kept_where_they_are_needed():
    small, _ = shrink(LARGE, lambda case: case.seed == LARGE.seed and case.kind == "nonfinite" and case.config != "")
    assert (small.problem, small.seed, small.config) == (SMALLEST.problem, 41000, "threads=64")
    assert traits(small) == {"nonfinite", "config"}


def test_the_search_ends_when_it_is_told_with_the_smallest_so_far():
    tried = []

    def fails(case):
        tried.append(case)
        return True

    small, ended = shrink(LARGE, fails, until=lambda: len(tried) >= 5)
    assert not ended
    assert len(tried) == 5
    assert small.problem.macs == min(case.problem.macs for case in tried)


def test_what_does_not_fail_again_is_not_shrunk():
    assert shrink(LARGE, lambda case: False) == (None, True)


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_what_fails_now_and_then_is_kept_as_small_as_it_was_seen_to_fail(times):
    left = iter([True] * times + [False] * 10_000)
    seen = []
    small, ended = shrink(LARGE, lambda case: next(left) and not seen.append(case))
    assert not ended
    assert small in seen
    assert small.problem.macs == min(case.problem.macs for case in seen)
