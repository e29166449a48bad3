"""A campaign draws the same cases for the same seed, and reports each planted bug once, small, and with its cause."""

from itertools import islice

import pytest

from algorithms.direct.plain import Direct
from cases.planted.algorithms import CannotBeAsked, DilationIgnored, Picky, RefusesAll, ThreeBugs, TooGreedy
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import DeviceError
from convbench.fuzz import Campaign, Cause, FuzzCase, Verdict, fuzz, judge
from convbench.fuzz.orders import Orders
from convbench.fuzz.verdicts import traits
from convbench.measurement.contest import is_alive


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice(workers=1)


@pytest.fixture
def unjudged(monkeypatch):
    """Draw without running."""
    from convbench.fuzz import campaign

    monkeypatch.setattr(campaign, "judge", lambda case, algorithm, device: Verdict(outcome="passed"))


def cases(device, *algorithms, count=150, **options):
    campaign = Campaign([algorithm() for algorithm in algorithms], device, **options)
    return [step.case for step in islice(campaign.steps(), count)]


# ---- the same seed


def test_the_same_seed_gives_the_same_cases(emulator, unjudged):
    once = cases(emulator, Direct, seed=5)
    assert cases(emulator, Direct, seed=5) == once
    assert cases(emulator, Direct, seed=5, count=60) == once[:60]
    assert cases(emulator, Direct, seed=6) != once


def test_jobs_have_cases_of_their_own(emulator, unjudged):
    first, second = (set(cases(emulator, Direct, job=job)) for job in (0, 1))
    assert len(first & second) < 5


def test_an_algorithm_has_the_same_cases_whatever_other_is_run(emulator, unjudged):
    alone = cases(emulator, Direct, count=100)
    together = [case for case in cases(emulator, Picky, Direct, count=400) if case.algorithm == "direct"]
    assert together[: len(alone)] == alone[: len(together)]
    assert len(together) > 50


def test_what_fails_changes_no_later_case(emulator, unjudged, monkeypatch):
    from convbench.fuzz import campaign

    right = cases(emulator, Direct)
    cause = Cause("direct", "forward", "wrong values", "y")
    monkeypatch.setattr(campaign, "judge", lambda *_: Verdict(outcome="failed", reason="", cause=cause))
    assert cases(emulator, Direct) == right


def test_algorithms_take_turns_in_their_order(emulator, unjudged):
    for algorithms in ((Direct, Picky), (Picky, Direct)):
        names = [case.algorithm for case in cases(emulator, *algorithms, count=60)]
        assert list(dict.fromkeys(names)) == [algorithm.name for algorithm in algorithms]


def test_each_job_begins_with_another_algorithm():
    orders = Orders(algorithms=("a", "b", "c"), directions=("forward",), device="emulator", prepare=tuple, jobs=2)
    assert [orders.algorithms_of(share) for share in range(2)] == [("a", "b", "c"), ("b", "c", "a")]


def test_an_algorithm_is_asked_only_while_a_case_is_announced_that_asks_the_same(emulator, unjudged):
    announced, asked = [None], []

    class Asked(Direct):
        name = "asked"

        def limits(self, problem, direction):
            asked.append((announced[-1], problem, direction))

        def configs(self, problem, direction):
            asked.append((announced[-1], problem, direction))
            return super().configs(problem, direction)

    steps = Campaign([Asked()], emulator, announce=announced.append).steps()
    assert announced == [None], "nothing is asked before its turn"
    list(islice(steps, 20))
    assert announced[-1] is None
    assert asked
    for case, problem, direction in asked:
        assert (case.algorithm, case.direction) == ("asked", direction)
        assert (case.problem.n, case.problem.c, case.problem.k) == (problem.n, problem.c, problem.k)


# ---- finding


def test_a_planted_bug_is_found_and_made_small(emulator):
    result = fuzz(DilationIgnored(), emulator, shrink=True)
    finding = result.failure
    assert finding.shrunk
    assert finding.cause == Cause("dilation_ignored", "forward", "wrong values", "y")
    assert traits(finding.case) == {"dilated"}
    problem = finding.case.problem
    assert (problem.n, problem.c, problem.k, problem.r * problem.s, max(problem.dilation)) == (1, 1, 1, 2, 2)
    assert (problem.macs, finding.case.seed, finding.case.kind) == (2, 0, "integers")
    again = judge(finding.case, DilationIgnored(), emulator)
    assert (again.cause, again.reason) == (finding.cause, finding.reason)
    assert judge(finding.case, Direct(), emulator).outcome == "passed"


def test_without_shrinking_the_first_failure_is_as_it_was_drawn(emulator):
    watched = []
    result = fuzz(DilationIgnored(), emulator, watch=watched.append)
    assert result.failure.case == watched[-1].case
    assert not result.failure.shrunk
    assert [step.verdict.outcome for step in watched[:-1]].count("failed") == 0


def test_distinct_bugs_are_found_once_each_and_stay_apart_while_shrunk(emulator):
    """Two bugs have the same cause, wrong values in forward. Their cases need different features."""
    result = fuzz(ThreeBugs(), emulator, examples=112, shrink=True, keep_going=True)
    found = {(finding.cause.direction, finding.cause.fault, traits(finding.case)) for finding in result.findings}
    assert found == {
        ("forward", "wrong values", frozenset({"dilated"})),
        ("forward", "wrong values", frozenset({"bias"})),
        ("backward_weights", "crash", frozenset({"strided"})),
    }
    assert len(result.findings) == 3
    assert result.figures.cases == 112


def test_what_is_known_is_no_finding(emulator):
    first = fuzz(DilationIgnored(), emulator, shrink=True).failure
    campaign = Campaign([DilationIgnored()], emulator, known=[first])
    steps = list(islice(campaign.steps(), 48))
    assert any(step.verdict.outcome == "failed" for step in steps)
    assert [campaign.new(step) for step in steps if campaign.new(step)] == []


def test_a_failure_that_cannot_be_repeated_is_kept_as_it_was(emulator, monkeypatch):
    from convbench.fuzz import campaign as module

    campaign = Campaign([DilationIgnored()], emulator)
    step = next(step for step in campaign.steps() if campaign.new(step))
    finding = campaign.new(step)
    monkeypatch.setattr(module, "judge", lambda *_: Verdict(outcome="passed"))
    kept = campaign.shrunk(step, finding)
    assert (kept.case, kept.shrunk) == (step.case, False)
    assert "it did not fail again" in kept.reason
    assert campaign.new(step) is None


def test_a_device_that_was_taken_down_is_not_asked_again(emulator, monkeypatch):
    campaign = Campaign([DilationIgnored()], emulator)
    step = next(step for step in campaign.steps() if campaign.new(step))

    def lost():
        raise DeviceError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(emulator, "synchronize", lost)
    assert not is_alive(emulator)
    kept = campaign.shrunk(step, campaign.new(step))
    assert (kept.case, kept.shrunk) == (step.case, False)


# ---- figures, refusals, and what cannot be asked


def test_the_figures_are_of_what_was_run(emulator):
    watched = []
    result = fuzz(Direct(), emulator, examples=60, directions=("backward_weights",), watch=watched.append)
    assert result.failure is None
    assert result.figures.cases == 60 == len([step for step in watched if step.case])
    assert {step.case.direction for step in watched if step.case} == {"backward_weights"}
    assert result.figures.refused == len(watched) - 60
    assert 0 < result.figures.compile_s < result.figures.run_s
    assert max(fraction for _, fraction in result.fractions) == result.figures.fraction < 1
    assert {type(case) for case, _ in result.fractions} == {FuzzCase}


def test_an_algorithm_that_refuses_all_has_no_cases(emulator):
    result = fuzz(RefusesAll(), emulator)
    assert (result.failure, result.figures.cases) == (None, 0)


def test_what_cannot_be_asked_is_a_failure(emulator):
    finding = fuzz(CannotBeAsked(), emulator, shrink=True).failure
    assert finding.cause.fault == "crash"
    assert "ZeroDivisionError: of no use (in limits, algorithms.py, line" in finding.reason


def test_limits_that_depend_on_the_problem_are_found_out(emulator):
    result = fuzz(Picky(), emulator, examples=40)
    assert (result.failure, result.figures.refused) == (None, 0)


def test_memory_that_there_is_not_is_a_failure(emulator):
    assert fuzz(TooGreedy(), emulator).failure.cause.fault == "out of memory"
