"""benchdnn descriptors, worked out by hand from oneDNN's knobs_desc.md and str2desc."""

from typing import Any

from hypothesis import strategies as st

from cases.notations.spelled import spelled_out
from convbench.problem import ConvProblem


def dense(n: int, c: int, size: int, k: int, taps: int, padding: Any = ((0, 0), (0, 0)), **others: Any) -> ConvProblem:
    """A square problem with every field spelled out."""
    square = {"n": n, "c": c, "h": size, "w": size, "k": k, "r": taps, "s": taps, "padding": padding}
    return spelled_out(**square | others)


BOTH_1 = ((1, 1), (1, 1))
SMALL = dense(2, 3, 5, 4, 3)

DESCRIPTORS = {
    # defaults, and sizes that follow from others
    "ic3ih5oc4kh3": SMALL,
    "ic3ih5oc4oh3kh3": SMALL,
    "ic3ih5oc4kh3ph1": dense(2, 3, 5, 4, 3, BOTH_1),
    "ic3ih5oc4oh5kh3": dense(2, 3, 5, 4, 3, BOTH_1),
    "ic3ih5oc4oh5kh2": dense(2, 3, 5, 4, 2, ((0, 1), (0, 1))),
    "ic3ih5oc4oh6kh3": dense(2, 3, 5, 4, 3, ((1, 2), (1, 2))),
    "mb7_ic3iw5ih6_oc4_kw2kh3": dense(7, 3, 6, 4, 3, w=5, s=2),
    # dilation counts from 0
    "mb1ic8ih10oc8kh3dh0ph1": dense(1, 8, 10, 8, 3, BOTH_1),
    "mb1ic8ih10oc8oh10kh3dh1": dense(1, 8, 10, 8, 3, ((2, 2), (2, 2)), dilation=(2, 2)),
    "mb1ic8ih10iw10oc8kh3kw3dh1dw3": dense(1, 8, 10, 8, 3, dilation=(2, 4)),
    # without a width, everything in width copies the height, padding and stride included
    "ic3ih9oc4kh3sh2ph1pw0sw1dw0": dense(2, 3, 9, 4, 3, BOTH_1, stride=(2, 2)),
    "ic3ih9oc4kh3dh2ph2": dense(2, 3, 9, 4, 3, ((2, 2), (2, 2)), dilation=(3, 3)),
    # no height: one row
    "ic512oc1024_iw19ow19kw3sw1dw5pw6": dense(
        2, 512, 19, 1024, 3, ((0, 0), (6, 6)), h=1, r=1, dilation=(1, 6)
    ),
    # a depth of one is no depth
    "g1mb1ic3id1ih5iw5oc4od1oh5ow5kd1kh3kw3sd1sh1sw1pd0ph1pw1dd0dh0dw0": dense(1, 3, 5, 4, 3, BOTH_1),
    # order, delimiters, repetition, names
    "oh5_kh3_ih5_oc4_ic3_": dense(2, 3, 5, 4, 3, BOTH_1),
    "ic3ih5oc4kh1_kh3ph9ph0": SMALL,
    'ic3ih5oc4kh3n"kh7"': SMALL,
    "ic3ih5oc4kh3_nkh7_ph1": SMALL,
    "ic3ih5oc4kh3n": SMALL,
    # the far side, when the output does not agree with equal padding
    "g128mb1ic128ih56oh29oc128kh4sh2ph1": dense(1, 128, 56, 128, 4, ((1, 3), (1, 3)), stride=(2, 2), groups=128),
    "g128mb1ic128ih56oh32oc128kh4sh2ph0": dense(1, 128, 56, 128, 4, ((0, 10), (0, 10)), stride=(2, 2), groups=128),
    "mb1_g16ic16oc16_ih15oh7kh6sh2ph3_iw10ow10kw3": dense(
        1, 16, 15, 16, 6, ((3, 0), (1, 1)), w=10, s=3, stride=(2, 1), groups=16
    ),
    "mb1_g64ic64oc64_ih201oh202kh1sh1dh0ph0_iw202ow202kw7sw1dw0pw3": dense(
        1, 64, 201, 64, 1, ((0, 1), (3, 3)), w=202, s=7, groups=64
    ),
    "mb1_g16ic16oc16_ih10oh10kh3_iw15ow8kw1sw2pw0": dense(
        1, 16, 10, 16, 3, ((1, 1), (0, 0)), w=15, s=1, stride=(1, 2), groups=16
    ),
    # benchdnn's far side is -1 here: the last row is in no window
    "mb256_ic256oc512_ih56oh28kh1sh2dh0ph0_iw56ow28kw1sw2dw0pw0": dense(256, 256, 56, 512, 1, stride=(2, 2)),
    "mb256ic256oc512ih56oh28kh1sh2": dense(256, 256, 56, 512, 1, stride=(2, 2)),
    # and here, where equal padding would make one more row
    "mb1ic1oc1ih13oh6kh3sh2ph1": dense(1, 1, 13, 1, 3, ((1, 0), (1, 0)), stride=(2, 2)),
    # lines of oneDNN's inputs/conv and of driver_conv.md
    'g1mb50ic3ih224oc64oh112kh7sh2ph3n"resnet_50:conv1"': dense(50, 3, 224, 64, 7, ((3, 3), (3, 3)), stride=(2, 2)),
    'g128mb32ic128ih56oc128oh56kh3ph1n"mobilenet:conv3_1/dw"': dense(32, 128, 56, 128, 3, BOTH_1, groups=128),
    'ic3ih227iw227_oc96oh55ow55_kh11kw11_sh4sw4ph0pw0_n"alexnet:conv1"': dense(2, 3, 227, 96, 11, stride=(4, 4)),
    "mb1ic16oc16_ih10kh5_kh5ph7sh1": dense(1, 16, 10, 16, 5, ((7, 7), (7, 7))),
    'g4ic20oc20_ih8oh4kh3ph1sh2_n"2d_conv:grouped_stride_tail"': dense(
        2, 20, 8, 20, 3, BOTH_1, stride=(2, 2), groups=4
    ),
}  # fmt: skip

COMMANDS = {
    "--conv --dir=FWD_B --dt=f16 ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, bias=True, dtype="float16"),
    "--conv --dir=FWD_D --dt=bf16:bf16:bf16 ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, dtype="bfloat16"),
    "--dir=fwd_i --dt=f64 ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, dtype="float64"),
    "--conv --dt=f32 ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, bias=True),
    "./tests/benchdnn/benchdnn --conv --mb=9 mb4ic3ih5oc4kh3nsmall": dense(9, 3, 5, 4, 3, bias=True),
    "benchdnn ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, bias=True),
    "--dir=FWD_D --mb=9 --mb=0 mb4ic3ih5oc4kh3": dense(4, 3, 5, 4, 3),
    "--dir=FWD_B --dir=FWD_D ic3ih5oc4kh3": SMALL,
    # the directions: two of seven add a bias
    "--conv --dir=BWD_D ic3ih5oc4kh3": SMALL,
    "--dir=bwd_w ic3ih5oc4kh3": SMALL,
    "--dir=BWD_WB ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, bias=True),
    "--dir=BWD_DW ic3ih5oc4kh3": SMALL,
    # knobs that say nothing of the problem
    "--mode=P --dir=FWD_D -v5 --alg=auto ic3ih5oc4kh3": SMALL,
    "--conv -v1 --dir=FWD_D ic3ih5oc4kh3": SMALL,
    "--dir=FWD_D --attr-post-ops=relu --skip-impl=ref,x64:gemm --attr-scratchpad=user ic3ih5oc4kh3": SMALL,
    "--mb=9 --dt=f16 --reset --dir=FWD_D ic3ih5oc4kh3": SMALL,
    "--dir=FWD_D --cfg=f32_wino ic3ih5oc4kh3": SMALL,
    "--dir=FWD_D --cfg=bf16bf16bf16 ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, dtype="bfloat16"),
    # layouts
    "--dir=FWD_D --stag=axb --dtag=axb ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, layout="NHWC"),
    "--dir=FWD_D --stag=any --dtag=nhwc ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, layout="NHWC"),
    "--dir=FWD_D --stag=abcd --wtag=hwio ic3ih5oc4kh3": dense(2, 3, 5, 4, 3, filter_layout="RSCK"),
    "--dir=FWD_D --stag=acdb --wtag=abcde g1ic3ih5oc4kh3": dense(
        2, 3, 5, 4, 3, layout="NHWC", filter_layout="KCRS"
    ),
    "--dir=FWD_D --stag=aBcd16b --wtag=ABcd16b16a ic3ih5oc4kh3": SMALL,
    # the program by its path, and the environment before it; a count in front, as uniq -c writes it
    "OMP_NUM_THREADS=4 ./build/benchdnn --dir=FWD_D ic3ih5oc4kh3": SMALL,
    r"C:\onednn\benchdnn.exe --conv --dir=FWD_D ic3ih5oc4kh3": SMALL,
    # a line of oneDNN's inputs/conv/option_set_fwks_key_gpu
    "--reset --allow-enum-tags-only=0 --dir=BWD_D --alg=direct --dt=bf16:bf16:bf16 --bia-dt=undef --stag=acdb "
    "--wtag=any --dtag=acdb g32mb24_ic1024oc1024_ih28oh14kh3sh2dh0ph1_iw28ow14kw3sw2dw0pw1"
    '_n"3cab45aed0b4c812a2dd680517631776"': dense(
        24, 1024, 28, 1024, 3, BOTH_1, stride=(2, 2), groups=32, dtype="bfloat16", layout="NHWC"
    ),
}  # fmt: skip

MALFORMED = {
    "ic3ih5oc4kh3x2": 12,
    "icih5oc4kh3": 2,
    "_ic3ih5oc4kh3": 0,
    "ic3__ih5oc4kh3": 4,
    "ic3ih5oc4kh3.5": 12,
    "ic3_": 4,
    "ic3ih5kh3": 9,
    "oc4ih5kh3": 9,
    "ic3oc4": 6,
    "ic3oc4ih5": 9,
    "ic3oc4kh3": 9,
    "ic3oc4ih5kh3iw5": 15,
    "ic3oc4ih5kh3sw2": 15,
    "ic3oc4ih5oh0kh3": 9,
    "ic3oc4ih5oh-2kh3": 9,
    "ic3oc4ih1oh0kh5": 9,
    # whole rows that no window reaches, at the end or in front
    "ic3oc4ih10oh5kh1ph0": 10,
    "ic3oc4ih14oh6kh3sh2ph1": 10,
    "ic3oc4ih12oh3kh1sh4": 10,
    # a third dimension
    "ic3oc4id5ih5iw5kd1kh3kw3": 6,
    "ic3oc4id1ih5iw5kd3kh3kw3": 15,
    "ic3oc4id1ih5iw5kd1kh3kw3pd1": 24,
    "ic3oc4id1ih5iw5kh3kw3": 21,
    "ic3oc4id1kd1ih5kh3": 18,
    # command lines
    "--conv --bogus=1 ic3ih5oc4kh3": 7,
    "--conv=1 ic3ih5oc4kh3": 0,
    "--deconv ic3ih5oc4kh3": 0,
    "--conv --dir ic3ih5oc4kh3": 7,
    "--conv --dir=BWD ic3ih5oc4kh3": 13,
    "--conv --mode ic3ih5oc4kh3x": 26,
    "--batch=shapes_alexnet": 0,
    "--conv --match=.*kh3.* ic3ih5oc4kh3": 7,
    "--attr-post-ops=relu+dw:k3s1p1 ic3ih5oc4kh3": 16,
    "ic3ih5oc4kh3n*0": 13,
    "ic1234567890123456ih5oc4kh3": 2,
    "--mb=2,4 ic3ih5oc4kh3": 5,
    "--conv --dir=FWD_B,FWD_D ic3ih5oc4kh3": 13,
    "--conv --dt=u8:s8:f32 ic3ih5oc4kh3": 12,
    "--conv --dt=f16:f16:f32 ic3ih5oc4kh3": 12,
    "--conv --dt=f32,f16 ic3ih5oc4kh3": 12,
    "--mb=x ic3ih5oc4kh3": 5,
    "--conv --dir=FWD_B": 18,
    "--conv": 6,
    "ic3ih5oc4kh3 --dir=FWD_B": 13,
    "--conv ic3ih5oc4kh3 ic3ih5oc4kh3": 20,
    "--conv ic3ih5oc4kh3x": 19,
}

IMPOSSIBLE = [
    "ic0ih5oc4kh3",
    "ic3ih5oc0kh3",
    "ic3ih0oc4kh3",
    "ic3ih0oc4kh0",
    "ic3ih5oc4kh0",
    "ic3ih-5oc4oh3kh3",
    "ic3ih5oc4oh3kh3sh0",
    "ic3ih5oc4kh3dh-1",
    "ic3ih5oc4oh5kh3ph-1",
    "ic3ih5oc4kh7",
    "mb0ic3ih5oc4kh3",
    "--mb=-1 ic3ih5oc4kh3",
    "g0ic3ih5oc4kh3",
    "g2ic3ih5oc4kh3",
]

READABLE = DESCRIPTORS | COMMANDS

RANDOM = st.lists(st.sampled_from([*"gmbicodhwkspn_-=0123 .", "ic3", "oc4", "ih5", "oh5", "kh3", "sh0", "--dt="])).map(
    "".join
)
