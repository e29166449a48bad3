"""A case is a line that reads back. Two failures count as one bug by defined rules."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.direct.plain import Config, Direct
from algorithms.direct.tiled import DirectTiled
from cases.planted.algorithms import (
    BlockTooLarge,
    ChangesItsInput,
    DilationIgnored,
    LastElementForgotten,
    RefusesAll,
    RunsOnce,
    TooGreedy,
    WritesFarAway,
)
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import CaseError, ConfigError
from convbench.fuzz import Cause, Finding, FuzzCase, config_of, judge
from convbench.fuzz.cases import config_text
from convbench.fuzz.shapes import shapes
from convbench.fuzz.verdicts import traits, without_numbers
from convbench.problem import DIRECTIONS, DTYPES, FILTER_LAYOUTS, LAYOUTS
from convbench.problem.notation import parse
from convbench.reference import KINDS

LINE = "direct backward_data n1c1h3w3-k1r2s2-stride2 integers seed=7 config=threads=64"
PLAIN = "n1c1h1w1-k1r1s1"


@pytest.fixture(scope="module")
def checked():
    return EmulatorDevice(checked=True)


problems = st.builds(
    lambda shape, *words: shape.problem(*words),
    shapes(), st.sampled_from(DTYPES), st.sampled_from(LAYOUTS), st.sampled_from(FILTER_LAYOUTS),
)  # fmt: skip
cases = st.builds(
    FuzzCase, algorithm=st.text("a b'#\"=$-_é", min_size=1) | st.just("direct"), direction=st.sampled_from(DIRECTIONS),
    problem=problems, kind=st.sampled_from(KINDS), seed=st.integers(0, 2**40),
    config=st.sampled_from(("", "threads=64", "tile_p=4,tile_q=(1,2)", "name='a b#'")),
)  # fmt: skip


@given(cases)
def test_a_case_reads_back_from_its_line(case):
    assert FuzzCase.read(str(case)) == case
    assert FuzzCase.read(f"  {case}  # found 'yesterday") == case
    assert "\n" not in str(case)


@given(cases)
def test_a_line_is_words_of_a_shell(case):
    """Quoted once more, it is the one argument of the command that repeats it."""
    assert shlex.join(shlex.split(str(case))) == str(case)


def test_a_line_is_as_it_is_documented():
    case = FuzzCase.read(LINE)
    assert (case.algorithm, case.direction, case.kind, case.seed) == ("direct", "backward_data", "integers", 7)
    assert (case.problem, case.config) == (parse("n1c1h3w3-k1r2s2-stride2"), "threads=64")
    assert str(case) == LINE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "0 words"),
        ("direct forward", "2 words"),
        (f"direct forward {PLAIN} integers seed={'9' * 5000}", "the seed has 5,000 digits; a case's has at most 100"),
        (f"direct forward {PLAIN} integers seed=1 config=a more", "7 words"),
        (f"direct sideways {PLAIN} integers seed=1", "direction 'sideways' is unknown; there are forward,"),
        (f"direct forward {PLAIN} odd seed=1", "kind of data 'odd' is unknown; there are integers,"),
        ("direct forward n1c0h1w1-k1r1s1 integers seed=1", "c is 0"),
        ("direct forward n1c1h1w1 integers seed=1", "k, r, s missing"),
        (f"direct forward {PLAIN} integers seed=-1", "'seed=-1'"),
        (f"direct forward {PLAIN} integers 1", "'1'; the last words of a case are"),
        (f"direct forward {PLAIN} integers seed=1 colour=red", "colour=red"),
        (f"direct forward {PLAIN} integers seed=1 config=", "config="),
        (f"direct 'forward {PLAIN} integers seed=1", "No closing quotation"),
    ],
)
def test_a_line_that_is_no_case_is_told_with_its_fault(line, told):
    with pytest.raises(CaseError) as caught:
        FuzzCase.read(line)
    assert told in str(caught.value)
    assert repr(line) in str(caught.value)


def of(algorithm, problem=PLAIN, config="", direction="forward"):
    name = algorithm.name
    return FuzzCase(algorithm=name, direction=direction, problem=parse(problem), kind="integers", seed=1, config=config)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_config_reads_back_from_its_text(direction):
    algorithm, problem = DirectTiled(), parse("n1c2h9w9-k4r3s3-pad1-reflect")
    offered = algorithm.configs_for(problem, direction)
    assert len(offered) > 1
    texts = [config_text(config, offered[0]) for config in offered]
    assert texts[0] == ""
    assert len(set(texts)) == len(texts)
    for config, text in zip(offered, texts, strict=True):
        assert config_of(algorithm, of(algorithm, str(problem), text, direction)) == config


def test_a_config_need_not_be_offered_any_more():
    assert config_of(Direct(), of(Direct(), config="threads=96")) == Config(threads=96)


@pytest.mark.parametrize("text", ["threads=0", "threads=9999", "colour=1", "threads", "threads=__import__('os')", "'"])
def test_a_config_that_cannot_be_is_an_error(text):
    with pytest.raises(ConfigError) as caught:
        config_of(Direct(), of(Direct(), config=text))
    assert "threads" in str(caught.value)


# ---- verdicts


@pytest.mark.parametrize(
    ("algorithm", "fault", "words"),
    [
        (DilationIgnored, "wrong values", "y"),
        (LastElementForgotten, "elements never written", "y"),
        (RunsOnce, "two runs differ", "y"),
        (ChangesItsInput, "changes its input", "x"),
        (WritesFarAway, "kernel fault", "index # is out of bounds for axis #"),
        (BlockTooLarge, "cannot be launched", "a block is at most (#)"),
        (TooGreedy, "out of memory", "bytes"),
    ],
)
def test_every_kind_of_fault_has_its_cause(checked, algorithm, fault, words):
    case = of(algorithm, "n1c1h5w5-k2r2s2-dil2")
    verdict = judge(case, algorithm(), checked)
    assert (verdict.outcome, verdict.cause[:3]) == ("failed", (algorithm.name, "forward", fault))
    assert words in verdict.cause.words
    assert verdict.reason
    assert verdict.cause.words in str(verdict.cause)


def test_a_nan_is_no_unwritten_element_where_the_data_have_such(checked):
    """The NaN may be an element that was read from the wrong place."""
    case = FuzzCase.read("last_element_forgotten forward n1c1h9w9-k1r1s1 nonfinite seed=0")
    verdict = judge(case, LastElementForgotten(), checked)
    assert verdict.cause.fault == "wrong values"
    assert "y[0,0,8,8] is nan, expected " in verdict.reason


def test_what_is_right_passes_and_what_is_refused_is_not_run(checked):
    verdict = judge(of(Direct()), Direct(), checked)
    assert (verdict.outcome, verdict.reason, verdict.cause) == ("passed", None, None)
    refused = judge(of(RefusesAll()), RefusesAll(), checked)
    assert (refused.outcome, refused.reason, refused.cause) == ("refused", "never", None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("index 5 of axis 1, which has 3; block (0, 0, 0)", "index -17 of axis 0, which has 12; block (3, 1, 2)"),
        ("wrote before array 3 of shape (2, 3, 4)", "wrote before array 11 of shape (2,)"),
        ("is 1.5e-07 and nan", "is -inf and 3.0"),
    ],
)
def test_numbers_make_no_cause(one, other):
    assert without_numbers(one) == without_numbers(other)


def test_words_make_causes():
    assert without_numbers("float16 in conv2d") == "float16 in conv2d"
    assert without_numbers("index 5 of x") != without_numbers("index 5 of w")


CAUSE = Cause("direct", "forward", "wrong values", "y")


def finding(problem, kind="integers"):
    return Finding(case=FuzzCase.read(f"direct forward {problem} {kind} seed=0"), cause=CAUSE, reason="")


@pytest.mark.parametrize(
    ("problem", "explained"),
    [
        ("n1c1h3w1-k1r2s1-dil2", True),
        ("n4c9h9w9-k4r3s3-pad1-dil2-bias-float16", True),
        ("n4c9h9w9-k4r3s3-pad1-stride2-bias-float16", False),
        ("n1c1h1w1-k2r1s1-bias", False),
    ],
)
def test_a_bug_explains_what_has_all_that_it_needs(problem, explained):
    small = finding("n1c1h1w3-k1r1s2-dil1x2")
    assert traits(small.case) == {"dilated"}
    later = finding(problem)
    assert small.explains(later.case, later.cause) is explained
    assert not small.explains(later.case, later.cause._replace(direction="backward_data"))
    assert not small.explains(later.case, later.cause._replace(words="other words"))


def test_traits_are_what_is_not_plain():
    case = FuzzCase.read(
        "a forward n2c2h9w9-k2r3s3-pad1-stride2-dil2-g2-bias-reflect-float16-NHWC-RSCK normal seed=0 config=a=1"
    )
    assert traits(case) == {
        "batch", "strided", "dilated", "padded", "grouped", "bias", "reflect", "float16", "NHWC", "RSCK", "normal",
        "config",
    }  # fmt: skip
    assert traits(finding(PLAIN).case) == frozenset()
