"""Matrix instructions of warps, in every shape and type that is known, against sums of exact integers.

Fragments are laid out here as the PTX ISA says for each shape, in "Warp-Level Matrix Instructions".
"""

from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np
import pytest

from convbench.emulator import UnsupportedError, load_ptx

HEAD = ".version 9.0\n.target sm_100a\n.address_size 64\n"
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "f64": 64, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "s4": 4, "u4": 4, "b1": 1}
DTYPES = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "f64": np.float64, "s8": np.int8, "u8": np.uint8,
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "f32": np.float32, "s32": np.int32,
}  # fmt: skip
LOW = {"s8": -128, "u8": 0, "s4": -8, "u4": 0, "b1": 0}
HIGH = {"s8": 128, "u8": 256, "s4": 8, "u4": 16, "b1": 2}


@dataclass(frozen=True)
class Case:
    rows: int
    depth: int
    d: str
    a: str
    b: str
    more: str = ""  # modifiers

    def __str__(self):
        return f"m{self.rows}n8k{self.depth}.{self.d}.{self.a}.{self.b}{self.more}"

    @property
    def registers(self):
        """Registers of A, B and D of a lane."""
        wide = max(BITS[self.a], 32)
        sums = self.rows * 8 // 32
        counts = (size * self.depth * BITS[self.a] // (32 * wide) for size in (self.rows, 8))
        return *counts, sums // 2 if self.d == "f16" else sums


CASES = [
    *(Case(16, depth, d, "f16", "f16") for depth in (8, 16) for d in ("f16", "f32")),
    *(Case(16, depth, "f32", "bf16", "bf16") for depth in (8, 16)),
    *(Case(16, depth, "f32", "tf32", "tf32") for depth in (4, 8)),
    *(Case(rows, depth, "f64", "f64", "f64") for rows, depth in ((8, 4), (16, 4), (16, 8), (16, 16))),
    *(Case(16, 32, d, a, b) for d in ("f16", "f32") for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2")),
    Case(16, 16, "f32", "e4m3", "e5m2"),
    *(Case(rows, depth, "s32", "s8", "u8") for rows, depth in ((8, 16), (16, 16))),
    *(Case(16, 32, "s32", a, b) for a in ("s8", "u8") for b in ("s8", "u8")),
    *(Case(rows, depth, "s32", "u4", "s4") for rows, depth in ((8, 32), (16, 32), (16, 64))),
    Case(16, 64, "s32", "s4", "s4", ".satfinite"),
    *(Case(rows, depth, "s32", "b1", "b1", ".xor.popc") for rows, depth in ((8, 128), (16, 128), (16, 256))),
    Case(16, 256, "s32", "b1", "b1", ".and.popc"),
]


def numbers(rng, kind, shape):
    """Random numbers of a type, as float64; small integers where the type is a floating one."""
    return rng.integers(LOW.get(kind, -4), HIGH.get(kind, 5), shape).astype(np.float64)


def packed(values, kind):
    """The bits of numbers of a type, one after another in words of 32 bits; along the last axis."""
    if BITS.get(kind, 32) >= 8:
        return values.astype(DTYPES[kind]).view(np.uint32)
    width = BITS[kind]
    parts = values.astype(np.int64).reshape(*values.shape[:-1], -1, 32 // width) & ((1 << width) - 1)
    return (parts << width * np.arange(32 // width)).sum(-1).astype(np.uint32)


def fragments(matrix, kind):
    """The elements of A, or of B turned on its side, of each lane: (32, elements)."""
    per = max(32 // BITS[kind], 1)
    lines, depth = matrix.shape
    g, t = np.arange(32)[:, None] // 4, np.arange(32)[:, None] % 4
    i = np.arange(lines * depth // 32)
    if lines == 16:
        line, place = g + 8 * (i // per % 2), per * t + i % per + 4 * per * (i // (2 * per))
    else:
        line, place = g, per * t + i % per + 4 * per * (i // per)
    return matrix[line + 0 * i, place]


def sums(matrix):
    """The elements of C of each lane."""
    g, t, i = np.arange(32)[:, None] // 4, np.arange(32)[:, None] % 4, np.arange(matrix.size // 32)
    return matrix[g + 8 * (i // 2), 2 * t + i % 2]


def instruction(case):
    """PTX that loads the operands of a case, multiplies and stores; its address is in %x."""
    kind = "f64" if case.a == "f64" else "b32"
    kind_d = case.d if case.d in ("f32", "f64") else "b32"
    text, at, names = "", 0, []
    for letter, count, own in zip("abc", case.registers, (kind, kind, kind_d), strict=True):
        registers = [f"%{own}{letter}{n}" for n in range(count)]
        for register in registers:
            text += f"    ld.global.{own} {register}, [%x+{at}];\n"
            at += 8 if own == "f64" else 4
        names.append("{" + ", ".join(registers) + "}")
    a, b, c = names
    plain, satfinite = case.more.replace(".satfinite", ""), ".satfinite" if "sat" in case.more else ""
    kinds = f"{case.d}.{case.a}.{case.b}.{case.d}"
    text += f"    mma.sync.aligned.m{case.rows}n8k{case.depth}.row.col{satfinite}.{kinds}{plain} {c}, {a}, {b}, {c};\n"
    for n in range(case.registers[2]):
        place = at - (8 if kind_d == "f64" else 4) * (case.registers[2] - n)
        text += f"    st.global.{kind_d} [%x+{place}], %{kind_d}c{n};\n"
    return text


def declared():
    return "".join(
        f"    .reg .{kind} {', '.join(f'%{kind}{letter}<20>' for letter in 'abcd')};\n"
        for kind in ("b32", "f32", "f64")
    )


@cache
def products():
    """Each case's operands and what was found, computed by one kernel."""
    rng = np.random.default_rng(3)
    text, words, operands = "", [], {}
    begin = 0
    for case in CASES:
        a, b = numbers(rng, case.a, (case.rows, case.depth)), numbers(rng, case.b, (8, case.depth))
        c = numbers(rng, "f32", (case.rows, 8))
        if "sat" in case.more:
            c += 2.0**31 - 5
            c = np.minimum(c, 2.0**31 - 1)
        rows = [packed(fragments(a, case.a), case.a), packed(fragments(b, case.b), case.b), packed(sums(c), case.d)]
        size = sum(row.shape[1] for row in rows)
        text += f"    mad.wide.u32 %x, %t, {4 * size}, %all;\n    add.u64 %x, %x, {begin};\n{instruction(case)}"
        operands[case] = a, b, c, len(words), rows[0].shape[1] + rows[1].shape[1]
        words.append(np.concatenate(rows, 1))
        begin += 4 * words[-1].size
    memory = np.concatenate([part.ravel() for part in words])
    kernel = f"""{HEAD}.visible .entry k(.param .u64 all)
{{
    .reg .b64 %x, %all; .reg .b32 %t;
{declared()}    ld.param.u64 %all, [all];
    mov.u32 %t, %tid.x;
{text}    ret;
}}
"""
    load_ptx(kernel)["k"].launch(1, 32, memory)
    found, place = [], 0
    for part in words:
        found.append(memory[place : place + part.size].reshape(part.shape))
        place += part.size
    return {
        case: (a, b, c, np.ascontiguousarray(found[n][:, first:]).view(DTYPES[case.d]))
        for case, (a, b, c, n, first) in operands.items()
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_product_of_fragments_is_exact(case):
    a, b, c, found = products()[case]
    wanted = c + ((a[:, None] != b[None]).sum(-1) if "xor" in case.more else a @ b.T)
    if "sat" in case.more:
        wanted = np.minimum(wanted, 2.0**31 - 1)
        assert (wanted == 2.0**31 - 1).any()
    np.testing.assert_array_equal(found.astype(np.float64), sums(wanted))


@pytest.mark.parametrize("kind", ["f16", "f32"])
@pytest.mark.parametrize("orders", ["row.col", "col.row", "row.row", "col.col"])
def test_four_small_products_of_halves_are_exact(kind, orders):
    rng = np.random.default_rng(4)
    a, b, c = (numbers(rng, "f16", (4, *shape)) for shape in ((8, 4), (4, 8), (8, 8)))
    lane, i = np.arange(32)[:, None], np.arange(8)
    quad, low, high = lane // 4 % 4, lane % 4, 4 * (lane >= 16)
    by_rows = [order == "row" for order in orders.split(".")]
    left = a[quad, low + high, i[:4]] if by_rows[0] else a[quad, i[:4] + high, low]
    right = b[quad, low, i[:4] + high] if by_rows[1] else b[quad, i[:4], low + high]
    if kind == "f16":
        row, column = low + high + 0 * i, i + 0 * lane
    else:
        row, column = (lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)
    words = [packed(left, "f16"), packed(right, "f16"), packed(c[quad, row, column], kind)]
    memory = np.concatenate(words, 1)
    count = memory.shape[1] - 4
    own = "b32" if kind == "f16" else "f32"
    sums = [f"%{own}c{n}" for n in range(count)]
    listed = "{" + ", ".join(sums) + "}"
    loads = [f"ld.global.{own} {name}, [%x+{16 + 4 * n}];" for n, name in enumerate(sums)]
    stores = [f"st.global.{own} [%x+{16 + 4 * n}], {name};" for n, name in enumerate(sums)]
    kernel = f"""{HEAD}.visible .entry k(.param .u64 x)
{{
    .reg .b64 %x; .reg .b32 %t, %a, %b, %c, %d;
{declared()}    ld.param.u64 %x, [x];
    mov.u32 %t, %tid.x;
    mad.wide.u32 %x, %t, {4 * memory.shape[1]}, %x;
    ld.global.v4.b32 {{%a, %b, %c, %d}}, [%x];
    {" ".join(loads)}
    mma.sync.aligned.m8n8k4.{orders}.{kind}.f16.f16.{kind} {listed}, {{%a, %b}}, {{%c, %d}}, {listed};
    {" ".join(stores)}
    ret;
}}
"""
    load_ptx(kernel)["k"].launch(1, 32, memory)
    found = np.ascontiguousarray(memory[:, 4:]).view(DTYPES[kind]).astype(np.float64)
    np.testing.assert_array_equal(found, (a @ b + c)[quad, row, column])


SPARSE = "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 %f, {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6,%r7}, %f, %r8, 0;"
SCALED = "mma.sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 "
SCALED += "%f, {%r0,%r1,%r2,%r3}, {%r4,%r5}, %f, %r6, {0, 0}, %r7, {0, 0};"
MIXED = "mma.sync.aligned.m16n8k8.row.col.f32.f64.f64.f32 %f, {%r0,%r1}, {%r4}, %f;"


@pytest.mark.parametrize(
    ("text", "message"),
    [(SPARSE, "sparse factors are not"), (SCALED, "scales for blocks are not"), (MIXED, "not known here")],
)
def test_products_that_are_not_known_are_refused_by_name(text, message):
    text = text.replace("%f,", "{%f0,%f1,%f2,%f3},").replace("%f;", "{%f0,%f1,%f2,%f3};")
    kernel = f"{HEAD}.visible .entry k()\n{{ .reg .b32 %r<9>; .reg .f32 %f<4>; {text} ret; }}\n"
    with pytest.raises(UnsupportedError, match=message):
        load_ptx(kernel)["k"].launch(1, 32)


# ---- moves

MOVES = """.visible .entry moves(.param .u64 x, .param .u64 out)
{
    .shared .align 16 .b8 tile[1024];
    .reg .b32 %r<16>, %t, %row, %to; .reg .b64 %x, %out, %o;
    ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mad.wide.u32 %x, %t, 16, %x;
    ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%x];
    mov.u32 %row, tile;
    mad.lo.u32 %row, %t, 16, %row;
    st.shared.v4.u32 [%row], {%r0, %r1, %r2, %r3};
    bar.sync 0;
    ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%row];
    ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r1, %r2}, [%row];
    ldmatrix.sync.aligned.m8n8.x4.shared::cta.b16 {%r3, %r4, %r5, %r6}, [%row];
    ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r7, %r8, %r9, %r10}, [%row];
    movmatrix.sync.aligned.m8n8.trans.b16 %r11, %r4;
    stmatrix.sync.aligned.m8n8.x4.shared.b16 [%row+512], {%r3, %r4, %r5, %r6};
    bar.sync 0;
    ld.shared.u32 %r12, [%row+516];
    bar.sync 0;
    stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%row+512], {%r3, %r4};
    stmatrix.sync.aligned.m8n8.x1.shared.b16 [%row+768], {%r5};
    bar.sync 0;
    ld.shared.u32 %r13, [%row+516];
    mad.wide.u32 %out, %t, 56, %out;
"""
MOVES += "".join(f"    st.global.u32 [%out+{4 * n}], %r{n};\n" for n in range(14)) + "    ret;\n}\n"


@pytest.mark.parametrize("checked", [False, True])
def test_matrices_move_between_shared_memory_and_fragments(checked):
    x = np.random.default_rng(0).integers(0, 2**16, (4, 8, 8)).astype(np.uint16)  # four matrices
    out = np.zeros((32, 14), np.uint32)
    load_ptx(HEAD + MOVES)["moves"].launch(1, 32, x, out, checked=checked)

    def fragment(matrix):
        return matrix.astype(np.uint16).reshape(-1).view(np.uint32)  # lane 4·r + c has columns 2·c and 2·c + 1 of row r

    def rows(*matrices):
        return np.concatenate(matrices).reshape(-1, 8)[:, 2:4].copy().view(np.uint32).ravel()

    wanted = [fragment(x[0]), fragment(x[0].T), fragment(x[1].T)]
    wanted += [fragment(x[n]) for n in range(4)] + [fragment(x[n].T) for n in range(4)] + [fragment(x[1].T)]
    np.testing.assert_array_equal(out[:, :12].T, wanted)
    np.testing.assert_array_equal(out[:, 12], rows(*x))
    np.testing.assert_array_equal(out[:, 13], rows(x[0].T, x[1].T, x[2], x[3]))
