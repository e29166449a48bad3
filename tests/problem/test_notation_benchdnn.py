"""Rules of benchdnn descriptors alone: knobs that are refused, and paddings on the far side as oneDNN computes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import NotationError
from convbench.problem import notation
from convbench.problem.notation import LineReader, Reading, benchdnn


@pytest.mark.parametrize("knob", ["--atr-post-ops=relu", "--sttag=axb", "--mod=P", "-p"])
def test_a_knob_that_is_not_read_is_named(knob: str) -> None:
    with pytest.raises(NotationError, match=knob):
        notation.parse(f"--conv {knob} ic3ih5oc4kh3")


@given(
    size=st.integers(1, 12),
    taps=st.integers(1, 4),
    stride=st.integers(1, 5),
    dilation=st.integers(0, 2),
    before=st.integers(0, 4),
    out=st.integers(1, 9),
)
def test_a_given_output_is_kept_or_refused_as_onednn_does(
    size: int, taps: int, stride: int, dilation: int, before: int, out: int
) -> None:
    """oneDNN accepts a far padding above -stride (conv_desc_init); where a window ends is counted, not computed."""
    last_read = max(p * stride - before + r * (dilation + 1) for p in range(out) for r in range(taps))
    far_side = last_read - (size - 1)
    text = f"ic1oc1ih{size}oh{out}kh{taps}sh{stride}dh{dilation}ph{before}"
    if far_side > -stride:
        problem = benchdnn.parse(text)
        assert (problem.p, problem.padding[0][0]) == (out, before)
        assert problem.padding[0][1] in (before, max(0, far_side))
    else:
        with pytest.raises(NotationError):
            benchdnn.parse(text)


@given(
    size=st.integers(1, 40),
    taps=st.integers(1, 5),
    stride=st.integers(2, 5),
    dilation=st.integers(0, 2),
    before=st.integers(0, 4),
    out=st.integers(1, 12),
)
def test_a_negative_padding_at_the_far_side_is_elements_that_no_window_reads(
    size: int, taps: int, stride: int, dilation: int, before: int, out: int
) -> None:
    """benchdnn's own far padding (opp_pad) is negative; the problem that is read has the windows of a smaller input."""
    far_side = (out - 1) * stride - size + (taps - 1) * (dilation + 1) + 1 - before
    fields = f"ic1oc1oh{out}kh{taps}sh{stride}dh{dilation}ph{before}"
    if -stride < far_side < 0:
        problem = benchdnn.parse(f"{fields}ih{size}")
        assert problem.p == out
        assert problem.padding[0] in ((before, before), (before, 0))
        if size + far_side >= 1:
            assert benchdnn.parse(f"{fields}ih{size + far_side}").p == out


@pytest.mark.parametrize(
    ("name", "count"),
    [('"net:conv1*4"', 4), ("net:conv1*12", 12), ('"net:conv*3x"', 1), ('"net:3*conv1"', 1), ("", 1), ('"a*2*3"', 3)],
)
def test_a_star_and_a_number_at_the_end_of_a_name_count_the_layer(name: str, count: int) -> None:
    (reading,) = LineReader().read(f"ic3ih5oc4kh3n{name}")
    assert isinstance(reading, Reading)
    assert reading.count == count


def test_knobs_hold_for_the_lines_below_them() -> None:
    reader = LineReader()
    lines = [
        "ic3ih5oc4kh3",
        "--dt=f16 --mb=7",
        "ic3ih5oc4kh3",
        "--dir=BWD_W",
        "ic3ih5oc4kh3",
        "--reset",
        "ic3ih5oc4kh3",
    ]
    found = [reading for line in lines for reading in reader.read(line)]
    assert [reading.label for reading in found if isinstance(reading, Reading)] == [
        "n2c3h5w5-k4r3s3",
        "n7c3h5w5-k4r3s3-bias-float16",
        "n7c3h5w5-k4r3s3-float16 [backward_weights]",
        "n2c3h5w5-k4r3s3-bias",
    ]


def test_several_values_of_knobs_are_a_problem_for_each_combination() -> None:
    found = LineReader().read("--dir=FWD_D,BWD_D --dt=f32,u8:s8:u8,bf16 --mb=1,4 ic3ih5oc4kh3 ic3ih5oc4kh1")
    labels = [reading.label for reading in found if isinstance(reading, Reading)]
    faults = [str(fault) for fault in found if not isinstance(fault, Reading)]
    assert len(labels) == len(set(labels)) == 2 * 2 * 2 * 2
    assert "n4c3h5w5-k4r3s3-bfloat16 [backward_data]" in labels
    assert len(faults) == 2 * 1 * 2 * 2
    assert all("u8:s8:u8" in fault for fault in faults)


def test_a_memory_format_that_no_problem_has_is_told() -> None:
    (reading,) = LineReader().read("--dir=FWD_D --stag=acdb --wtag=Acdb32a --dtag=aBcd16b ic3ih5oc4kh3")
    assert isinstance(reading, Reading)
    assert reading.label == "n2c3h5w5-k4r3s3-NHWC [wei Acdb32a, dst aBcd16b]"
