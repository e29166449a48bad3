"""Readers of problems: notations, workload files, logs of other programs, models, and conditions on layers."""

import gzip
import json
from collections.abc import Iterable

from cases.notations import benchdnn, miopen
from cases.onnx_models import OTHERS, TRANSPOSED, W, conv, model_of
from cases.parsers.parser import Parser, as_argument, of_file
from convbench import workload
from convbench.cli import options
from convbench.problem.notation import LineReader, own, read
from convbench.workload.files import COLUMNS

OWN = "n1c64h56w56-k64r3s3-pad1", "n2c4h9w7-k6r3s2-pad1.0x2.1-stride2x1-dil1x2-g2-bias-reflect-float16-NHWC-KRSC"
VERBOSE = ((
    "onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,forward_training,src:f32::blocked:abcd::f0 "
    "wei:f32::blocked:abcd::f0 bia:f32:a:blocked:a::f0 dst:f32::blocked:abcd::f0,attr-scratchpad:user,"
    "alg:convolution_direct,mb2_ic32oc32_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1dw0pw1,0.05"
),)  # fmt: skip
CUTLASS = ((
    "cutlass_profiler --operation=conv2d --conv_kind=fprop --n=8 --h=56 --w=56 --c=64 --k=64 --r=3 --s=3 --pad_h=1 "
    "--pad_w=1 --stride_h=1 --stride_w=1 --dilation_h=1 --dilation_w=1 --Activation=f16:nhwc --Filter=f16:nhwc"
),)  # fmt: skip
CSV = ",".join((*COLUMNS, "bias", "count", "direction"))
ROWS = (
    "mine,a,1,3,8,8,4,3,3,1,1,1,1,1,1,1,1,1,8,8,1,2,forward\n"
    "mine,b,1,4,9,8,4,3,1,0,1,0,1,2,1,1,2,2,4,9,0,1,backward_data"
)
EVENT = {
    "ph": "X", "cat": "cpu_op", "name": "aten::convolution", "pid": 1, "tid": 1, "ts": 1, "dur": 2,
    "args": {
        "Input Dims": [[2, 3, 6, 7], [4, 3, 3, 3], [4], [], [], [], [], [], []],
        "Input Strides": [[126, 42, 7, 1], [27, 9, 3, 1], [1], [], [], [], [], [], []],
        "Input type": ["float", "float", "float", "", "", "", "", "", ""],
        "Concrete Inputs": ["", "", "", "[1, 1]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1"],
    },
}  # fmt: skip
NODE = {
    "tag": "CONV_FPROP", "name": "stem", "inputs": {"X": 1, "W": 2}, "outputs": {"Y": 3}, "stride": [1, 1],
    "dilation": [1, 1], "pre_padding": [1, 1], "post_padding": [1, 1], "math_mode": "CROSS_CORRELATION",
}  # fmt: skip
GRAPH = {
    "context": {"io_data_type": "HALF"}, "cudnn_frontend_version": 13200, "json_version": "2.0", "nodes": [NODE],
    "tensors": [
        {"uid": 1, "dim": [4, 64, 16, 16], "stride": [16384, 1, 1024, 64], "data_type": None, "is_virtual": False},
        {"uid": 2, "dim": [64, 32, 3, 3], "stride": [288, 1, 96, 32], "data_type": "HALF", "is_virtual": False},
        {"uid": 3, "dim": [], "stride": [], "data_type": None, "is_virtual": True},
    ],
}  # fmt: skip
CUTLASS_CSV = (
    "Problem,Provider,OperationKind,Operation,Disposition,Status,conv_kind,n,h,w,c,k,r,s,p,q,g,pad_h,pad_w,stride_h,"
    "stride_w,dilation_h,dilation_w,Activation,Filter,Output,conv_mode,Bytes,Flops,Runtime\n"
    "1,CUTLASS,conv2d,cutlass_simt_sfprop,passed,success,fprop,8,56,56,64,64,3,3,56,56,1,1,1,1,1,1,1,f32:nhwc,f32:nhwc,"
    "f32:nhwc,cross,2055798784,118482796544,8.13\n"
)
CONDITIONS = (
    "r == 3 and stride == (1, 1)", "padding == ((1, 1), (1, 1)) or not bias",
    "name not in ['a', \"b\"] & macs > 10 ** 6",
    "1 <= c // 2 % 3 < 5 | ~(dtype == 'float32')", "count * 2 - -1 != 3.5 and layout not in ('NHWC',)",
)  # fmt: skip
SHARDS = "1/2", "2/2", "1/1", "001/002"
SIZES = "x=1x3x224x224", "1x3x8x8", "data:0=2x2"
LAYERS = workload.from_texts(list(OWN))


def notation(text: bytes) -> None:
    """Read the text as one problem, which its own form must give again, and as a line of a file."""
    words = as_argument(text)
    try:
        problem = read(words).problem
        assert own.parse(str(problem)) == problem
    finally:
        LineReader().read(words)


def loaded(path: object) -> None:
    """Load a workload, and use all that a command does."""
    found = workload.load(str(path))
    assert found.layers
    for layer in found.distinct().layers:
        assert own.parse(str(layer.problem)) == layer.problem
    str([found.macs, found.skipped, found.notes, found.source])


def condition(text: bytes) -> None:
    """Select layers."""
    LAYERS.where(as_argument(text))


def sizes(text: bytes) -> None:
    """Read a value of --input."""
    options.inputs([as_argument(text)])


def shard(text: bytes) -> None:
    """Take a shard of a workload."""
    LAYERS.shard(as_argument(text))


def encoded(texts: Iterable[str]) -> tuple[bytes, ...]:
    """The texts in UTF-8."""
    return tuple(text.encode() for text in texts)


def models() -> tuple[bytes, ...]:
    """Models of every form of convolution that is read."""
    plain = model_of(conv(pads=[1, 1, 1, 1], strides=[2, 2]), weights=W)
    kinds = [*(TRANSPOSED.values()), *(OTHERS.values())]
    return tuple(model.SerializeToString() for model in (plain, *(kind.model for kind in kinds)))


LINES = "\n".join((*OWN, "# a comment", f"3 {CUTLASS[0]}", *VERBOSE, "--dt=f16,f32 \\", "ic3ih5oc4kh3ph1", "conv -n 2"))
PARSERS = (
    Parser(name="problems: own notation", share=5, longest=400, read=notation, texts=encoded(OWN)),
    Parser(
        name="problems: benchdnn", share=6, longest=400, read=notation,
        texts=encoded([*list(benchdnn.DESCRIPTORS)[::3], "benchdnn --conv --dir=BWD_WB --dt=f16 ic3ih5oc4kh3"]),
    ),
    Parser(
        name="problems: MIOpenDriver", share=6, longest=400, read=notation, texts=encoded(list(miopen.READABLE)[::3]),
    ),
    Parser(name="problems: CUTLASS profiler", share=4, longest=600, read=notation, texts=encoded(CUTLASS)),
    Parser(name="problems: oneDNN log", share=5, longest=600, read=notation, texts=encoded(VERBOSE)),
    Parser(
        name="workload: lines", share=1, longest=1024, read=of_file(loaded, ".txt"),
        texts=(LINES.encode(), gzip.compress(LINES.encode(), mtime=0)),
    ),
    Parser(
        name="workload: CSV", share=1.5, longest=1024, read=of_file(loaded, ".csv"),
        texts=encoded([f"{CSV}\n{ROWS}\n"]),
    ),
    Parser(
        name="workload: PyTorch trace", share=1.5, longest=1536, read=of_file(loaded, ".json"), is_json=True,
        texts=encoded([json.dumps({"schemaVersion": 1, "traceEvents": [EVENT]})]),
    ),
    Parser(
        name="workload: cuDNN log", share=1.5, longest=1536, read=of_file(loaded, ".log"), is_json=True,
        texts=encoded([json.dumps(GRAPH)]),
    ),
    Parser(
        name="workload: CUTLASS CSV", share=1.5, longest=1024, read=of_file(loaded, ".csv"),
        texts=encoded([CUTLASS_CSV]),
    ),
    Parser(name="workload: ONNX", share=0.6, longest=1024, read=of_file(loaded, ".onnx"), texts=models()),
    Parser(name="sizes of --input", share=8, longest=100, read=sizes, texts=encoded(SIZES)),
    Parser(name="texts of --shard", share=8, longest=40, read=shard, texts=encoded(SHARDS)),
    Parser(name="conditions of --where", share=6, longest=300, read=condition, texts=encoded(CONDITIONS)),
)  # fmt: skip
