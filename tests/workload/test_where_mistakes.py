"""Invalid filters, and filters that try to run code, get a message that points at the place, and nothing runs."""

import builtins
import contextlib
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import ConvbenchError
from convbench.workload.condition import MOST_CHARACTERS, ConditionError
from convbench.workload.where import COLUMNS, select
from workload.test_where import FRAME, LAYERS, chosen

DANGEROUS = (
    "__import__('os').system('x')", "@x == 1", "r == @os.system('x')", "name.__class__", "name.upper() == 'X'",
    "().__class__.__bases__[0].__subclasses__()", "`r` == 3", "(r := 3) == 3", "f'{r}' == '3'", "f'{exit()}' == name",
    "[x for x in (1, 2)] == r", "r in {x for x in (1,)}", "all(x for x in (1,))", "lambda: 1", "(lambda: 1)() == r",
    "r[0] == 3", "name[0] == 'c'", "print(r) == 3", "eval('1') == 1", "r == 3 if bias else s == 3", "{1: r} == 3",
    "r in {1, 3}", "r is 3", "r == None", "r == ...", "r == b'3'", "r == 3j", "*r == 3", "await r", "r @ s == 3",
    "r << 3 == 8", "r ^ 1 == 2", "yield r", "import os", "r == 3; s == 3", "r = 3", "del r", "__builtins__ == 1",
    "os == 1", "self == 1", "index == 1", "pd == 1", "9**9**9 == r", "9**9**9 > 1 and r == 99",
    "r == 99 and 2**1024**2 > 1",
    "'a' * 10**9 == name", "(1,) * 10**9 == stride", "'a' + 'b' == name", "'%s' % r == name", "name % 3 == 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def audited():
    """What the interpreter does while `watching`: an audit hook cannot be removed."""
    events, state = [], {"watching": False}

    def note(event, _):
        if state["watching"] and event in ("os.system", "subprocess.Popen", "import", "exec", "open"):
            events.append(event)

    sys.addaudithook(note)
    yield events, state
    state["watching"] = False


@pytest.fixture
def ran(monkeypatch, audited):
    """What a text has run: of the interpreter's events, and of functions that a text could call."""
    events, state = audited
    events.clear()
    for place, name in ((os, "system"), (builtins, "eval"), (builtins, "exec"), (builtins, "print")):
        monkeypatch.setattr(place, name, lambda *_, **__: events.append("a call"))
    state["watching"] = True
    yield events
    state["watching"] = False


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_is_no_harmless_condition_is_refused_at_its_place(text, ran):
    try:
        select(LAYERS, text)
        pytest.fail("it was taken")
    except ConditionError as error:
        caught = error
    assert ran == []
    assert 0 <= caught.position <= len(text)
    message = str(caught).split("\n")
    assert message[1] == f"    {text}"
    assert message[2] == f"    {' ' * caught.position}^"
    assert message[3] == f"columns are {', '.join(COLUMNS)}"


def test_pandas_would_have_run_it(ran):
    """So the filter is not pandas' own, and what sees that nothing runs would see it."""
    FRAME.query("r == @os.system('x')")
    assert ran == ["a call"]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("r == 3 and naem == 'x'", "naem", "'naem' is no column"),
        ("dtype == float16", "float16", "text is written in quotes, 'float16'"),
        ("name == 'é∗' and x == 1", "x ", "'x' is no column"),
        ("r == 3 | x == 1", "x ", "'x' is no column"),
        ("r == 3 and print(r)", "print", "a call is not allowed"),
        ("r", "r", "the filter is a number; it must be a condition"),
        ("stride", "stride", "the filter is a pair"),
        ("r and s == 3", "r", "this is a number, and must be a condition"),
        ("~r == 3", "r", "~ binds tighter than =="),
        ("r == 3 and stride > 1", "1", "stride_h, pad_t and their like are numbers"),
        ("r < 'x'", "'x'", "a number and a text have no order"),
        ("r == 'x'", "'x'", "a number is never equal to a text"),
        ("dtype in ['float16', 3]", "['", "a text is never equal to a number"),
        ("stride == (1, 1, 1)", "(1", "a pair is never equal to a tuple of 3"),
        ("stride == (1, 'x')", "(1", "a pair is never equal to a text"),
        ("r in 3", "3", "`in` asks for a list"),
        ("r + name == 3", "name", "this is a text, and must be a number"),
        ("r == 9**9**9", "9**9", "9 ** 387420489 is too large"),
        ("(-8) ** 0.5 > r", "0.5", "no real number"),
        ("r = 3", "= 3", "this is no expression"),
        ("r == 3 &", "", "this is no expression"),
        ("(r == 3", "(r", "was never closed"),
        ("", "", "an empty text is no condition"),
    ],
)
def test_a_mistake_is_pointed_at(text, place, reason):
    with pytest.raises(ConditionError) as caught:
        select(LAYERS, text)
    assert reason in caught.value.reason
    assert text[caught.value.position :].startswith(place) if place else caught.value.position == len(text)


@given(st.text(max_size=60) | st.text(alphabet="rs3 =()&|~<>'\"+-*/%,.[]@`{}:", max_size=40))
def test_any_text_is_a_condition_or_a_clear_error(text):
    with contextlib.suppress(ConvbenchError):
        select(LAYERS, text)


@pytest.mark.parametrize(
    "text", ["r == 3" + " " * MOST_CHARACTERS, "(" * 900 + "r", "-" * 990 + "r == 3", "not " * 200 + "bias"]
)
def test_a_text_may_not_be_endless(text):
    with pytest.raises(
        ConvbenchError, match=r"characters; at most 1000|too many nested|inside each other|no expression"
    ):
        select(LAYERS, text)


def test_what_cannot_be_computed_names_the_layer():
    with pytest.raises(ConvbenchError, match=r"layer 'conv0', n1c64h56w56-k64r3s3-pad1: .*by zero"):
        select(LAYERS, "k // (r - 3) == 1")
    assert chosen("r != 3 and k // (r - 3) == 16") == [2]
    with pytest.raises(ConvbenchError, match=r"layer 'conv0'.*too large"):
        select(LAYERS, "c ** macs > 1")


def test_a_filter_that_leaves_nothing_says_what_there_is():
    with pytest.raises(ConvbenchError) as caught:
        select(LAYERS, "r == 4 and dtype == 'float16'")
    message = str(caught.value)
    assert "leaves none of the 10 layers" in message
    assert "r is 1, 2, 3, 5, 7" in message
    assert "dtype is 'bfloat16', 'float16', 'float32', 'float64'" in message
