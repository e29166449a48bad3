"""Command lines of the CUTLASS profiler give the problems that it would run, with its defaults."""

import pytest

from convbench.errors import NotationError, ProblemError
from convbench.problem.notation import LineReader, OtherOperationError, parse, read

EVERY_OPTION = (
    "./tools/profiler/cutlass_profiler --kernels=tensorop*dgrad --n=8 --h=9 --w=7 --c=32 --k=16 --r=1 --s=3 --pad_h=0 "
    "--pad_w=2 --stride_h=2 --stride_w=1 --dilation_h=1 --dilation_w=2 --g=16"
)
LONG_NAMES = (
    "$ CUDA_VISIBLE_DEVICES=1 build\\cutlass_profiler.exe --conv_kind=fprop --input_n=2 --input_h=5 --input_w=6 "
    "--input_c=4 --filter_k=8 --filter_r=2 --filter_s=1 --groups=2 --output_p=6 --output_q=8"
)
ALL = ("forward", "backward_data", "backward_weights")


def readings(text):
    return [(str(each.problem), each.directions, each.tags) for each in LineReader().read(text)]


@pytest.mark.parametrize(
    ("text", "problem", "directions"),
    [
        ("cutlass_profiler --operation=Conv2d", "n1c64h16w16-k64r3s3-pad1-NHWC", ALL),
        ("--operation=conv2d --conv_kind=wgrad", "n1c64h16w16-k64r3s3-pad1-NHWC", ("backward_weights",)),
        (EVERY_OPTION, "n8c32h9w7-k16r1s3-pad0x2-stride2x1-dil1x2-g16-NHWC", ("backward_data",)),
        (LONG_NAMES, "n2c4h5w6-k8r2s1-pad1-g2-NHWC", ("forward",)),
        (
            "cutlass_profiler --operation=Conv2d --conv_kind=fprop --h=14 --w=14 --stride_h=2 --stride_w=2 --p=8 --q=7",
            "n1c64h14w14-k64r3s3-pad1.2x1-stride2-NHWC",
            ("forward",),
        ),
        (
            "--conv_kind=fprop --Activation=bf16:nhwc --Filter=bf16:nhwc --Output=bf16:nhwc --operation=CONV2D",
            "n1c64h16w16-k64r3s3-pad1-bfloat16-NHWC",
            ("forward",),
        ),
    ],
)
def test_a_command_line_is_the_problem_that_the_profiler_runs(text, problem, directions):
    assert readings(text) == [(problem, directions, ())]
    assert str(parse(text)) == problem


def test_several_values_and_ranges_are_each_combination():
    text = "cutlass_profiler --operation=Conv2d --conv_kind=fprop --n=1,4 --k=8:24:8 --c=2:1 --n=9"
    assert [each.problem.n for each in LineReader().read(text)] == [1] * 6 + [4] * 6 + [9] * 6
    assert [(each.problem.c, each.problem.k) for each in LineReader().read(text)[:6]] == [
        (1, 8), (1, 16), (1, 24), (2, 8), (2, 16), (2, 24),
    ]  # fmt: skip
    with pytest.raises(NotationError, match="the options describe 18 problems"):
        read(text)


def test_an_impossible_combination_does_not_lose_the_others():
    found = LineReader().read("cutlass_profiler --operation=Conv2d --conv_kind=fprop --g=1,3,4")
    assert [isinstance(each, ProblemError) for each in found] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "tags", "dtype"),
    [
        ("--Activation=f16:nhwc --Filter=f16:nhwc --Output=f32:nhwc", ("Output f32",), "float16"),
        ("--Activation=tf32 --Filter=tf32", ("tf32", "Output f32"), "float32"),
        ("--Activation=f16:nc32hw32", ("Activation nc32hw32",), "float16"),
        ("--conv_mode=conv --Activation=*", ("flipped filter",), "float32"),
    ],
)
def test_what_a_problem_does_not_have_is_kept_as_tags(options, tags, dtype):
    text = f"cutlass_profiler --operation=Conv2d --conv_kind=fprop {options}"
    if "tf32" in tags:
        text += " --Output=f32"
    (found,) = LineReader().read(text)
    assert (found.tags, found.problem.dtype) == (tags, dtype)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--n 8", "--n has no value; write --n=1, without a space"),
        ("--n=x", "n is 'x'; it must be a whole number"),
        ("--n=rand:1:2:3", "n is 'rand:1:2:3'"),
        ("--n=1:9:0", "the step of a range is at least 1"),
        ("--n=1:99999", "a range has at most 10,000 values"),
        ("--n=1:200 --c=1:200", "give 40,000 problems; at most 10,000"),
        ("--n=1234567890123456", "more than 15 digits|whole number"),
        ("--conv_kind=dprop", "conv_kind is 'dprop'; it must be one of fprop, dgrad, wgrad"),
        ("--Activation=s8 --Filter=s8", "a problem has one, of f32"),
        ("--Activation=f16 --Filter=f32", "f16 and f32"),
        ("--Activation=f16,f32", "a problem has one dtype"),
        ("--p=3", "p is 3, but n1c64h16w16-k64r3s3-pad1.0x1-NHWC has 15"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused_with_the_reason(options, reason):
    with pytest.raises(NotationError, match=reason):
        read(f"cutlass_profiler --operation=Conv2d {options}")


def test_an_impossible_problem_is_refused():
    with pytest.raises(ProblemError, match="groups is 3; it must divide"):
        read("cutlass_profiler --operation=Conv2d --g=3")


@pytest.mark.parametrize(
    "text",
    [
        "cutlass_profiler --operation=Gemm --m=128", "cutlass_profiler --m=128 --n=64", "Problem ID: 1",
        "OperationKind: conv2d", "=============================", "reference_device: Passed", "Bytes: 205  bytes",
        "1,CUTLASS,conv2d,cutlass_simt_sfprop,passed,success,fprop,8",
        "Problem,Provider,OperationKind,Operation,Disposition,Status,conv_kind,n",
    ],
)  # fmt: skip
def test_other_lines_of_the_profiler_are_of_other_operations(text):
    with pytest.raises(OtherOperationError):
        LineReader().read(text)


def test_a_3_d_convolution_is_refused_by_name():
    with pytest.raises(NotationError, match="2-D; this is a conv3d"):
        read("cutlass_profiler --operation=Conv3d")
