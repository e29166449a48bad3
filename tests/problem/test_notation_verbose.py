"""Rules of oneDNN's log alone: what a line that ran a convolution says, and which lines are of other operations."""

import pytest

from convbench.errors import NotationError
from convbench.problem import notation
from convbench.problem.notation import LineReader, OtherOperationError, Reading

DESCRIPTOR = "mb2_ic32oc32_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1dw0pw1"

PLAIN = "src:f32::blocked:abcd::f0 wei:f32::blocked:abcd::f0 bia:f32:a:blocked:a::f0 dst:f32::blocked:abcd::f0"


def line(
    kind: str = "forward_training",
    tensors: str = PLAIN,
    descriptor: str = DESCRIPTOR,
    attributes: str = "attr-scratchpad:user",
    start: str = "onednn_verbose,v1,primitive,exec,cpu",
) -> str:
    return f"{start},convolution,jit:avx512_core,{kind},{tensors},{attributes},alg:convolution_direct,{descriptor},0.05"


def tensors(source: str, weights: str, destination: str, dtype: str = "f32", bias: str = "undef") -> str:
    tags = {"src": source, "wei": weights, "dst": destination}
    told = {name: f"{name}:{dtype}:a:blocked:{tag}::f0" for name, tag in tags.items()}
    return f"{told['src']} {told['wei']} bia:{bias}::undef::: {told['dst']}"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        # lines of PyTorch 2.13 with oneDNN 3.12
        (
            ("onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_fwd:avx512_core_bf16,forward_training,"
            "src:bf16::blocked:acdb::f0 wei:bf16:a:blocked:AcdB32a2b::f0 bia:bf16:a:blocked:a::f0 "
            f"dst:bf16::blocked:acdb::f0,attr-scratchpad:user,alg:convolution_direct,{DESCRIPTOR},0.027832"),
            "n2c32h14w14-k32r3s3-pad1-bias-bfloat16-NHWC [wei AcdB32a2b]",
        ),
        (
            ("onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_weights,"
            "src:f32::blocked:acdb::f0 wei:f32:ap:blocked:aBCde16c16b::f0 bia:f32:a:blocked:a::f0 "
            "dst:f32::blocked:acdb::f0,attr-scratchpad:user,alg:convolution_direct,"
            "g4mb2_ic32oc32_ih14oh7kh3sh2dh0ph1_iw14ow7kw3sw2dw0pw1,0.0229492"),
            "n2c32h14w14-k32r3s3-pad1-stride2-g4-bias-NHWC [backward_weights, wei aBCde16c16b]",
        ),
        (
            ("onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_bwd:avx512_core,backward_data,"
            "src:f32::blocked:acdb::f0 wei:f32:a:blocked:Bcda32b::f0 bia:undef::undef::: dst:f32::blocked:acdb::f0,"
            "attr-scratchpad:user,alg:convolution_direct,mb2_ic32oc32_ih14oh10kh3sh1dh1ph0_iw14ow10kw3sw1dw1pw0,0.04"),
            "n2c32h14w14-k32r3s3-dil2-NHWC [backward_data, wei Bcda32b]",
        ),
        (
            ("onednn_verbose,v1,primitive,exec,cpu,deconvolution,conv:any+x64:gemm:jit,forward_training,"
            "src:f32:a:blocked:abcd::f0 wei:f32:a:blocked:acbde::f0 bia:f32:a:blocked:a::f0 "
            "dst:f32:a:blocked:abcd::f0,attr-scratchpad:user,alg:deconvolution_direct,"
            "g2mb2_ic4oc6_ih5oh10kh3sh2dh0ph1_iw7ow14kw2sw2dw0pw0,138.403"),
            "n2c6h10w14-k4r3s2-pad1x0-stride2-g2 [backward_data]",
        ),
        (
            ("onednn_verbose,v1,primitive,exec,cpu,deconvolution,conv:any+x64:gemm:jit,backward_data,"
            "src:f32:a:blocked:abcd::f0 wei:f32:a:blocked:acbde::f0 bia:undef::undef::: "
            "dst:f32:a:blocked:abcd::f0,attr-scratchpad:user,alg:deconvolution_direct,"
            "g2mb2_ic4oc6_ih5oh10kh3sh2dh0ph1_iw7ow14kw2sw2dw0pw0,34.052"),
            "n2c6h10w14-k4r3s2-pad1x0-stride2-g2",
        ),
        (
            ("onednn_verbose,v1,primitive,exec,cpu,deconvolution,conv:any+jit_bf16:avx512_core_bf16,backward_weights,"
            "src:bf16:a:blocked:acdb::f0 wei:bf16:ap:blocked:ABcd8b16a2b::f0 bia:undef::undef::: "
            "dst:bf16:ap:blocked:aBcd16b::f0,attr-scratchpad:user,alg:deconvolution_direct,"
            "mb1_ic16oc8_ih6oh8kh3sh1dh0ph0_iw6ow8kw3sw1dw0pw0,15.825"),
            "n1c8h8w8-k16r3s3-bfloat16-NHWC [backward_weights, src aBcd16b, wei BAcd8a16b2a]",
        ),
        (
            line(tensors=tensors("acdb", "any", "acdb"), descriptor="mb1_ic2oc3_iw5ow7kw3sw1dw0pw0")
            .replace(",convolution,", ",deconvolution,"),
            "n1c3h1w7-k2r1s3-NHWC [backward_data]",
        ),
        # every layout that a problem has, and other spellings of the line
        (line(), "n2c32h14w14-k32r3s3-pad1-bias"),
        (line("forward_inference", tensors("acdb", "acdb", "acdb")), "n2c32h14w14-k32r3s3-pad1-NHWC"),
        (line("backward", tensors("abcd", "cdba", "abcd", "f16")),
         "n2c32h14w14-k32r3s3-pad1-float16-RSCK [backward_data, backward_weights]"),
        (line(tensors=tensors("abcd", "abcde", "abcd"), descriptor="g2" + DESCRIPTOR), "n2c32h14w14-k32r3s3-pad1-g2"),
        (line(tensors=tensors("abcd", "abcd", "acdb")), "n2c32h14w14-k32r3s3-pad1 [dst acdb]"),
        (line(tensors=tensors("aBcd16b", "abcd", "acdb")), "n2c32h14w14-k32r3s3-pad1-NHWC-KCRS [src aBcd16b]"),
        (line(start="[rank0]: onednn_verbose,v1,1700000000123456.789,primitive,exec,gpu:0"),
         "n2c32h14w14-k32r3s3-pad1-bias"),
        (
            ("dnnl_verbose,exec,cpu,convolution,jit:avx2,forward_training,src_f32::blocked:acdb:f0 "
            f"wei_f32::blocked:Acdb8a:f0 bia_undef::undef::f0 dst_f32::blocked:acdb:f0,,alg:convolution_auto,"
            f"{DESCRIPTOR},1"),
            "n2c32h14w14-k32r3s3-pad1-NHWC [wei Acdb8a]",
        ),
        (line(descriptor="mb1_ic8oc16_iw98ow98kw3sw1dw0pw1"), "n1c8h1w98-k16r1s3-pad0x1-bias"),
        (line(descriptor="mb1_ic8oc8_ih56oh28kh1sh2dh0ph0_iw56ow28kw1sw2dw0pw0"), "n1c8h56w56-k8r1s1-stride2-bias"),
    ],
)  # fmt: skip
def test_a_line_of_the_log_is_read_whole(text: str, label: str) -> None:
    (reading,) = LineReader().read(text)
    assert isinstance(reading, Reading)
    assert reading.label == label
    assert notation.parse(text) == reading.problem


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:2", "other lines of oneDNN's log"),
        ("onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src:f32::blocked:ab::f0,,,2x3,0.1", "reorder"),
        ("onednn_verbose,v1,primitive,create:cache_miss,cpu,convolution,jit", "other lines of oneDNN's log"),
        ("onednn_verbose,v1,graph,exec,cpu,100002,convolution_post_ops,conv_0,,fpm:strict,0.2", "graph partition"),
        ("onednn_verbose,v1,primitive,exec,cpu", "other lines of oneDNN's log"),
        ("MIOpen(HIP): Info [GetSolutionCount]", "other lines of MIOpen's log"),
        ("[rank0]: MIOpen(HIP): Info2 [Measure] 0.1 ms", "other lines of MIOpen's log"),
        ("MIOpen(HIP): Command [LogCmdBNorm] ./bin/MIOpenDriver bnormfp16 -n 1 -c 3", "bnormfp16"),
    ],
)
def test_a_line_of_another_operation_is_known_as_one(text: str, operation: str) -> None:
    with pytest.raises(OtherOperationError) as caught:
        LineReader().read(text)
    assert caught.value.reason == operation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(tensors=tensors("acdb", "acdb", "acdb", "u8")), "u8:u8:u8: a problem has one dtype"),
        (line(tensors=tensors("acdb", "acdb", "acdb").replace("dst:f32", "dst:bf16")), "f32:f32:bf16"),
        (line(tensors="src:f32::blocked:abcd::f0"), "lack wei, dst"),
        (line(kind="sideways"), "no propagation kind"),
        (line(descriptor="2x3"), "no descriptor"),
        (line(attributes="attr-post-ops:dw:k3s1p1"), "depthwise convolution is fused"),
        (line(descriptor="mb1_ic2oc16_id8od8kd3sd1dd0pd1_ih8oh8kh3sh1dh0ph1_iw8ow8kw3sw1dw0pw1"), "a problem is 2-D"),
    ],
)
def test_a_convolution_that_is_no_problem_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        LineReader().read(text)
    assert not isinstance(caught.value, OtherOperationError)
    assert 0 <= caught.value.position <= len(caught.value.text)
