"""Sums of products are fused where a GPU's compilers fuse them: the same bits as from the PTX."""

import random

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import Emulator
from convbench.emulator.nvvm.fusion import fused

THREADS = 256
SUMS = [  # no two share a product
    "a * b + c",
    "a * b - c",
    "c - a * b",
    "a * b + c * d",
    "a * b - c * d",
    "a * b + c * d + e * e",
    "a * b * c + d",
    "(a * b + c) * d + e",
    "c - (-(a * b))",
    "(a * b + c) * (a * b + d)",
    "(a * b + c) - (a * b)",
    "a * b + a * b",
    "(a * b + c) * (a * b - c)",
    "(a * b + c * d) * (a * b + e)",
    "(a * b + c * d) * (c * d + e)",
    "(a * b + c) * (a * b + d) * (a * b + e) * (a * b - c) * (a * b + a)",
]


CHANCE = random.Random(0)


def term():
    """A product or a value."""
    return " * ".join(CHANCE.sample("abcde", 2)) if CHANCE.random() < 0.75 else CHANCE.choice("abcde")


def total_of_terms():
    """A sum whose terms come in any order, which the compilers sort."""
    total = term()
    for _ in range(CHANCE.randint(1, 3)):
        total += f" {CHANCE.choice('+-')} {term()}"
    return f"({total}) * {CHANCE.choice('abcde')} + {term()}" if CHANCE.random() < 0.4 else total


SUMS += [total_of_terms() for _ in range(24)]


def kernel_of_sums():
    """A kernel that computes each sum from five rows of its own."""
    text = ""
    for row, total in enumerate(SUMS):
        named = "".join(f"{name} = x[{5 * row + number}, i]; " for number, name in enumerate("abcde"))
        text += f"    {named}out[{row}, i] = {total}\n"
    text += "    total = x[0, i]\n    for k in range(5):\n        total += x[k, i] * x[7, i]\n"
    text += f"    out[{len(SUMS)}, i] = total\n"
    scope = {"cuda": cuda}
    exec(f"def kernel(x, out):\n    i = cuda.threadIdx.x\n{text}", scope)
    return cuda.jit(scope["kernel"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_sums_are_fused_as_on_a_gpu(dtype):
    x = np.random.default_rng(1).standard_normal((5 * len(SUMS), THREADS)).astype(dtype)
    kernel, found = kernel_of_sums(), []
    for emulator in (Emulator(code="ptx", workers=1), Emulator(code="llvm", checked=True, orders=("forward",))):
        out = np.zeros((len(SUMS) + 1, THREADS), dtype)
        emulator.launch(kernel, 1, THREADS, x, out)
        found.append(out)
    differing = [
        total for row, total in enumerate([*SUMS, "loop"]) if found[0][row].tobytes() != found[1][row].tobytes()
    ]
    assert not differing
    assert (found[0][0] != x[0] * x[1] + x[2]).any()  # or there would be nothing to see


@cuda.jit
def complex_sums(a, b, c, out):
    i = cuda.threadIdx.x
    out[0, i] = a[i] * b[i] + c[i]
    out[1, i] = a[i] * b[i] - c[i]
    out[2, i] = c[i] * a[i] + a[i] * b[i]
    out[3, i] = a[i] * b[i].real + c[i]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_sums_of_complex_numbers_are_those_of_a_gpu(dtype):
    rng = np.random.default_rng(2)
    a, b, c = ((rng.standard_normal(THREADS) + 1j * rng.standard_normal(THREADS)).astype(dtype) for _ in range(3))
    found = []
    for emulator in (Emulator(code="ptx", workers=1), Emulator(code="llvm", checked=True, orders=("forward",))):
        out = np.zeros((4, THREADS), dtype)
        emulator.launch(complex_sums, 1, THREADS, a, b, c, out)
        found.append(out)
    assert found[0].tobytes() == found[1].tobytes()


def lines(*body):
    return "\n".join(["define float @f(float %a, float %b, float %c) {", *(f"  {line}" for line in body), "}"])


def test_a_product_that_is_used_otherwise_is_rounded():
    text = lines("%p = fmul float %a, %b", "%s = fadd float %p, %c", "store float %p, ptr null", "ret float %s")
    assert fused(text) == text


def test_a_product_of_another_block_is_rounded():
    branch = ["%t = fcmp olt float %a, %b", "br i1 %t, label %next, label %other"]
    text = lines("%p = fmul float %a, %b", *branch, "next:", "%s = fadd float %p, %c", "other:").replace(
        "  next", "next"
    )
    assert fused(text) == text


def test_a_check_does_not_end_a_block():
    branch = ["%t = fcmp olt float %a, %b", "br i1 %t, label %next, label %fault"]
    body = [
        "%p = fmul float %a, %b",
        *branch,
        "next:",
        "%s = fadd float %p, %c",
        "ret float %s",
        "fault:",
        "unreachable",
    ]
    text = lines(*body).replace("  next:", "next:").replace("  fault:", "fault:")
    assert "%s = call float @llvm.fma.f32(float %a, float %b, float %c)" in fused(text)


def test_a_difference_negates_what_is_subtracted():
    text = fused(lines("%p = fmul float %a, %b", "%s = fsub float %c, %p, !dbg !7", "ret float %s"))
    assert '%"fma.s.minus" = fneg float %a' in text
    assert 'call float @llvm.fma.f32(float %"fma.s.minus", float %b, float %c), !dbg !7' in text
    assert "declare float @llvm.fma.f32(float, float, float)" in text
