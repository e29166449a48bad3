"""The filter of layers chooses the same layers as a pandas query."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench import workload
from convbench.errors import ConvbenchError
from convbench.problem.notation import parse
from convbench.workload import Layer
from convbench.workload.where import COLUMNS, Row, select
from support.strategies import any_problems

TEXTS = (
    "n1c64h56w56-k64r3s3-pad1", "n1c64h56w56-k128r3s3-pad1-stride2", "n2c3h224w224-k64r7s7-pad3-stride2-bias",
    "n1c32h112w112-k32r3s3-pad1-g32", "n8c16h9w30-k24r1s5-pad0x2-dil1x2-float16", "n1c960h7w7-k160r1s1-float16-NHWC",
    "n4c6h10w11-k4r2s3-pad0.1x2.1-stride1x3-bias-circular", "n3c4h5w6-k2r2s2-g2-bfloat16", "n1c5h5w5-k1r5s5-float64",
)  # fmt: skip
LAYERS = tuple(Layer(name=f"conv{number % 6}", problem=parse(text)) for number, text in enumerate((*TEXTS, TEXTS[0])))

NUMBERS = sorted(name for name, column in COLUMNS.items() if column.kind == "number")
WORDS = sorted(name for name, column in COLUMNS.items() if column.kind == "text")


def chosen(text, layers=LAYERS):
    """The places of the layers that a filter leaves; none at all is an error elsewhere and an empty list here."""
    try:
        found = select(layers, text)
    except ConvbenchError as error:
        assert "leaves none" in str(error)
        found = ()
    kept = {id(layer) for layer in found}
    return [place for place, layer in enumerate(layers) if id(layer) in kept]


# ---- pandas

FRAME = pd.DataFrame(
    [
        {name: COLUMNS[name].value(Row(layer, 2 if layer.problem == LAYERS[0].problem else 1)) for name in COLUMNS}
        for layer in LAYERS
    ]
)

small = st.integers(0, 9) | st.sampled_from((16, 64, 112, 0.5, 2.5))
sizes = st.sampled_from([name for name in NUMBERS if name not in ("macs", "flops", "min_bytes")])


@st.composite
def terms(draw, depth=2):
    """Arithmetic on columns: small enough for pandas' 64 bits, and without a division by zero."""
    column = draw(sizes)
    if depth == 0 or draw(st.booleans()):
        return column
    match draw(st.sampled_from("+-*/%^~(")):
        case "^":
            return f"{column} ** {draw(st.integers(0, 2))}"
        case "~":
            return f"-{draw(terms(depth=depth - 1))}"
        case "(":
            return f"({draw(terms(depth=depth - 1))})"
        case "/" | "%":
            sign = draw(st.sampled_from(("/", "//", "%")))
            return f"{draw(terms(depth=depth - 1))} {sign} {draw(st.integers(1, 9))}"
        case sign:
            return f"{draw(terms(depth=depth - 1))} {sign} {draw(small | terms(depth=depth - 1))}"


@st.composite
def comparisons(draw):
    match draw(st.sampled_from(("numbers", "chain", "in", "text", "texts", "bias"))):
        case "numbers":
            sign = draw(st.sampled_from(("==", "!=", "<", "<=", ">", ">=")))
            return f"{draw(terms())} {sign} {draw(small | terms())}"
        case "chain":
            return f"{draw(small)} <= {draw(terms())} < {draw(small)}"
        case "in":
            values = draw(st.lists(small, min_size=1, max_size=3))
            return f"{draw(sizes)} {draw(st.sampled_from(('in', 'not in', '==', '!=')))} {values}"
        case "text":
            word = draw(st.sampled_from(("float16", "float32", "NHWC", "conv1", "circular", "it's")))
            return f"{draw(st.sampled_from(WORDS))} {draw(st.sampled_from(('==', '!=')))} {word!r}"
        case "texts":
            words = draw(st.lists(st.sampled_from(("float16", "float64", "conv2", "KRSC")), min_size=1, max_size=3))
            return f"{draw(st.sampled_from(WORDS))} {draw(st.sampled_from(('in', 'not in')))} {words}"
        case _:
            return f"bias == {draw(st.booleans())}"


def conditions(depth=2):
    if depth == 0:
        return comparisons()
    inner = conditions(depth - 1)
    return st.one_of(
        inner,
        st.tuples(inner, st.sampled_from(("and", "or", "&", "|")), inner).map(" ".join),
        inner.map("not ({})".format),
        inner.map("~({})".format),
        inner.map("({})".format),
    )


@given(conditions())
def test_a_filter_chooses_what_pandas_chooses(text):
    assert chosen(text) == list(FRAME.query(text).index)


def test_bitwise_signs_bind_as_they_do_in_pandas():
    """In Python `r == 3 & s == 3` is `r == (3 & s) == 3`."""
    text = "r == 3 & s == 3 | bias"
    assert chosen(text) == chosen("(r == 3 and s == 3) or bias") == list(FRAME.query(text).index)
    assert chosen("name != 'a & b | c'") == list(range(len(LAYERS)))


# ---- columns


@given(st.lists(any_problems(), min_size=1, max_size=5), st.data())
def test_every_column_is_what_the_problem_says(problems, data):
    layers = tuple(Layer(name=str(place), problem=problem) for place, problem in enumerate(problems))
    one = data.draw(st.sampled_from(problems))
    name = data.draw(
        st.sampled_from(
            [name for name in COLUMNS if name not in ("name", "count", "direction", "arithmetic_intensity")]
        )
    )
    sides = {"stride": one.stride, "dil": one.dilation}
    value = (
        dict(zip("tblr", (*one.padding[0], *one.padding[1]), strict=True))[name[-1]]
        if name.startswith("pad_")
        else sides[name[:-2]][name.endswith("_w")]
        if name.endswith(("_h", "_w"))
        else getattr(one, name)
    )
    for place, problem in enumerate(problems):
        if problem == one:
            assert place in chosen(f"{name} == {value!r}", layers)
    assert place not in chosen(f"{name} != {value!r}", layers) or problems[place] != one


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("r==3 and stride==(1,1)", [0, 3, 9]),
        ("stride == 2", [1, 2]),
        ("stride != 1 and stride != 2", [6]),
        ("stride == (1, 3)", [6]),
        ("(1, 3) == stride", [6]),
        ("stride_w == 3", [6]),
        ("stride in (2, (1, 3))", [1, 2, 6]),
        ("padding == 1", [0, 1, 3, 9]),
        ("padding == (0, 2)", [4]),
        ("padding == ((0, 1), (2, 1))", [6]),
        ("padding == stride and bias == False", [0, 3, 9]),
        ("stride == padding and bias == False", [0, 3, 9]),
        ("pad_b == 1 and pad_t == 0", [6]),
        ("dilation == (1, 2)", [4]),
        ("k == [64, 128]", [0, 1, 2, 9]),
        ("k == (64, 128)", [0, 1, 2, 9]),
        ("[64, 128] == k", [0, 1, 2, 9]),
        ("k in (c, 2 * c) and groups == 1", [0, 1, 9]),
        ("groups == c", [3]),
        ("bias", [2, 6]),
        ("not bias and dtype == 'float64'", [8]),
        ("count > 1", [0, 9]),
        ("name == 'conv3'", [3, 9]),
        ("'v3' in name", [3, 9]),
        ("'conv' not in name or layout == \"NHWC\"", [5]),
        ("p * q == 56 * 56 and macs > 1e8", [0, 9]),
        ("arithmetic_intensity < 1", [8]),
        ("terms // (r * s) == c / groups and r != s", [4, 6]),
        ("2 <= r < s", [6]),
        ("  r == 3\n and groups == 32  # depthwise", [3]),
    ],
)  # fmt: skip
def test_a_filter_reads_as_it_is_written(text, places):
    assert chosen(text) == places


def test_layers_keep_their_order_counts_and_workload():
    whole = workload.load("resnet18")
    part = whole.where("r == 3")
    assert part.layers == tuple(layer for layer in whole.layers if layer.problem.r == 3)
    assert (part.name, part.source) == (whole.name, whole.source)
