"""PTX for a target that lacks an instruction is refused, with the target that ptxas 13.0 names for it."""

import numpy as np
import pytest

from convbench.emulator import UnsupportedError, load_ptx

KERNEL = """.version 9.0
.target {target}
.address_size 64
.visible .entry k(.param .u64 p)
{{
    .reg .b64 %a, %b; .reg .b32 %r; .reg .f32 %f; .reg .b16 %h; .reg .pred %p;
    .shared .align 16 .b8 words[64];
    ld.param.u64 %a, [p]; ld.global.b64 %b, [%a]; mov.b32 %f, 0f00000000; mov.b16 %h, 0; mov.b32 %r, 1;
    {instruction}
    st.global.b64 [%a], %b;
    ret;
}}
"""


def run(instruction, target):
    load_ptx(KERNEL.format(instruction=instruction, target=target))["k"].launch(1, 32, np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("instruction", "least", "below"),
    [
        ("fma.rn.f32x2 %b, %b, %b, %b;", "sm_100", "sm_90a"),
        ("add.rn.f32x2 %b, %b, %b;", "sm_100", "sm_90"),
        ("mul.rn.f32x2 %b, %b, %b;", "sm_100a", "sm_89"),
        ("add.f32.f16 %f, %h, %f;", "sm_100", "sm_90"),
        ("fma.rn.f32.bf16 %f, %h, %h, %f;", "sm_120", "sm_86"),
        ("stmatrix.sync.aligned.m8n8.x1.shared.b16 [words], {%r};", "sm_90", "sm_89"),
        ("elect.sync _|%p, 0xffffffff;", "sm_90", "sm_80"),
        ("cp.async.ca.shared.global [words], [%a], 4;", "sm_80", "sm_75"),
        ("redux.sync.add.s32 %r, %r, 0xffffffff;", "sm_80", "sm_75"),
        ("mbarrier.init.shared.b64 [words], %r;", "sm_80", "sm_75"),
    ],
)
def test_an_instruction_is_taken_from_its_first_target_on(instruction, least, below):
    run(instruction, least)
    name = instruction.split()[0]
    number = below.removeprefix("sm_").rstrip("a")
    with pytest.raises(
        UnsupportedError, match=rf"`{name}` requires \.target sm_\d+ or higher, and this is for sm_{number}"
    ):
        run(instruction, below)
