"""Malformed texts that readers once met with a traceback, a great deal of memory, or minutes of work."""

import pytest

from cases.machine_code import code_of
from convbench.emulator import codec
from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.parser import parse
from convbench.errors import ConvbenchError, NotationError
from convbench.problem.notation import LineReader
from convbench.profiling import chips, nsight
from convbench.records import Record

HEAD = ".version 8.7\n.target sm_80\n.address_size 64\n"
DIGITS = "1" * 5_000  # Python reads no number of so many


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (".loc one 2 3", "expected an integer, found one"),
        (".file x", "expected an integer, found x"),
        (f".global .b8 table[{DIGITS}];", "expected an integer, found 111"),
        (".global .align ² .b8 table[4];", "expected an integer, found ²"),
        (".entry k()\n.maxntid 08\n{ ret; }", "expected an integer, found 08"),
        (".entry k() {\nld.b32 %r1, [%rd1+%rd2];\n}", "expected an integer, found %rd2"),
        (".entry k() {\nld.b32 %r1, [²];\n}", "expected an integer, found ²"),
        (".entry k() {" + "{" * 2_000, "more than 100 blocks in each other"),
        (".entry k() {{ .reg .b32 %r<1000000000>; }}", "1000000000 registers %r; it may have 65536"),
        (".global .b8 table[] = " + "{" * 2_000, "ends in the middle"),
    ],
)
def test_malformed_ptx_is_refused_with_its_place(text, told):
    with pytest.raises(UnsupportedError) as caught:
        parse(HEAD + text)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"Unknown": {}}', b'{"Site": 3}', b'{"Sites": [3]}', b'{"Space": 99}', b"1", b'{"a":1,"b":2}'],
)
def test_what_is_no_compiled_kernel_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        codec.decoded(text)


@pytest.mark.parametrize("text", [f"[mine]\nl2_kib = {DIGITS}", "x = " + "[" * 20_000, "a." * 40_000])
def test_a_file_of_chips_that_the_reader_of_toml_cannot_take_is_named(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConvbenchError, match=r"mine\.toml"):
        chips.get(str(tmp_path / "mine.toml"))


def test_a_profile_with_a_huge_field_is_named_and_a_counter_that_is_no_number_is_left_out(tmp_path):
    file = tmp_path / "profile.csv"
    file.write_text('"Kernel Name","inst_executed"\n"a","' + "1" * 200_000 + '"\n')
    with pytest.raises(ConvbenchError, match=r"profile\.csv is no CSV"):
        nsight.read_profile(file)
    file.write_text('"Kernel Name","inst_executed"\n"a","nan"\n"b","inf"\n"c","7"\n')
    assert nsight.read_profile(file) == {"c": {"instructions": 7.0}}


def test_the_width_of_a_matrix_load_that_is_cut_off_is_that_of_one():
    assert [each.bytes for each in code_of("LDSM. R0, [R1]", "LDSM.16.M88.24 R0, [R1]").instructions] == [4, 4]


def test_a_record_that_is_nested_too_deep_is_no_record():
    with pytest.raises(ValueError, match="nested too deep"):
        Record.from_json('{"problem":' + "[" * 100_000)


def test_the_message_of_a_long_line_has_the_part_around_the_mistake():
    faults = LineReader().read("ic3 " + "what " * 2_000 + "ic3ih5oc4kh3")
    errors = [fault for fault in faults if isinstance(fault, NotationError)]
    assert len(errors) == 2_001
    assert max(len(str(error)) for error in errors) < 4_000
    _, line, caret = str(errors[1_000]).split("\n")
    assert line[caret.index("^") :].startswith("what what")
    assert line.strip().startswith("…")
    assert line.endswith("…")


def test_values_of_knobs_whose_combinations_are_too_many_are_refused():
    knobs = ["--dir=" + "FWD_D," * 99 + "FWD_D", "--dt=" + "f32," * 99 + "f32", "--mb=" + "1," * 99 + "1"]
    (fault,) = LineReader().read(" ".join((*knobs, "ic3ih5oc4kh3")))
    assert "1,000,000 combinations of values; at most 1,000 are read" in str(fault)
