"""Rules of MIOpenDriver command lines alone: flags that do not change the problem, and texts of other notations."""

from typing import Any

import pytest

from cases.notations.miopen import driver
from convbench.errors import NotationError
from convbench.problem import notation
from convbench.problem.notation import miopen

# flags that say how to run, with a value that would show if it were taken for a size
PASSED_OVER = [
    "-! 7", "--in_d 7", "-@ 7", "--fil_d 7", "-# 7", "--conv_stride_d 7", "-$ 7", "--pad_d 7", "-^ 7", "--dilation_d 7",
    "-% 7", "--trans_output_pad_d 7", "-Y 7", "--trans_output_pad_h 7", "-X 7", "--trans_output_pad_w 7",
    "-r 7", "--pad_val 7", "-i 7", "--iter 7", "-V 7", "--verify 7", "-C 7", "--verification_cache 7",
    "-t 7", "--time 7", "-w 7", "--wall 7", "-s 7", "--search 7", "-P 7", "--printconv 7", "-o 7", "--dump_output 7",
    "-d 7", "--in_data x.bin", "-e 7", "--weights w.bin", "-a 7", "--in_bias b.bin", "-D 7", "--dout_data dy.bin",
    "-S -1", "--solution ConvBinWinogradRxSf2x3g1", "-G 1", "--gpualloc 1", "-~ 2", "--gpubuffer_check 2", "-N 1",
    "--init_output_nan 1", "-& 7", "--tuning_policy 7", "-M 0", "--math_type 0", "-J 1", "--use_hip_graph 1",
    "-Z 0", "--tensor_vect 0", "-L 1", "--vector_length 1", "-U -1", "--in_cast_type -1", "-R -1", "--wei_cast_type -1",
    "-T -1", "--out_cast_type -1",
]  # fmt: skip

reading = pytest.mark.parametrize("parse", [miopen.parse, notation.parse], ids=["miopen", "notation"])


@pytest.mark.parametrize(
    ("flags", "problem", "directions"),
    [
        ("", "n1c4h7w7-k2r3s3-stride2", ("backward_data",)),
        ("-F 1 -p 1 -q 1 -Y 1 -X 0", "n1c4h6w5-k2r3s3-pad1-stride2", ("backward_data",)),
        ("-F 2 -g 2 -b 1 -z same", "n1c4h7w7-k2r3s3-stride2-g2", ("forward",)),
        ("-F 4 -I NHWC -f NHWC -O NHWC", "n1c4h7w7-k2r3s3-stride2-NHWC", ("backward_weights",)),
        ("-F 0 -l 2", "n1c4h9w7-k2r3s3-stride2-dil2x1", ("backward_data", "forward", "backward_weights")),
    ],
)
def test_a_transposed_convolution_is_the_gradient_of_a_problem(
    flags: str, problem: str, directions: tuple[str, ...]
) -> None:
    """Its input has 2 channels of 3 × 3, its output 4; torch.nn.ConvTranspose2d gives these outputs."""
    text = f"./bin/MIOpenDriver conv -m trans -n 1 -c 2 -H 3 -W 3 -k 4 -y 3 -x 3 -u 2 -v 2 {flags}"
    found = notation.read(text)
    assert (str(found.problem), found.directions) == (problem, directions)
    assert found.problem.y_shape == (1, 2, 3, 3)


@reading
@pytest.mark.parametrize("flag", PASSED_OVER)
def test_how_to_run_does_not_change_the_problem(parse: Any, flag: str) -> None:
    assert parse(f"{flag} -n 1") == driver(n=1)
    assert parse(f"conv -n 1 {flag}") == driver(n=1)


@pytest.mark.parametrize(
    "text", ["n1c3h5w5-k4r3s3", "ic3ih5oc4kh3", "--conv ic3ih5oc4kh3", "--dir=FWD_D ic3ih5oc4kh3", "convolution", ""]
)
def test_texts_of_the_other_forms_are_left_to_them(text: str) -> None:
    assert not miopen.looks_like(text)


def test_an_empty_line_names_no_convolution() -> None:
    with pytest.raises(NotationError):
        miopen.parse("")
