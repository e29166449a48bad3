"""Patterns that compilers other than numba-cuda write: tables of functions, printf, addresses that wrap."""

import numpy as np
import pytest

from convbench.emulator import KernelFault, LaunchError, UnsupportedError, load_ptx

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
TABLE = (
    HEAD
    + """
.func (.param .b32 r) twice(.param .b32 x)
{ .reg .b32 %v; ld.param.b32 %v, [x]; add.s32 %v, %v, %v; st.param.b32 [r], %v; ret; }
.func (.param .b32 r) squared(.param .b32 x)
{ .reg .b32 %v; ld.param.b32 %v, [x]; mul.lo.s32 %v, %v, %v; st.param.b32 [r], %v; ret; }
.global .align 8 .u64 chosen[3] = {twice, squared, twice};
.visible .entry called(.param .u64 out)
{
    .reg .b32 %t, %v; .reg .b64 %a, %f, %o;
    mov.u32 %t, %tid.x;
    mul.wide.u32 %o, %t, 8;
    mov.u64 %a, chosen;
    add.u64 %a, %a, %o;
    ld.global.u64 %f, [%a];
    add.s32 %t, %t, 5;
    { .param .b32 p; .param .b32 q;
      st.param.b32 [p], %t;
      prototype : .callprototype (.param .b32 _) _ (.param .b32 _);
      call (q), %f, (p), prototype;
      ld.param.b32 %v, [q]; }
    ld.param.u64 %a, [out];
    shr.u64 %o, %o, 1;
    add.u64 %a, %a, %o;
    st.global.u32 [%a], %v;
    ret;
}
"""
)


@pytest.mark.parametrize("checked", [False, True])
def test_functions_are_called_through_a_table(checked):
    out = np.zeros(3, np.int32)
    load_ptx(TABLE)["called"].launch(1, 3, out, checked=checked)
    assert out.tolist() == [10, 36, 14]


def printing(form, stores):
    listed = ", ".join(map(str, [*form.encode(), 0]))
    return f"""{HEAD}
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
.global .align 1 .b8 form[{len(form.encode()) + 1}] = {{{listed}}};
.global .align 1 .b8 word[5] = {{119, 111, 114, 100, 0}};
.visible .entry print()
{{
    .local .align 8 .b8 values[64];
    .reg .b64 %a, %b, %c; .reg .b32 %r;
    {stores}
    mov.u64 %a, form; cvta.global.u64 %a, %a;
    mov.u64 %b, values; cvta.local.u64 %b, %b;
    {{ .param .b64 p; .param .b64 q; .param .b32 r;
      st.param.b64 [p], %a; st.param.b64 [q], %b;
      call (r), vprintf, (p, q);
      ld.param.b32 %r, [r]; }}
    ret;
}}
"""


def stored(kind, *values):
    size = int(kind[1:]) // 8
    return "".join(f"st.local.{kind} [values+{size * n}], {value};" for n, value in enumerate(values))


LONG = "st.local.u32 [values], 258; st.local.u32 [values+4], 65537; st.local.u64 [values+8], -3;"
STARS = "st.local.u32 [values], 6; st.local.u32 [values+4], 42; st.local.u32 [values+8], 1;"
ONE_AND_A_HALF = "0d3FF8000000000000"
HIGH = 0xFFFFFFBF


@pytest.mark.parametrize(
    ("form", "stores", "told"),
    [
        ("%d %5d|%-5d|%05d %+d %%", stored("u32", *[42] * 5), "42    42|42   |00042 +42 %"),
        ("%u %x %#X %o %c", stored("u32", *[HIGH] * 4, 65), "4294967231 ffffffbf 0XFFFFFFBF 37777777677 A"),
        ("%hhd %hd %ld %lld", f"{LONG} st.local.u64 [values+16], 1099511627776;", "2 1 -3 1099511627776"),
        ("%.3f %8.2e %g %a", stored("f64", *[ONE_AND_A_HALF] * 4), "1.500 1.50e+00 1.5 0x1.8p+0"),
        ("%*d %.*f", f"{STARS} st.local.f64 [values+16], {ONE_AND_A_HALF};", "    42 1.5"),
        ("%s %6s %.2s", "mov.u64 %a, word;" + stored("u64", "%a", "%a", "%a"), "word   word wo"),
        ("%s %p", stored("u64", 16, 16), "(not an address) 0x10"),
    ],
)
def test_printf_converts_as_c_does(form, stores, told, capsys):
    load_ptx(printing(form, stores))["print"].launch(1, 1)
    assert capsys.readouterr().out == told


def test_an_address_of_32_bits_wraps():
    text = f"""{HEAD}
.visible .entry behind(.param .u64 out)
{{
    .shared .align 4 .b8 tile[256];
    .reg .b32 %t, %back, %v; .reg .b64 %a, %o;
    mov.u32 %t, %tid.x;
    mov.u32 %back, tile;
    mad.lo.s32 %back, %t, -4, %back;  // below the beginning: the offset leads back
    st.shared.u32 [%back+124], %t;
    bar.sync 0;
    ld.shared.u32 %v, [%back+124];
    ld.param.u64 %a, [out];
    mul.wide.u32 %o, %t, 4;
    add.u64 %a, %a, %o;
    st.global.u32 [%a], %v;
    ret;
}}
"""
    for checked in (False, True):
        out = np.zeros(32, np.uint32)
        load_ptx(text)["behind"].launch(1, 32, out, checked=checked)
        np.testing.assert_array_equal(out, np.arange(32))


def test_a_kernel_takes_the_shared_memory_that_it_uses_itself():
    def kernel(name, size):
        return f"""
.shared .align 4 .b8 of_{name}[{size}];
.visible .entry {name}(.param .u64 out)
{{
    .shared .align 4 .b8 own[{size}];
    .reg .b32 %v; .reg .b64 %a;
    st.shared.u32 [of_{name}+{size - 4}], 3;
    st.shared.u32 [own], 4;
    ld.shared.u32 %v, [own];
    mov.u32 %v, %total_smem_size;
    ld.param.u64 %a, [out];
    st.global.u32 [%a], %v;
    ret;
}}
"""

    module = load_ptx(HEAD + kernel("small", 1024) + kernel("large", 20_000) + kernel("too_large", 200_000))
    out = np.zeros(1, np.uint32)
    module["small"].launch(1, 1, out)
    assert 2048 <= out[0] < 4096
    module["large"].launch(1, 1, out)
    assert out[0] >= 40_000
    with pytest.raises(LaunchError, match="shared"):
        module["too_large"].launch(1, 1, out)


ON_PAIRS = """
.visible .entry computed(.param .u64 x, .param .u64 out)
{
    .reg .b32 %t, %u, %v; .reg .b64 %x, %out, %a, %b, %c, %d; .reg .b16 %h, %k; .reg .f32 %f, %g;
    mov.u32 %t, %tid.x;
    ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
    mad.wide.u32 %x, %t, 24, %x;
    mad.wide.u32 %out, %t, 44, %out;
    ld.global.b64 %a, [%x]; ld.global.b64 %b, [%x+8]; ld.global.b64 %c, [%x+16];
    fma.rn.f32x2 %d, %a, %b, %c;
    mov.b64 {%u, %v}, %d; st.global.b32 [%out], %u; st.global.b32 [%out+4], %v;
    add.rz.f32x2 %d, %a, %b;
    mov.b64 {%u, %v}, %d; st.global.b32 [%out+8], %u; st.global.b32 [%out+12], %v;
    mul.ftz.f32x2 %d, %a, %c;
    mov.b64 {%u, %v}, %d; st.global.b32 [%out+16], %u; st.global.b32 [%out+20], %v;
    mov.b64 {%u, %v}, %a; mov.b32 %f, %u;
    mov.b64 {%u, %v}, %b; mov.b32 {%h, %k}, %u;
    add.f32.f16 %g, %h, %f; st.global.f32 [%out+24], %g;
    sub.rn.f32.f16 %g, %k, %f; st.global.f32 [%out+28], %g;
    add.rp.sat.f32.bf16 %g, %h, %f; st.global.f32 [%out+32], %g;
    fma.rn.f32.f16 %g, %h, %k, %f; st.global.f32 [%out+36], %g;
    fma.rz.f32.bf16 %g, %h, %k, %f; st.global.f32 [%out+40], %g;
    ret;
}
"""


def test_pairs_and_mixed_types_are_computed_as_one_by_one():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((64, 6)).astype(np.float32)
    halves = rng.standard_normal((64, 2)).astype(np.float16)
    x[:, 2] = halves.view(np.float32)[:, 0]
    x[0, 1] = np.inf
    x[0, 3] = -np.inf
    out = np.zeros((64, 11), np.float32)
    load_ptx(HEAD.replace("sm_90", "sm_100") + ON_PAIRS)["computed"].launch(1, 64, x, out)
    wide = x.astype(np.longdouble)  # holds every product
    a, b, c = wide[:, 0:2], wide[:, 2:4], wide[:, 4:6]
    np.testing.assert_array_equal(out[1:, :2], (a[1:] * b[1:] + c[1:]).astype(np.float32))
    near = (a[1:] + b[1:]).astype(np.float32)
    far = np.abs(near) > np.abs(a[1:] + b[1:])
    np.testing.assert_array_equal(out[1:, 2:4], np.where(far, np.nextafter(near, np.float32(0)), near))
    np.testing.assert_array_equal(out[:, 4:6], (a * c).astype(np.float32))
    assert out[0, 3].view(np.uint32) == 0x7FFFFFFF, "the sum of infinities of both signs is the canonical NaN"
    h, k, f = halves[:, 0].astype(np.longdouble), halves[:, 1].astype(np.longdouble), wide[:, 0]
    np.testing.assert_array_equal(out[:, 6], (h + f).astype(np.float32))
    np.testing.assert_array_equal(out[:, 7], (k - f).astype(np.float32))
    np.testing.assert_array_equal(out[:, 9], (h * k + f).astype(np.float32))
    brain = (halves.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.longdouble)
    clamped = np.clip(brain[:, 0] + f, 0, 1)
    np.testing.assert_allclose(out[:, 8], clamped.astype(np.float64), rtol=2**-22)
    assert (out[:, 8] >= clamped).all(), "rounded up"
    exact = brain[:, 0] * brain[:, 1] + f
    np.testing.assert_allclose(out[:, 10], exact.astype(np.float64), rtol=2**-22)
    assert (np.abs(out[:, 10]) <= np.abs(exact)).all(), "rounded towards zero"


CARRIES = """
.visible .entry subtracted(.param .u64 x, .param .u64 out)
{
    .reg .b32 %t, %a, %b, %c, %d, %e, %f, %zero; .reg .b64 %x, %out, %o;
    ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mov.u32 %zero, 0;
    mad.wide.u32 %x, %t, 8, %x;
    mad.wide.u32 %out, %t, 16, %out;
    ld.global.v2.u32 {%a, %b}, [%x];
    sub.cc.u32 %c, %a, %b;
    addc.u32 %c, %zero, %zero;
    sub.cc.u32 %d, %a, %b;
    subc.u32 %d, 10, %zero;
    add.cc.u32 %e, %a, %b;
    subc.u32 %e, 10, %zero;
    add.cc.u32 %f, %a, %b;
    addc.u32 %f, %zero, %zero;
    st.global.v4.u32 [%out], {%c, %d, %e, %f};
    ret;
}
"""


def test_the_carry_of_a_difference_is_set_where_nothing_is_borrowed():
    x = np.array([(5, 3), (3, 5), (3, 0xFFFFFFFF), (7, 7)], np.uint32)
    out = np.zeros((4, 4), np.uint32)
    load_ptx(HEAD + CARRIES)["subtracted"].launch(1, 4, x, out)
    # as ptxas folds them for the first three rows, and as the machine code computes them
    assert out.tolist() == [[1, 10, 9, 0], [0, 9, 9, 0], [0, 9, 10, 1], [1, 10, 9, 0]]


ON_VECTORS = """
.visible .entry added(.param .u64 x, .param .u64 out)
{
    .reg .f32 %a<4>, %b<4>; .reg .b64 %x, %out, %o; .reg .b32 %t; .reg .b16 %h;
    ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mul.wide.u32 %o, %t, 16;
    mov.f32 %a0, 0f3F800000; mov.f32 %a1, 0f40000000; mov.f32 %a2, 0f40400000; mov.f32 %a3, 0f40800000;
    atom.global.v4.f32.add {%b0, %b1, %b2, %b3}, [%x], {%a0, %a1, %a2, %a3};
    red.global.v2.f32.add [%x+16], {%a2, %a3};
    mov.b16 %h, 0x3C00;
    red.global.add.noftz.v2.f16 [%x+24], {%h, %h};
    add.u64 %out, %out, %o;
    st.global.v4.f32 [%out], {%b0, %b1, %b2, %b3};
    ret;
}
"""


def test_atomics_update_each_element_of_a_vector():
    x, out = np.zeros(7, np.float32), np.zeros((32, 4), np.float32)
    load_ptx(HEAD + ON_VECTORS)["added"].launch(1, 32, x, out)
    assert x[:6].tolist() == [32, 64, 96, 128, 96, 128]
    assert x[6:].view(np.float16).tolist() == [32, 32]
    order = out[:, :1].argsort(0)[:, 0]
    np.testing.assert_array_equal(out[order], np.arange(32)[:, None] * np.arange(1, 5))


STRONG_STORES = """
.visible .entry stored(.param .u64 out)
{
    .shared .align 4 .b8 tile[16];
    .reg .b32 %v; .reg .b64 %a;
    mov.u64 %a, tile; cvta.shared.u64 %a, %a;
    mov.u32 %v, 3;
    st.relaxed.cta.b32 [%a], %v;
    st.volatile.shared.b32 [tile+4], %v;
    ld.shared.u32 %v, [tile+4];
    ld.param.u64 %a, [out];
    st.global.u32 [%a], %v;
    ret;
}
"""


def test_a_strong_store_reads_nothing():
    out = np.zeros(1, np.uint32)
    load_ptx(HEAD + STRONG_STORES)["stored"].launch(1, 1, out, checked=True)
    assert out[0] == 3


def test_clusters_are_refused_by_name():
    kernel = ".visible .entry k()\n.reqnctapercluster 2, 1, 1\n.explicitcluster\n{ barrier.cluster.arrive; ret; }\n"
    with pytest.raises(UnsupportedError, match="clusters of blocks are not emulated: k asks for 2 × 1 × 1 blocks"):
        load_ptx(HEAD + kernel)["k"].launch(2, 1)
    load_ptx(HEAD + kernel.replace("2, 1, 1", "1, 1, 1"))["k"].launch(2, 1)


OF_PARAMETERS = """
.func (.param .b32 r) read(.param .b64 at)
{ .reg .b32 %v; .reg .b64 %a; ld.param.u64 %a, [at]; ld.u32 %v, [%a]; st.param.b32 [r], %v; ret; }
.visible .entry chosen(.param .align 8 .b8 given[32], .param .u64 out, .param .u32 first)
{
    .reg .b32 %t, %v, %w; .reg .b64 %a, %g, %o, %out;
    ld.param.u64 %out, [out]; ld.param.u32 %v, [first];
    mov.u32 %t, %tid.x;
    mul.wide.u32 %o, %t, 4;
    add.u64 %out, %out, %o;
    add.u32 %v, %v, %t;
    mul.wide.u32 %o, %v, 4;
    mov.b64 %a, given;
    cvta.param.u64 %g, %a;
    add.u64 %a, %a, %o;
    add.u64 %g, %g, %o;
    ld.param.u32 %v, [%a];
    { .param .b64 p; .param .b32 q; st.param.b64 [p], %g; call (q), read, (p); ld.param.b32 %w, [q]; }
    mad.lo.u32 %v, %w, 100, %v;
    st.global.u32 [%out], %v;
    ret;
}
"""


@pytest.mark.parametrize("checked", [False, True])
def test_the_address_of_a_parameter_can_be_taken(checked):
    given, out = np.arange(8, dtype=np.uint32), np.zeros(8, np.uint32)
    kernel = load_ptx(HEAD + OF_PARAMETERS)["chosen"]
    kernel.launch(1, 8, given, out, 0, checked=checked)
    np.testing.assert_array_equal(out, given * 101)
    with pytest.raises(KernelFault, match="reads 4 bytes outside"):
        kernel.launch(1, 8, given, out, 8, checked=checked)
