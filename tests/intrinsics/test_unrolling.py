"""An unrolled function computes what the function computes, with its loops written out and its lines kept."""

import dis
import inspect
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import unrolled_functions
from convbench.intrinsics import static, unrolled

small = st.integers(0, 4)


@given(small, st.integers(-3, 3))
def test_a_loop_written_out_gives_what_the_loop_gives(count, x):
    function = unrolled_functions.powers(count)
    assert unrolled(function)(x) == function(x)


@given(small, small, st.lists(st.integers(-9, 9), min_size=16, max_size=16))
def test_nested_loops_see_the_outer_ones_number(rows, columns, values):
    function = unrolled_functions.nested(rows, columns)
    assert unrolled(function)(values) == function(values)


@given(st.none() | st.integers(0, 10), st.integers(0, 9))
def test_a_size_is_the_constant_or_the_argument(height, size):
    function = unrolled_functions.chosen(height)
    assert unrolled(function)((size,)) == function((size,))


@given(st.booleans(), st.integers(-2, 2))
def test_a_constant_decides_and_and_or(is_padded, x):
    function = unrolled_functions.guarded(is_padded)
    assert list(map(bool, unrolled(function)(x))) == list(map(bool, function(x)))


@given(st.lists(st.integers(0, 200), max_size=4).map(tuple), st.integers(-1, 5))
def test_what_is_no_constant_stays(extents, x):
    function = unrolled_functions.mixed(extents)
    assert unrolled(function)(x) == function(x)


def test_a_name_that_the_function_assigns_is_no_constant():
    function = unrolled_functions.shadowed(7)
    assert unrolled(function)(1) == function(1) == 3


def test_constants_may_be_globals():
    function = unrolled_functions.of_globals()
    assert unrolled(function)(1) == function(1) == [4, 5, 6]


def jumps(function):
    """Instructions that branch on a condition."""
    return [step for step in dis.get_instructions(function) if "JUMP" in step.opname or step.opname == "FOR_ITER"]


def test_nothing_is_left_of_static_loops_and_constant_branches():
    for function in (unrolled_functions.powers(4), unrolled_functions.nested(2, 3), unrolled_functions.chosen(9)):
        assert jumps(function)
        assert not jumps(unrolled(function))


def test_lines_keep_their_numbers():
    """Reports on a kernel name the line of the original source."""
    function = unrolled_functions.raises_behind_a_loop(3)
    with pytest.raises(ArithmeticError) as caught:
        unrolled(function)(1)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert frame.filename == inspect.getsourcefile(unrolled_functions)
    assert "the line that the test looks for" in frame.line


@pytest.mark.parametrize(
    "function", [unrolled_functions.no_constant, unrolled_functions.two_names(2)], ids=["argument", "two names"]
)
def test_a_static_loop_over_what_is_no_constant_is_refused_with_its_line(function):
    with pytest.raises(ValueError, match=r"unrolled_functions\.py:\d+: .*takes constants"):
        unrolled(function)


def test_a_function_without_source_is_refused():
    scope = {"static": static}
    exec("def typed_in(x):\n    return x", scope)
    with pytest.raises(OSError, match=r"<string>"):
        unrolled(scope["typed_in"])


def test_outside_an_unrolled_function_static_is_range():
    assert list(static(2, 5)) == [2, 3, 4]
