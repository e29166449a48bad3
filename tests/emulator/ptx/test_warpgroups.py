"""Products of warpgroups in PTX: every type, every layout in shared memory, against sums of exact integers.

Layouts are those of the PTX ISA, "Asynchronous Warpgroup-Level Matrix Instructions", "Shared Memory Matrix Layout".
"""

from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np
import pytest

from convbench.emulator import FaultKind, KernelFault, UnsupportedError, load_ptx

HEAD = ".version 9.0\n.target sm_90a\n.address_size 64\n"
DTYPES = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2, "s8": np.int8, "u8": np.uint8, "f32": np.float32, "s32": np.int32,
}  # fmt: skip
SPANS = {0: 16, 1: 128, 2: 64, 3: 32}  # bytes of a row, by the swizzling mode
ROWS, WAIT = 64, "wgmma.wait_group.sync.aligned 0;"


@dataclass(frozen=True)
class Case:
    columns: int
    d: str
    a: str
    b: str
    mode: int = 0  # of swizzling
    registers: bool = False  # A is in registers
    signs: tuple[int, int] = (1, 1)
    transposed: tuple[int, int] = (0, 0)
    more: str = ""
    adds: int = 1

    @property
    def depth(self):
        return {"tf32": 8, "f16": 16, "bf16": 16, "b1": 256}.get(self.a, 32)

    @property
    def name(self):
        return f"m64n{self.columns}k{self.depth}.{self.d}.{self.a}.{self.b}{self.more}"

    def __str__(self):
        flags = f"-mode{self.mode}", "-registers" * self.registers, "-transposed" * any(self.transposed)
        return self.name + "".join(flags)


CASES = [
    Case(8, "f32", "f16", "f16"),
    Case(24, "f32", "f16", "f16", 1),
    Case(16, "f32", "bf16", "bf16", 2, registers=True),
    Case(16, "f16", "f16", "f16", 3, signs=(-1, 1)),
    Case(8, "f32", "tf32", "tf32"),
    Case(8, "f32", "tf32", "tf32", 2, signs=(1, -1), adds=0),
    Case(16, "f32", "e4m3", "e5m2", 1),
    Case(16, "f16", "e5m2", "e5m2", registers=True),
    Case(8, "s32", "s8", "u8", 3),
    Case(24, "s32", "u8", "s8", 1, more=".satfinite", adds=0),
    Case(8, "s32", "b1", "b1", 1, more=".and.popc"),
    Case(64, "f32", "f16", "f16", 1, transposed=(1, 1)),
    Case(32, "f32", "bf16", "bf16", 2, transposed=(0, 1), registers=True),
    Case(16, "f32", "f16", "f16", 3, transposed=(1, 1)),
    Case(16, "f32", "bf16", "bf16", transposed=(1, 1)),
    Case(256, "f32", "f16", "f16", 1, adds=0),
]


def numbers(rng, kind, shape):
    low, high = {"s8": (-128, 128), "u8": (0, 256), "b1": (0, 2)}.get(kind, (-3, 4))
    return rng.integers(low, high, shape)


def lines_of(matrix, kind):
    """The bytes of each line of a matrix."""
    if kind == "b1":
        return np.packbits(matrix.astype(bool), axis=1, bitorder="little")
    return matrix.astype(DTYPES[kind]).view(np.uint8)


def image(matrix, kind, mode, transposed):
    """The bytes of a factor in shared memory, and its offsets between blocks along the sum, and along the lines."""
    lines, span = lines_of(matrix, kind), SPANS[mode]
    count, size = lines.shape
    out = np.zeros(32 * 1024, np.uint8)
    line, byte = np.indices(lines.shape)
    if transposed:  # two bytes an element; rows of memory are places along the sum
        k, low = byte // 2, byte % 2
        across = span // 2  # lines that one row holds
        if mode:
            leading, stride = 1024 * (size // 16), 8 * span
            at = line // across * leading + k // 8 * stride + k % 8 * span + line % across * 2
        else:
            leading, stride = 128 * (count // 8), 128
            at = line // 8 * stride + k // 8 * leading + k % 8 * 16 + line % 8 * 2
        at = at + low
    elif mode:
        leading, stride = 16, 8 * span
        at = line // 8 * stride + line % 8 * span + byte
    else:
        leading, stride = 128, 128 * (size // 16)
        at = line // 8 * stride + byte // 16 * leading + line % 8 * 16 + byte % 16
    if mode:
        at = at ^ (at >> 7 & span // 16 - 1) << 4
    out[at] = lines
    return out[: -(-(at.max() + 1) // 1024) * 1024], leading, stride


def fragments(matrix, kind):
    """The words of A that each thread has: four."""
    words = lines_of(matrix, kind).view(np.uint32)
    thread, i = np.arange(128)[:, None], np.arange(4)
    return words[thread // 32 * 16 + thread % 32 // 4 + 8 * (i % 2), thread % 4 + 4 * (i // 2)]


def sums(matrix):
    """The elements of D that each thread has."""
    thread, i = np.arange(128)[:, None], np.arange(matrix.size // 128)
    row = thread // 32 * 16 + thread % 32 // 4 + 8 * (i // 2 % 2)
    return matrix[row, 8 * (i // 4) + 2 * (thread % 4) + i % 2]


def descriptor(place, leading, stride, mode):
    return place >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | mode << 62


def instruction(case, a_at, b_at, a_blocks, b_blocks):
    """PTX that multiplies: A in %a0 to %a3, or in shared memory; D in %d0 and so on."""
    kind = "f" if case.d == "f32" else "r"
    count = case.columns // 2 // (2 if case.d == "f16" else 1)
    listed = "{" + ", ".join(f"%{kind}{n}" for n in range(count)) + "}"
    right = descriptor(b_at, *b_blocks, case.mode)
    left = "{%a0, %a1, %a2, %a3}" if case.registers else "%left"
    rest = [f"{sign}" for sign in case.signs] if case.d != "s32" else []
    if case.a in ("f16", "bf16"):
        rest += [f"{flag}" for flag in case.transposed[1 if case.registers else 0 :]]
    shape, _, kinds = case.name.removesuffix(case.more).partition(".")
    more = (".satfinite", "") if case.more == ".satfinite" else ("", case.more)
    return f"""
    mov.u64 %left, {descriptor(a_at, *a_blocks, case.mode)};
    mov.u64 %right, {right};
    setp.ne.u32 %p, {case.adds}, 0;
    wgmma.fence.sync.aligned;
    wgmma.mma_async.sync.aligned.{shape}.{kinds}{more[0]}{more[1]} {listed}, {left}, %right, {", ".join(["%p", *rest])};
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
"""


KERNEL = """.visible .entry k(.param .u64 image, .param .u64 words, .param .u32 bytes)
{{
    .shared .align 1024 .b8 tile[{size}];
    .reg .b64 %x, %words, %left, %right; .reg .b32 %t, %i, %n, %a<4>, %v<4>, %r<128>; .reg .f32 %f<128>; .reg .pred %p;
    ld.param.u64 %x, [image]; ld.param.u64 %words, [words]; ld.param.u32 %n, [bytes];
    mov.u32 %t, %tid.x;
    mul.lo.u32 %i, %t, 16;
    mad.wide.u32 %x, %t, 16, %x;
COPY:
    ld.global.v4.u32 {{%v0, %v1, %v2, %v3}}, [%x];
    st.shared.v4.u32 [%i], {{%v0, %v1, %v2, %v3}};
    add.u64 %x, %x, 2048;
    add.u32 %i, %i, 2048;
    setp.lt.u32 %p, %i, %n;
    @%p bra COPY;
    fence.proxy.async;
    bar.sync 0;
    mad.wide.u32 %words, %t, {words}, %words;
    ld.global.v4.u32 {{%a0, %a1, %a2, %a3}}, [%words];
{loads}{product}{stores}    ret;
}}
"""


@cache
def found(case, checked=False, before="", behind=""):
    """The operands of a case, and D of each thread. `before` and `behind` are PTX around the wait."""
    rng = np.random.default_rng(5)
    a, b = numbers(rng, case.a, (ROWS, case.depth)), numbers(rng, case.b, (case.columns, case.depth))
    c = rng.integers(-9, 10, (ROWS, case.columns))
    left, *a_blocks = image(a, case.a, case.mode, case.transposed[0])
    right, *b_blocks = image(b, case.b, case.mode, case.transposed[1])
    memory = np.concatenate([left, right])
    held = fragments(a, case.a) if case.registers else np.zeros((128, 4), np.uint32)
    words = np.concatenate([held, sums(c).astype(DTYPES[case.d]).view(np.uint32)], 1)
    kind = "f" if case.d == "f32" else "r"
    moved = [(f"[%words+{16 + 4 * n}]", f"%{kind}{n}") for n in range(words.shape[1] - 4)]
    product = instruction(case, 0, len(left), a_blocks, b_blocks).replace(WAIT, f"{before}\n{WAIT}\n{behind}")
    kernel = HEAD + KERNEL.format(
        size=len(memory), words=4 * words.shape[1], product=product,
        loads="".join(f"    ld.global.b32 {register}, {place};\n" for place, register in moved),
        stores="".join(f"    st.global.b32 {place}, {register};\n" for place, register in moved),
    )  # fmt: skip
    load_ptx(kernel)["k"].launch(1, 128, memory, words, len(memory), checked=checked)
    return a, b, c, np.ascontiguousarray(words[:, 4:]).view(DTYPES[case.d])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_product_is_exact(case):
    a, b, c, d = found(case)
    wanted = case.adds * c + case.signs[0] * case.signs[1] * (a.astype(np.float64) @ b.T.astype(np.float64))
    np.testing.assert_array_equal(d.astype(np.float64), sums(wanted))


@pytest.mark.parametrize("case", [CASES[1], CASES[6], CASES[11]], ids=str)
def test_checked_mode_sees_no_fault_in_a_right_product(case):
    a, b, c, d = found(case, checked=True)
    np.testing.assert_array_equal(d.astype(np.float64), sums(c + a.astype(np.float64) @ b.T.astype(np.float64)))


ALONE = "setp.eq.u32 %p, %t, 0; @%p"  # the thread that reads the first 16 bytes
# writes of operands: the shared memory of A, registers of A, and sums
WRITES = [
    (0, f"{ALONE} st.shared.u32 [%t], %t;", r"byte 0 of \w+"),
    (0, f"bar.sync 0; {ALONE} st.shared.v4.u32 [%t], {{%t, %t, %t, %t}};", r"byte 0 of \w+"),
    (0, f"bar.sync 0; {ALONE} red.shared.add.u32 [%t], 1;", r"byte 0 of \w+"),
    (2, "mov.b32 %a1, 7;", "a register"),
    (2, "ld.global.b32 %a3, [%words];", "a register"),
    (2, "mov.f32 %f3, 0f00000000;", "a register"),
    (0, "ld.global.f32 %f0, [%words];", "a register"),
]


@pytest.mark.parametrize(("number", "text", "what"), WRITES)
def test_checked_mode_finds_a_write_over_an_operand_before_the_wait(number, text, what):
    message = rf"writes {what}, which the wgmma in instruction \d+, `wgmma.* still uses: wait for its group first"
    with pytest.raises(KernelFault, match=message) as caught:
        found(CASES[number], checked=True, before=text)
    assert caught.value.kind is FaultKind.OPERAND


@pytest.mark.parametrize(("number", "text"), [row[:2] for row in WRITES[:5]])
def test_operands_may_be_written_behind_the_wait(number, text):
    a, b, c, d = found(CASES[number], checked=True, behind=text)
    np.testing.assert_array_equal(d.astype(np.float64), sums(c + a.astype(np.float64) @ b.T.astype(np.float64)))


def test_sums_may_be_copied_and_registers_of_a_read_before_the_wait():
    text = "mov.f32 %f100, %f0; mov.f32 %f0, %f100; add.u32 %v1, %a1, 1; mov.b32 %v1, %a1;"
    a, b, c, d = found(CASES[2], checked=True, before=text)
    np.testing.assert_array_equal(d.astype(np.float64), sums(c + a.astype(np.float64) @ b.T.astype(np.float64)))


@pytest.mark.parametrize("checked", [False, True])
def test_a_descriptor_that_leads_outside_is_a_fault(checked):
    case = CASES[0]
    product = instruction(case, 0, 8192, (128, 256), (128, 256))
    kernel = HEAD + KERNEL.format(size=2048, words=16, product=product, loads="", stores="")
    with pytest.raises(KernelFault, match="reads 16 bytes outside"):
        load_ptx(kernel)["k"].launch(1, 128, np.zeros(4096, np.uint8), np.zeros(512, np.uint32), 2048, checked=checked)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 %f, %x, %x, %r, 0, %p, 1, 1, 0, 0;", "sparse"),
        ("mma_async.sync.aligned.m64n8k16.f32.f16.bf16 %f, %x, %x, %p, 1, 1, 0, 0;", "not known"),
        ("mma_async.sync.aligned.m64n12k16.f32.f16.f16 %f, %x, %x, %p, 1, 1, 0, 0;", "not known"),
    ],
)
def test_products_that_are_not_known_are_refused_by_name(text, message):
    text = text.replace("%f,", "{%f0, %f1, %f2, %f3},")
    kernel = (
        f"{HEAD}.visible .entry k()\n{{ .reg .b64 %x; .reg .b32 %r; .reg .f32 %f<4>; .reg .pred %p; wgmma.{text} }}"
    )
    with pytest.raises(UnsupportedError, match=message):
        load_ptx(kernel)["k"].launch(1, 128)
