"""Readers of code: PTX, machine code as the disassembler prints it, and compiled kernels on disk."""

from cases.machine_code import LOOP
from cases.parsers.parser import Parser, as_line
from convbench.emulator import codec
from convbench.emulator.building import Linked
from convbench.emulator.counting.tables import Access, Block, Place, Space, Tables
from convbench.emulator.errors import EmulatorError
from convbench.emulator.ptx.parser import parse
from convbench.emulator.ptx.syntax import Variable
from convbench.emulator.retarget import Retargeted
from convbench.errors import KernelError
from convbench.inspection import sass
from convbench.inspection.mix import Mix

PTX = """
.version 8.7
.target sm_80, debug
.address_size 64
.file 1 "kernel.cu"
.extern .shared .align 16 .b8 dynamic[];
.visible .global .align 4 .f32 table[4] = {0f3F800000, 1, -2, generic(dynamic)+4};
.func (.param .b32 result) twice(.param .b32 x) ;
.visible .entry kernel(.param .u64 .ptr .global .align 4 x, .param .u32 n)
.maxntid 128, 1, 1
{
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    .loc 1 7 3, function_name $L__info0+8, inlined_at 1 9 2
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, %tid.x;
    setp.ge.u32 %p1, %r1, 128;
    @!%p1 bra $L__BB0_2;
    {
        .param .b32 inner;
        st.param.b32 [inner+0], %r1;
        call.uni (inner), twice, (inner);
    }
    ld.global.v2.f32 {%r2, %r3}, [%rd1+-4];
    shfl.sync.bfly.b32 %r2|%p1, %r2, 1, 31, -1;
table: .branchtargets $L__BB0_2, $L__BB0_3;
    brx.idx %r1, table;
$L__BB0_2:
    /* a comment */ st.shared.b32 [dynamic], %r2;
$L__BB0_3:
    ret;
}
"""


def machine_code(text: bytes) -> None:
    """Read machine code, and look at all that `inspect` shows of it."""
    code = sass.read(as_line(text), "kernel")
    mix = Mix(code.hot)
    str([code.loops, code.hot_loop, code.rare, code.body, mix.total, mix.counts, mix.accesses, mix.shared_bytes])


KERNEL = Linked(
    name="kernel", text="define void @kernel() { ret void }", entry="kernel", checked=True, symbols=("cosh",),
    retargeted=Retargeted(modules=["define void @kernel()"]), pointers=(1, 2),
    variables={"table": Variable("table", "global", "f32", 4, 4, ("0f3F800000",), visible=True)},
    tables=Tables(
        [Block(0, 1, [0], [1])], [Access(0, Space.GLOBAL, 4, False, False, False, ("parameter", "x"))],
        [Place("ld.global.f32 %f1, [%rd1];", "ld.global.f32", "kernel.py", 3, "kernel", "memory", 1)], {"prefetch"},
    ),
)  # fmt: skip
PARSERS = (
    Parser(
        name="PTX", share=3, longest=2048,
        read=lambda text: parse(as_line(text)), errors=(EmulatorError,), texts=(PTX.encode(),),
    ),
    Parser(
        name="machine code", share=3, longest=4096, read=machine_code, errors=(KernelError,), texts=(LOOP.encode(),),
    ),
    Parser(
        name="compiled kernels on disk", share=8, longest=2048, read=codec.decoded, errors=(ValueError, TypeError),
        texts=(codec.encoded(KERNEL),), is_json=True,
    ),
)  # fmt: skip
