"""Laws of reading that hold for every notation: what a text means, and where an error in it is.

The tables of texts are in `tests/cases/notations`. The rules of one notation alone are tested in a file of its own.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.notations import benchdnn as benchdnn_texts
from cases.notations import miopen as miopen_texts
from convbench.errors import ConvbenchError, NotationError, ProblemError
from convbench.problem import ConvProblem, notation
from convbench.problem.notation import benchdnn, miopen

Parse = Callable[[str], ConvProblem]

# each notation by its own parser, and by the one that finds out which notation a text is in
READERS: tuple[tuple[str, Parse, Any], ...] = (
    ("benchdnn-benchdnn", benchdnn.parse, benchdnn_texts),
    ("benchdnn-notation", notation.parse, benchdnn_texts),
    ("miopen-miopen", miopen.parse, miopen_texts),
    ("miopen-notation", notation.parse, miopen_texts),
)

TEXTS = {
    "own": (notation.parse, st.text(max_size=30) | st.text(alphabet="nchwkrs0123456789-padstrideilgbx.", max_size=40)),
    "benchdnn": (benchdnn.parse, benchdnn_texts.RANDOM),
    "miopen": (miopen.parse, miopen_texts.RANDOM),
}


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(parse, text, problem, id=f"{name}-{text}")
        for name, parse, tables in READERS
        for text, problem in tables.READABLE.items()
    ],
)
def test_a_text_is_the_problem_that_its_program_runs(parse: Parse, text: str, expected: ConvProblem) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("before", ["3 ", "      3\t", "3 A=1 _b2= "])
@pytest.mark.parametrize(
    "text", ["n1c3h5w5-k4r3s3", "mb1ic3ih5oc4kh3", "-n 1 -c 3 -H 5 -W 5 -k 4", "conv -n 1 -c 3 -H 5 -W 5 -k 4"]
)
def test_a_number_in_front_is_how_often_the_line_occurs(before: str, text: str) -> None:
    """`sort FILE | uniq -c` writes it; the environment of the command may follow, or quotes around it."""
    for line in (before + text, f'3 "{text}"'):
        (reading,) = notation.LineReader().read(line)
        assert isinstance(reading, notation.Reading)
        assert (str(reading.problem), reading.count) == ("n1c3h5w5-k4r3s3", 3)
        assert notation.parse(line) == reading.problem


@pytest.mark.parametrize(
    ("text", "directions"),
    [
        ("conv -n 1", ()),
        ("conv -n 1 -F 1", ("forward",)),
        ("conv -n 1 -F 2", ("backward_data",)),
        ("conv -n 1 --forw 4", ("backward_weights",)),
        ("conv -n 1 -F 5", ("forward", "backward_weights")),
        ("conv -n 1 -F 6", ("backward_data", "backward_weights")),
        ("conv -n 1 -F 0", ("forward", "backward_data", "backward_weights")),
        ("conv -n 1 -F 7", ("forward", "backward_data", "backward_weights")),
        ("ic3ih5oc4kh3", ()),
        ("--mb=1 ic3ih5oc4kh3", ("forward",)),
        ("--dir=FWD_I ic3ih5oc4kh3", ("forward",)),
        ("--dir=BWD_D ic3ih5oc4kh3", ("backward_data",)),
        ("--dir=BWD_W ic3ih5oc4kh3", ("backward_weights",)),
        ("--dir=BWD_WB ic3ih5oc4kh3", ("backward_weights",)),
        ("--dir=BWD_DW ic3ih5oc4kh3", ("backward_data", "backward_weights")),
    ],
)
def test_a_line_names_its_directions(text: str, directions: tuple[str, ...]) -> None:
    (reading,) = notation.LineReader().read(text)
    assert isinstance(reading, notation.Reading)
    assert reading.directions == directions
    unmarked = directions in ((), ("forward",))
    assert reading.label == str(reading.problem) + ("" if unmarked else f" [{', '.join(directions)}]")


@pytest.mark.parametrize("text", [text for tables in (benchdnn_texts, miopen_texts) for text in tables.READABLE])
def test_our_own_text_of_the_problem_reads_back(text: str) -> None:
    problem = notation.parse(text)
    assert notation.parse(str(problem)) == problem


@pytest.mark.parametrize(
    ("parse", "text", "position"),
    [
        pytest.param(parse, text, position, id=f"{name}-{text}")
        for name, parse, tables in READERS
        for text, position in tables.MALFORMED.items()
    ],
)
def test_a_malformed_text_is_refused_where_it_goes_wrong(parse: Parse, text: str, position: int) -> None:
    with pytest.raises(NotationError) as caught:
        parse(text)
    assert (caught.value.text, caught.value.position) == (text, position)


@pytest.mark.parametrize(
    ("parse", "text"),
    [pytest.param(parse, text, id=f"{name}-{text}") for name, parse, tables in READERS for text in tables.IMPOSSIBLE],
)
def test_a_well_formed_text_of_no_problem_is_a_problem_error(parse: Parse, text: str) -> None:
    with pytest.raises(ProblemError):
        parse(text)


@pytest.mark.parametrize(("parse", "texts"), TEXTS.values(), ids=TEXTS)
@given(data=st.data())
def test_any_text_is_a_problem_or_refused_inside_it(
    parse: Parse, texts: st.SearchStrategy[str], data: st.DataObject
) -> None:
    text = data.draw(texts)
    try:
        problem = parse(text)
    except NotationError as error:
        assert 0 <= error.position <= len(text)
    except ProblemError:
        pass
    else:
        assert notation.parse(str(problem)) == problem


LINES = [
    "3 ./bin/MIOpenDriver convfp16 -n 1 -c 3 -H 5 -W 5 -k 4 -F 4",
    "MIOpen(HIP): Command [LogCmdConvolution] MIOpenDriver conv -n 1",
    '--dir=BWD_D,FWD_B --dt=f32,u8 --mb=0,4 --stag=axb g1ic3ih5oc4kh3n"a*4"',
    (
        "onednn_verbose,v1,primitive,exec,cpu,convolution,jit,forward_training,src:f32::blocked:acdb::f0 "
        "wei:f32:a:blocked:Acdb32a::f0 bia:f32:a:blocked:a::f0 dst:f32::blocked:acdb::f0,,alg:convolution_direct,"
        "mb2_ic32oc32_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1dw0pw1,0.06"
    ),
]


@given(data=st.data())
def test_any_line_of_a_file_is_read_or_refused_inside_it(data: st.DataObject) -> None:
    """A piece of a real line is taken away, doubled or put into another."""
    line = data.draw(st.sampled_from(LINES))
    first, last = sorted((data.draw(st.integers(0, len(line))), data.draw(st.integers(0, len(line)))))
    middle = data.draw(st.sampled_from(["", line[first:last] * 2]) | st.text(max_size=5) | st.sampled_from(LINES))
    reader = notation.LineReader()
    for text in (line[:first] + middle + line[last:], "ic3ih5oc4kh3"):
        try:
            found = reader.read(text)
        except ConvbenchError as error:
            found = [error]
        for each in found:
            if isinstance(each, notation.Reading):
                assert each.count >= 1
                assert notation.parse(str(each.problem)) == each.problem
            elif isinstance(each, NotationError):
                assert 0 <= each.position <= len(each.text)
