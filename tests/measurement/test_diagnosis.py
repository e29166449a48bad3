"""A failure says where the result is wrong, and which known mistake gives it: each wrong algorithm by its mistake."""

from itertools import product

import numpy as np
import pytest

from cases.problems import PROBLEMS
from cases.wrong_algorithms import DIRECTIONS as DIRECTION_OF
from cases.wrong_algorithms import (
    WRONG,
    BiasOnTheWrongChannel,
    ChangesItsInput,
    ChannelsNotSwapped,
    CircularTakenAsReplicate,
    DilationIgnored,
    DroppedLastTile,
    FilterNotFlipped,
    FlippedFilter,
    Float16Accumulation,
    GroupsMixedUp,
    LastImageOnly,
    NHWCReadAsNCHW,
    NonDeterministicReduction,
    OffByOnePadding,
    ReflectOffByOne,
    RSCKReadAsKRSC,
    RunsOnceOnly,
    StrideForgotten,
    SumsOverTheWrongAxis,
    SwappedStrides,
    SymmetricPaddingOnly,
    TruncatesWhatItStores,
    UnwrittenElement,
    WrongBiasGradient,
    algorithm_of,
)
from convbench import parse
from convbench.measurement import Case, verify
from convbench.measurement.diagnosis import Failure, explain
from convbench.measurement.mistakes import mistakes, setting, slide, weights
from convbench.problem import DIRECTIONS
from convbench.reference import compute
from convbench.reference.data import tensors

# a problem that shows the mistake, and what the explanation says
NAMED = {
    OffByOnePadding: ("n2c3h6w7-k4r3s3-pad1", "padding off by one: one row or column too large at the top"),
    SwappedStrides: ("n1c2h9w10-k2r2s3-pad2.0x1.3-bias-stride2x3", "stride of height and width swapped"),
    DroppedLastTile: ("n1c3h7w7-k4r3s3-pad1", "elements in memory, as if the last tile were missing"),
    DilationIgnored: ("n1c2h9w11-k2r3s3-dil2x3", "dilation ignored"),
    GroupsMixedUp: ("n1c4h7w7-k4r3s3-pad2-g2", "groups mixed: each group has the filters of the one before it"),
    BiasOnTheWrongChannel: ("n1c2h5w5-k4r3s3-bias", "bias of the wrong channel: that of the one before it"),
    FlippedFilter: ("n1c2h5w6-k4r3s3", "filter flipped in height and width"),
    SymmetricPaddingOnly: ("n1c2h6w7-k4r3s3-pad0.2x1.0", "padding of the far side (bottom, right) taken"),
    UnwrittenElement: (
        "n1c2h6w7-k4r3s3",
        "never written: output channel 3 (the last) alone, row 3 (the last) alone",
    ),
    RunsOnceOnly: ("n1c2h6w7-k4r3s3", "the second run wrote nothing"),
    ChangesItsInput: ("n1c2h6w7-k4r3s3", "changed its input x"),
    Float16Accumulation: ("n1c2h6w7-k4r3s3", "sums accumulated in float16"),
    NonDeterministicReduction: ("n1c16h6w7-k4r3s3", "the order of a sum changes from run to run"),
    TruncatesWhatItStores: ("n1c16h6w5-k16r3s3-pad1-bfloat16", "stored by truncation"),
    FilterNotFlipped: ("n1c2h6w7-k3r3s3-pad1", "filter flipped in height and width"),
    ChannelsNotSwapped: ("n1c3h6w7-k3r3s3-pad1", "input and output channels of the filter swapped"),
    StrideForgotten: ("n1c2h9w9-k3r3s3-pad1-stride2", "stride ignored"),
    LastImageOnly: ("n3c2h6w7-k3r3s3-pad1", "the last image alone"),
    SumsOverTheWrongAxis: ("n1c2h6w6-k3r3s3-pad1", "height and width of dy swapped"),
    WrongBiasGradient: ("n2c2h6w6-k3r3s3-pad1-bias-NHWC", "summed over the channels instead of the images"),
    ReflectOffByOne: ("n1c2h5w6-k2r3s3-pad2-reflect", "reflect that repeats the edge (off by one)"),
    CircularTakenAsReplicate: ("n1c2h4w5-k2r3s3-pad3-circular", "filled as replicate"),
    NHWCReadAsNCHW: ("n1c3h5w4-k2r3s3-pad1-NHWC", "layout misread: x is NHWC in memory and is read as NCHW"),
    RSCKReadAsKRSC: ("n1c3h5w5-k2r3s3-pad1-RSCK", "layout misread: w is RSCK in memory and is read as KRSC"),
}


def test_every_wrong_algorithm_has_a_name():
    assert NAMED.keys() == WRONG.keys()


@pytest.mark.parametrize("plan", NAMED, ids=lambda plan: plan.__name__)
def test_a_wrong_algorithm_is_named_by_its_mistake(plan, device):
    text, words = NAMED[plan]
    direction = "backward_weights" if plan is WrongBiasGradient else DIRECTION_OF.get(plan, "forward")
    found = verify(algorithm_of(plan), Case(parse(text), 1, direction), device)
    assert not found.passed
    explained = found.explained
    assert words in explained
    if "known mistake" in explained:
        assert explained.count("known mistake") == 1


@pytest.mark.parametrize(("text", "direction"), [*product(PROBLEMS, DIRECTIONS)])
def test_the_sums_that_mistakes_are_made_of_are_the_reference(text, direction):
    """A third form of the definition; a mistake changes one thing of it."""
    problem = parse(text)
    if problem.padding_mode != "zeros" and direction == "backward_data":
        problem = problem.explicitly_padded()
    given = tensors(problem, direction, 0, "integers")
    at = setting(problem, direction, given)
    (expected, *_) = compute(problem, direction, given).values()
    assert np.array_equal((weights if direction == "backward_weights" else slide)(at), expected)


@pytest.mark.parametrize(("text", "direction"), [*product(PROBLEMS[1:12], DIRECTIONS)])
def test_every_mistake_of_a_catalogue_is_found_again(text, direction):
    """The result of a mistake is explained by it, or by an earlier one that has the same result here."""
    problem = parse(text)
    given = tensors(problem, direction, 0, "integers")
    for name, expected in compute(problem, direction, given).items():
        results = [(told, result()) for told, result in mistakes(problem, direction, given, name)]
        for told, actual in results:
            if actual.shape != expected.shape or np.array_equal(actual, expected):
                continue
            same = [
                other for other, result in results if result.shape == actual.shape and np.array_equal(result, actual)
            ]
            explained = explain(failure_of(problem, direction, given, name, actual.astype(np.float32), expected))
            assert any(f"known mistake: {other}" in explained for other in same), told


def failure_of(problem, direction, given, name, actual, expected):
    wrong = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    return Failure(
        problem=problem, direction=direction, given=given, name=name, actual=actual, expected=expected, wrong=wrong
    )


Y = (2, 4, 8, 8)


@pytest.mark.parametrize(
    ("marked", "words"),
    [
        (np.s_[:], "wrong: every element"),
        (np.s_[1], "image 1 (the last) alone"),
        (np.s_[:, 2], "output channel 2 alone"),
        (np.s_[:, :, 0], "row 0 (the first) alone"),
        (np.s_[:, :, :, 1::2], "every second column, from 1"),
        (np.s_[:, :, ::3], "every third row, from 0"),
        (np.s_[:, :, 6:], "rows 6 to 7 of 8, the last 2"),
        (np.s_[:, 1:3, :, :2], "output channels 1 to 2 of 4, columns 0 to 1 of 8, the first 2"),
        (np.s_[1, 3, 7, 5:], "the last 3 of 512 elements in memory, as if the last tile were missing"),
        (np.s_[0, 1, 2, 3], "image 0 (the first) alone, output channel 1 alone, row 2 alone, column 3 alone"),
    ],
)
def test_the_place_is_told(marked, words):
    problem, expected = parse("n2c1h8w8-k4r1s1"), np.zeros(Y)
    actual = np.zeros(Y, np.float32)
    actual[marked] = 5
    given = tensors(problem, "forward", 0, "uniform")
    assert words in explain(failure_of(problem, "forward", given, "y", actual, expected))
    actual[marked] = np.nan
    told = explain(failure_of(problem, "forward", given, "y", actual, expected))
    assert words.removeprefix("wrong: ") in told
    assert "NaN, as if never written" in told


def test_a_border_is_told_by_its_sides():
    problem, expected = parse("n2c1h8w8-k4r1s1"), np.zeros(Y)
    actual = np.ones(Y, np.float32)
    actual[:, :, 1:7, 2:] = 0
    told = explain(failure_of(problem, "forward", tensors(problem, "forward", 0, "uniform"), "y", actual, expected))
    assert "the border alone: 1 row at the top and 1 row at the bottom and 2 columns at the left" in told


def test_random_places_have_no_pattern():
    problem, expected = parse("n2c1h8w8-k4r1s1"), np.zeros(Y)
    actual = (np.random.default_rng(0).random(Y) < 0.3).astype(np.float32)
    told = explain(failure_of(problem, "forward", tensors(problem, "forward", 0, "uniform"), "y", actual, expected))
    assert "in no regular pattern along any axis" in told
    assert "known mistake" not in told
