"""Numbers of 8 bits are converted as the package ml_dtypes converts them; PTX saturates, and has one NaN."""

import ml_dtypes
import numpy as np
import pytest

from convbench.emulator import load_ptx

FORMATS = {"e4m3x2": ml_dtypes.float8_e4m3fn, "e5m2x2": ml_dtypes.float8_e5m2}
HEAD = """.version 9.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 out)
{
    .reg .b64 %a<3>; .reg .b32 %t<4>; .reg .f32 %f<3>; .reg .b16 %h<2>;
    ld.param.u64 %a1, [x]; ld.param.u64 %a2, [out];
    mov.u32 %t1, %ctaid.x; mov.u32 %t2, %tid.x; mad.lo.u32 %t1, %t1, 128, %t2;
"""


def launched(text, x, out, count):
    load_ptx(f"{HEAD}{text}\n ret; }}")["k"].launch(count // 128, 128, x, out)
    return out


def every_half():
    return np.arange(2**16, dtype=np.uint16).view(np.float16)


def expected(x, form, *, relu):
    """The codes by ml_dtypes, for what is inside the range."""
    kind = FORMATS[form]
    largest = np.float32(ml_dtypes.finfo(kind).max)
    with np.errstate(all="ignore"):
        codes = np.clip(x.astype(np.float32), -largest, largest).astype(kind).view(np.uint8)
    if relu:
        codes = np.where(codes & 0x80, 0, codes)
    return np.where(np.isnan(x), 0x7F, codes).astype(np.uint8)


@pytest.mark.parametrize("relu", ["", ".relu"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_half_is_narrowed(form, relu):
    x = every_half()
    text = f"""
    mul.wide.u32 %a0, %t1, 4; add.u64 %a1, %a1, %a0; ld.global.b32 %t3, [%a1];
    cvt.rn.satfinite{relu}.{form}.f16x2 %h1, %t3;
    mul.wide.u32 %a0, %t1, 2; add.u64 %a2, %a2, %a0; st.global.b16 [%a2], %h1;"""
    out = launched(text, x, np.zeros(2**16, np.uint8), 2**15)
    np.testing.assert_array_equal(out, expected(x, form, relu=bool(relu)))


@pytest.mark.parametrize("form", FORMATS)
def test_singles_are_narrowed_the_first_operand_to_the_upper_half(form):
    random = np.random.default_rng(3)
    beside = every_half().astype(np.float32)
    finite = beside[np.isfinite(beside)]
    above = np.nextafter(finite, np.float32(1e9))
    others = (random.normal(size=2**16) * 1000).astype(np.float32)
    x = np.concatenate([finite, [np.inf, -np.inf, np.nan], above, others], dtype=np.float32)[: 2**17]
    text = f"""
    mul.wide.u32 %a0, %t1, 8; add.u64 %a1, %a1, %a0; ld.global.v2.f32 {{%f1, %f2}}, [%a1];
    cvt.rn.satfinite.{form}.f32 %h1, %f2, %f1;
    mul.wide.u32 %a0, %t1, 2; add.u64 %a2, %a2, %a0; st.global.b16 [%a2], %h1;"""
    out = launched(text, x, np.zeros(x.size, np.uint8), x.size // 2)
    np.testing.assert_array_equal(out, expected(x, form, relu=False))


@pytest.mark.parametrize("relu", ["", ".relu"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_code_is_widened(form, relu):
    codes = np.arange(256, dtype=np.uint8)
    text = f"""
    mul.wide.u32 %a0, %t1, 2; add.u64 %a1, %a1, %a0; ld.global.b16 %h1, [%a1];
    cvt.rn{relu}.f16x2.{form} %t3, %h1;
    mul.wide.u32 %a0, %t1, 4; add.u64 %a2, %a2, %a0; st.global.b32 [%a2], %t3;"""
    out = launched(text, codes, np.zeros(256, np.float16), 128)
    numbers = codes.view(FORMATS[form]).astype(np.float16)
    if relu:
        numbers = np.where(np.signbit(numbers) & ~np.isnan(numbers), np.float16(0), numbers)
    bits = np.where(np.isnan(numbers), 0x7FFF, numbers.view(np.uint16))
    np.testing.assert_array_equal(out.view(np.uint16), bits)
