"""MIOpenDriver command lines, worked out by hand from AddCmdLineArgs, the padding rules and Parse."""

from typing import Any

from hypothesis import strategies as st

from cases.notations.spelled import spelled_out
from convbench.problem import ConvProblem


def driver(**others: Any) -> ConvProblem:
    """The driver's default problem, with every field spelled out."""
    return spelled_out(**{"n": 100, "c": 3, "h": 32, "w": 32, "k": 32, "r": 3, "s": 3} | others)


def padded(height: int, width: int) -> dict[str, Any]:
    return {"padding": ((height, height), (width, width))}


SQUARE_5 = driver(r=5, s=5, **padded(2, 2))

READABLE = {
    # the start of the line, and the defaults
    "conv": driver(),
    "MIOpenDriver conv": driver(),
    "/opt/rocm/bin/MIOpenDriver convfp32": driver(),
    "convfp16": driver(dtype="float16"),
    "./bin/MIOpenDriver convbfp16": driver(dtype="bfloat16"),
    "-n 1": driver(n=1),
    "--batchsize 1": driver(n=1),
    # every flag of the problem, by its letter and by its name
    "conv -n 2 -c 4 -H 9 -W 8 -k 6 -y 3 -x 2 -p 1 -q 0 -u 2 -v 1 -l 2 -j 3 -g 2 -b 1 -m conv -z default -_ 2": driver(
        n=2, c=4, h=9, w=8, k=6, r=3, s=2, stride=(2, 1), dilation=(2, 3), groups=2, bias=True, **padded(1, 0)
    ),
    "conv --batchsize 2 --in_channels 4 --in_h 9 --in_w 8 --out_channels 6 --fil_h 3 --fil_w 2 --pad_h 1 --pad_w 0 "
    "--conv_stride_h 2 --conv_stride_w 1 --dilation_h 2 --dilation_w 3 --group_count 2 --bias 1 --mode conv "
    "--pad_mode default --spatial_dim 2": driver(
        n=2, c=4, h=9, w=8, k=6, r=3, s=2, stride=(2, 1), dilation=(2, 3), groups=2, bias=True, **padded(1, 0)
    ),
    "conv -b 0": driver(),
    "conv -g 0": driver(),
    "-n 1 -n 7 --batchsize 5": driver(n=5),
    "-F 0 -F 1": driver(),
    "-n 1 -F 2": driver(n=1),
    "-n 1 --forw 3": driver(n=1),
    # what stands before the driver's name
    r".\bin\MIOpenDriver.exe conv -n 1": driver(n=1),
    "MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver convfp16 -n 1": driver(n=1, dtype="float16"),
    "MIOpen(OpenCL): Command [LogCmdConvolution] MIOpenDriver conv -n 1": driver(n=1),
    "HIP_VISIBLE_DEVICES=0 MIOPEN_FIND_MODE=1 ./bin/MIOpenDriver conv -n 1": driver(n=1),
    "   12 ./bin/MIOpenDriver conv -n 1": driver(n=1),
    # layouts: all three or none
    "-I NHWC -f NHWC -O NHWC": driver(layout="NHWC"),
    "--in_layout nhwc --fil_layout NHWC --out_layout Nhwc": driver(layout="NHWC"),
    "-I NCHW": driver(),
    # padding modes
    "-z valid -p 4 -q 4": driver(),
    "-z same -p 4 -q 4": driver(**padded(1, 1)),
    "-z same -y 4 -x 5": driver(r=4, s=5, **padded(1, 2)),
    "--pad_mode same -u 2 -v 2": driver(stride=(2, 2)),
    "--pad_mode same -u 2 -v 2 -H 33 -W 34 -y 7 -x 6": driver(h=33, w=34, r=7, s=6, stride=(2, 2), **padded(3, 2)),
    "-z same -u 5 -v 5": driver(stride=(5, 5)),
    "-z same -p 2 -q 2 -l 2 -j 1": driver(dilation=(2, 1), **padded(2, 2)),
    "-z valid -p 2 -q 2 -l 2 -j 2": driver(dilation=(2, 2), **padded(2, 2)),
    "-z same -p 2 -q 2 -l 2 -j 2 -y 1 -x 1": driver(r=1, s=1, dilation=(2, 2)),
    # lines of driver/README.md
    "./bin/MIOpenDriver conv -W 32 -H 32 -c 3 -k 32 -x 5 -y 5 -p 2 -q 2": SQUARE_5,
    "./bin/MIOpenDriver conv -W 32 -H 32 -c 3 -k 32 -x 5 -y 5 -p 2 -q 2 -s 0 -F 1": SQUARE_5,
    # lines from bug reports and logs
    "./bin/MIOpenDriver convfp16 -n 120 -c 128 -H 38 -W 38 -k 256 -y 3 -x 3 -p 1 -q 1 -u 1 -v 1 -l 1 -j 1 -m conv "
    "-g 1 -F 1 -t 1": driver(n=120, c=128, h=38, w=38, k=256, dtype="float16", **padded(1, 1)),
    "./MIOpenDriver conv -W 341 -H 79 -c 32 -n 4 -k 32 -y 5 -x 10 -p 0 -q 0 -u 2 -v 2 -t 1 -V 0 -i 1": driver(
        n=4, c=32, h=79, w=341, r=5, s=10, stride=(2, 2)
    ),
    "./bin/MIOpenDriver conv -s 0 -v 0 -t 1 -F 1 -W 28 -H 28 -c 256 -n 8 -k 512 -x 3 -y 3 -p 1 -q 1 -u 1 -v 1": driver(
        n=8, c=256, h=28, w=28, k=512, **padded(1, 1)
    ),
    "MIOpenDriver conv -n 1 -c 1 -H 3 -W 3 -k 2 -y 1 -x 2 -p 0 -q 1 -u 1 -v 1 -g 1 -F 1": driver(
        n=1, c=1, h=3, w=3, k=2, r=1, s=2, **padded(0, 1)
    ),
    "MIOpenDriver conv -F 1 -m conv  -c  3 -H  224 -W  224 -k  64 -y  3 -x  3 -p  1 -q  1 -u  1 -v  1 -l  1 -j  1 "
    "-b 1": driver(
        h=224, w=224, k=64, bias=True, **padded(1, 1)
    ),
    "convbfp16 -n 128 -c 384 -H 24 -W 48 -k 512 -y 1 -x 1 -p 0 -q 0 -u 1 -v 1 -l 1 -j 1 -g 1 --in_layout NHWC "
    "--fil_layout NHWC --out_layout NHWC -t 1 -b 0 -F 1": driver(
        n=128, c=384, h=24, w=48, k=512, r=1, s=1, dtype="bfloat16", layout="NHWC"
    ),
    "MIOpenDriver convbfp16 -n 2 -c 256 -H 8 -W 8 -k 256 -y 3 -x 3 -p 1 -q 1 -u 1 -v 1 -l 1 -j 1 -g 32 -F 1": driver(
        n=2, c=256, h=8, w=8, k=256, groups=32, dtype="bfloat16", **padded(1, 1)
    ),
    "-n 128 -c 512 -H 14 -W 14 -k 512 -y 7 -x 7 -p 3 -q 3 -g 512": driver(
        n=128, c=512, h=14, w=14, k=512, r=7, s=7, groups=512, **padded(3, 3)
    ),
}  # fmt: skip

MALFORMED = {
    # base arguments
    "MIOpenDriver": 12,
    "MIOpenDriver -n 1": 13,
    "MIOpenDriver pool -n 1": 13,
    "./bin/MIOpenDriver convint8 -n 1": 19,
    "convint8 -n 1": 0,
    "convfp8": 0,
    # flags
    "conv -n 1 -Q 2": 10,
    "conv -h": 5,
    "conv 1 -n": 5,
    "conv -n 1 2 -c 3": 10,
    "-n32 -c 4": 0,
    "-c 4 -n32 5": 5,
    "-in_layout NHWC": 0,
    "-n 1 --in_h=3": 5,
    "--in_h=3 -n 1": 0,
    "-n 1 --layout NHWC": 5,
    "-n 1 -": 5,
    "-n 1 --": 5,
    # values
    "conv -n": 7,
    "-n 1 --in_h": 11,
    "-n x": 3,
    "-n 1.5": 3,
    "-n -c 3": 3,
    "conv -H 8 -W 0x8": 13,
    # problems that this project does not have
    "conv -m Trans": 8,
    "conv --mode transpose": 12,
    "conv -m trans -Y 1": 18,  # the stride is 1, so that the last row of the output has no window
    "conv --mode trans -X -1": 23,
    "-_ 3": 3,
    "--spatial_dim 3 -n 1": 14,
    "-n 1 -F 8": 8,
    "-n 1 --forw -1": 12,
    "-n 1 -F x": 8,
    "-z full": 3,
    "-I CHWN": 3,
    "-I nhwc -f NHWC -O NHWC": 3,
    "--in_layout NCDHW": 12,
    "-Z 1 -L 4": 3,
    "-L 4 -Z 1": 3,
    "conv -U fp8": 8,
    # layouts that differ
    "-n 1 -I NHWC": 8,
    "-I NHWC -f NHWC -O NCHW": 3,
    "-I NCHW -f NCHW -O NHWC": 19,
}

IMPOSSIBLE = [
    "-n 0", "-c 0", "-H 0", "-W -1", "-k 0", "-y 0", "-x 0", "-p -1", "-u 0", "-v -2", "-l 0", "-j 0",
    "-g 2", "-H 2", "-z same -u 0", "-z same -v -2",
]  # fmt: skip

WORDS = [
    "conv", "MIOpenDriver", "-n", "-H", "-u", "-z", "same", "-I", "NHWC", "-f", "-O", "--forw", "--in_w", "-g", "-",
    "0", "1", "-1", "9",
]  # fmt: skip

RANDOM = st.lists(st.sampled_from(WORDS)).map(" ".join)
