"""Rules of benchdnn descriptors alone: knobs that are refused, and paddings on the far side as oneDNN computes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import NotationError
from convbench.problem import notation
from convbench.problem.notation import benchdnn


@pytest.mark.parametrize("knob", ["--attr-post-ops=relu", "--stag=axb", "--mode=P"])
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
