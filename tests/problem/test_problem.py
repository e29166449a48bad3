"""The problem: its sizes and costs agree with counting, its text reads back, and impossible problems are refused."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import NotationError, ProblemError
from convbench.problem import ConvProblem
from convbench.problem.notation import parse
from support.strategies import any_problems, problems

BASE = {"c": 4, "h": 6, "w": 7, "k": 6, "r": 3, "s": 2}


def window_positions(size: int, taps: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Slide the window along the padded axis and count where it fits."""
    first, count = -before, 0
    while first + dilation * (taps - 1) < size + after:
        count, first = count + 1, first + stride
    return count


@given(any_problems())
def test_output_size_is_the_number_of_window_positions(problem):
    (top, bottom), (left, right) = problem.padding
    rows = window_positions(problem.h, problem.r, problem.stride[0], problem.dilation[0], top, bottom)
    columns = window_positions(problem.w, problem.s, problem.stride[1], problem.dilation[1], left, right)
    assert problem.y_shape == (problem.n, problem.k, rows, columns)


@given(problems())
def test_macs_count_every_product(problem):
    products = sum(1 for _ in np.ndindex(*problem.y_shape) for _ in np.ndindex(*problem.w_shape[1:]))
    assert problem.macs == products
    assert problem.flops == 2 * products


@given(any_problems())
def test_fewest_bytes_count_what_the_windows_touch(problem):
    """Number the pixels, pad with numpy, and collect which numbers the windows see."""
    pixels = np.arange(1, problem.h * problem.w + 1).reshape(problem.h, problem.w)
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    padded = np.pad(pixels, problem.padding, mode=modes[problem.padding_mode])
    seen = set()
    for p in range(problem.p):
        for q in range(problem.q):
            h, w = p * problem.stride[0], q * problem.stride[1]
            window = padded[h :: problem.dilation[0], w :: problem.dilation[1]][: problem.r, : problem.s]
            seen |= set(window.ravel().tolist())
    touched = problem.n * problem.c * len(seen - {0})
    weights = problem.k * problem.c // problem.groups * problem.r * problem.s + problem.k * problem.bias
    outputs = problem.n * problem.k * problem.p * problem.q
    item = {"float64": 8, "float32": 4}.get(problem.dtype, 2)
    assert problem.min_bytes == item * (touched + weights + outputs)


@given(problem=problems())
def test_same_as_tensorflow_has_it_divides_the_size_by_the_stride(problem):
    """P = ⌈H / u⌉ with no more padding than that takes, the odd element last."""
    r, s = min(problem.r, problem.h), min(problem.s, problem.w)
    same = ConvProblem(
        c=1, h=problem.h, w=problem.w, k=1, r=r, s=s, stride=problem.stride, dilation=problem.dilation,
        padding="same_tensorflow",
    )  # fmt: skip
    axes = zip((same.h, same.w), (r, s), same.stride, same.dilation, same.padding, (same.p, same.q), strict=True)
    for size, taps, stride, dilation, (before, after), outputs in axes:
        assert outputs == -(-size // stride)
        assert after - before in (0, 1)
        for less in range(before + after):
            assert window_positions(size, taps, stride, dilation, 0, less) < outputs


def test_same_as_tensorflow_on_known_layers():
    """The stem of ResNet in Keras, and a 3 × 3 with stride 2 on an even and on an odd size."""
    stem = ConvProblem(c=3, h=224, w=224, k=64, r=7, s=7, stride=2, padding="same_tensorflow")
    assert (stem.padding, stem.p, stem.q) == (((2, 3), (2, 3)), 112, 112)
    odd = ConvProblem(c=1, h=8, w=7, k=1, r=3, s=3, stride=2, padding="same_tensorflow")
    assert (odd.padding, odd.p, odd.q) == (((0, 1), (1, 1)), 4, 4)


@given(any_problems())
def test_filters_have_the_usual_order_unless_another_is_named(problem):
    usual = {"NCHW": "KCRS", "NHWC": "KRSC"}[problem.layout]
    assert parse(str(replace(problem, filter_layout=usual))).filter_layout == usual
    assert (problem.filter_layout in str(problem).split("-")) == (problem.filter_layout != usual)
    assert (problem.packed().layout, problem.packed().filter_layout) == ("NCHW", "KCRS")


@given(any_problems())
def test_text_reads_back_to_the_same_problem(problem):
    text = str(problem)
    assert parse(text) == problem
    assert not set(text) - set("abcdefghijklmnopqrstuvwxyzNCHWKRS0123456789-."), "not shell-safe"


@given(any_problems(), st.randoms())
def test_options_may_stand_in_any_order(problem, random):
    sizes, filters, *options = str(problem).split("-")
    random.shuffle(options)
    assert parse("-".join([sizes, filters, *options])) == problem


@given(any_problems())
def test_repr_is_the_call_that_makes_the_problem(problem):
    assert eval(repr(problem), {"ConvProblem": ConvProblem}) == problem


@given(problems())
def test_explicit_padding_keeps_the_output(problem):
    outer = problem.explicitly_padded()
    assert outer.y_shape == problem.y_shape
    assert outer.x_shape == problem.padded_shape
    assert outer.padding == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "n1c64h56w56-k64r3s3-pad1-stride2",
            ConvProblem(n=1, c=64, h=56, w=56, k=64, r=3, s=3, padding=1, stride=2),
        ),
        (
            "n8c32h14w14-k32r5s3-pad2x1-dil1x2-g32",
            ConvProblem(n=8, c=32, h=14, w=14, k=32, r=5, s=3, padding=(2, 1), dilation=(1, 2), groups=32),
        ),
        (
            "n1c3h224w224-k64r7s7-pad2.3x2.3-stride2-bias-float16",
            ConvProblem(
                c=3, h=224, w=224, k=64, r=7, s=7, padding=((2, 3), (2, 3)), stride=2, bias=True, dtype="float16"
            ),
        ),
    ],
)
def test_the_examples_of_the_design_are_written_and_read(text, problem):
    assert str(problem) == text
    assert parse(text) == problem


def test_one_number_stands_for_both_axes():
    both = ConvProblem(**BASE, stride=2, padding=1, dilation=2)
    assert (both.stride, both.padding, both.dilation) == ((2, 2), ((1, 1), (1, 1)), (2, 2))
    assert ConvProblem(**BASE, padding=(1, 2)).padding == ((1, 1), (2, 2))
    assert ConvProblem(**BASE, padding=((1, 2), 3)).padding == ((1, 2), (3, 3))
    assert parse("n1c1h9w9-k1r3s3-pad2.3") == ConvProblem(c=1, h=9, w=9, k=1, r=3, s=3, padding=((2, 3), (2, 3)))


@given(problems(strides=st.just(1)))
def test_same_keeps_the_size_and_puts_the_odd_element_last(problem):
    same = ConvProblem(
        c=problem.c, h=problem.h, w=problem.w, k=problem.k, r=problem.r, s=problem.s, groups=problem.groups,
        dilation=problem.dilation, padding="same",
    )  # fmt: skip
    assert (same.p, same.q) == (problem.h, problem.w)
    for before, after in same.padding:
        assert after - before in (0, 1)


def test_valid_is_no_padding():
    assert ConvProblem(**BASE, padding="valid") == ConvProblem(**BASE)


def test_numbers_of_numpy_are_numbers():
    assert ConvProblem(**{name: np.int64(value) for name, value in BASE.items()}) == ConvProblem(**BASE)


def test_a_problem_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ConvProblem(**BASE).n = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"c": 0}, ("c is 0", "at least 1", "n1c0h6w7-k6r3s2")),
        ({"h": -5}, ("h is -5", "at least 1")),
        ({"k": 0}, ("k is 0",)),
        ({"n": 0}, ("n is 0",)),
        ({"r": 0}, ("r is 0",)),
        ({"stride": 0}, ("stride is (0, 0)", "at least 1")),
        ({"dilation": (1, 0)}, ("dilation is (1, 0)",)),
        ({"padding": -1}, ("padding is ((-1, -1), (-1, -1))", "negative")),
        ({"groups": 0}, ("groups is 0",)),
        ({"groups": 4}, ("groups is 4", "divide k = 6")),
        ({"groups": 3}, ("groups is 3", "divide c = 4")),
        ({"r": 7}, ("spans 7 in height", "only 6")),
        ({"s": 4, "dilation": (1, 3)}, ("spans 10 in width", "only 7")),
        ({"padding": (6, 0), "padding_mode": "reflect"}, ("(6, 6)", "reflect", "at most 5")),
        ({"padding": (0, 8), "padding_mode": "circular"}, ("(8, 8)", "circular", "at most 7")),
        ({"padding": "same", "stride": 2}, ("same", "stride 1")),
        ({"padding": "full"}, ("'full'", "valid")),
        ({"padding": (1, 2, 3)}, ("(1, 2, 3)",)),
        ({"padding": ((1, 2), (3,))}, ("(3,)",)),
        ({"stride": 1.5}, ("stride is 1.5", "whole number")),
        ({"c": True}, ("c is True", "whole number")),
        ({"bias": "no"}, ("bias is 'no'", "True or False")),
        ({"c": "4"}, ("c is '4'", "whole number")),
        ({"dtype": "int8"}, ("'int8'", "float32")),
        ({"layout": "CHWN"}, ("'CHWN'", "NHWC")),
        ({"padding_mode": "mirror"}, ("'mirror'", "replicate")),
    ],
)
def test_an_impossible_problem_names_the_value_and_the_rule(change, parts):
    with pytest.raises(ProblemError) as caught:
        ConvProblem(**BASE | change)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 0),
        ("hello", 0),
        ("n1c3h7w7", 8),
        ("n1c3h7w7-k4r3", 13),
        ("n1c3h7w7-k4r3s3-padx", 16),
        ("n1c3h7w7-k4r3s3-pad", 16),
        ("n1c3h7w7-k4r3s3-pad1x2x3", 23),
        ("n1c3h7w7-k4r3s3-pad1.2.3", 19),
        ("n1c3h7w7-k4r3s3-stride1.2", 22),
        ("n1c3h7w7-k4r3s3-pad1-pad2", 21),
        ("n1n2c3h7w7-k4r3s3", 2),
        ("n1c3h7w7-k4r3s3-float8", 16),
        ("n1c3h7w7-k4r3s3--bias", 16),
        ("n1c3h7w7-k4r3s3-bias-", 21),
        ("n1c3h7w7z2-k4r3s3", 8),
        ("n1 c3h7w7-k4r3s3", 2),
        ("n1c3h7w7-k4r3s3-pad1é", 19),
        ("n１c3h7w7-k4r3s3", 0),
        ("n1c" + "9" * 5000 + "h7w7-k4r3s3", 3),
        ("mb1ic" + "9" * 5000 + "ih7oc1kh3", 5),
        ("-n 1 -c " + "9" * 5000, 8),
    ],
)
def test_malformed_text_is_refused_at_its_position(text, position):
    with pytest.raises(NotationError) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"position {position}" in str(caught.value)


def test_the_cost_of_a_known_layer():
    """VGG-16's second layer: 64 filters of 3 × 3 × 64 at each of 224² pixels."""
    layer = ConvProblem(c=64, h=224, w=224, k=64, r=3, s=3, padding=1)
    assert layer.macs == 1_849_688_064
    assert layer.min_bytes == 4 * (2 * 64 * 224 * 224 + 64 * 64 * 9)
    assert layer.arithmetic_intensity == pytest.approx(layer.flops / layer.min_bytes, rel=0, abs=0)


def test_a_1_d_convolution_is_the_case_of_one_row():
    assert ConvProblem(n=6, c=768, h=1, w=512, k=100, r=1, s=2).y_shape == (6, 100, 1, 511)


def test_a_group_is_a_dense_problem():
    problem = ConvProblem(**BASE | {"groups": 2})
    assert problem.group() == replace(problem, c=2, k=3, groups=1)
