"""The lower bound of a time: the bytes and multiplications that a problem needs, checked against counting."""

import itertools

import pytest
from hypothesis import given

from cases.synthetic import EMULATOR, GPU
from convbench.measurement.floor import floor_us, memory_bytes, products
from convbench.problem.notation import parse
from convbench.problem.roofline import of_device
from support.strategies import any_problems

H200 = of_device(GPU)


def counted(problem) -> int:
    """Products with an element of the input, by going through all of them."""
    (top, _), (left, _) = problem.padding
    (u, v), (d_h, d_w) = problem.stride, problem.dilation
    inside = sum(
        0 <= p * u - top + r * d_h < problem.h and 0 <= q * v - left + s * d_w < problem.w
        for p, q, r, s in itertools.product(*map(range, (problem.p, problem.q, problem.r, problem.s)))
    )
    return inside * problem.n * problem.k * problem.c // problem.groups


@given(any_problems())
def test_products_are_those_with_the_input(problem):
    expected = problem.macs if problem.padding_mode != "zeros" else counted(problem)
    assert products(problem) == expected <= problem.macs


def test_the_ceilings_of_an_h200_are_those_of_its_data_sheet():
    """66.9 TFLOP/s in float32, 989 in float16 on tensor cores at 1,830 MHz, 4.8 TB/s."""
    assert H200.tflops == pytest.approx(66.9, rel=0.001)
    assert H200.tbytes == pytest.approx(4.8, rel=0.03)
    assert of_device(GPU | {"sm_clock_mhz": 1830.0}, "float16").tflops == pytest.approx(989.4, rel=0.001)
    assert of_device(GPU | {"sm_clock_mhz": 1830.0}, "tf32").tflops == pytest.approx(494.7, rel=0.001)
    assert of_device(EMULATOR) is None
    assert of_device(GPU | {"compute_capability": "99.0"}) is None


def test_compute_is_the_floor_of_methods_that_make_every_product():
    problem = parse("n32c256h14w14-k256r3s3-pad1")
    floor = {family: floor_us(problem, "forward", family, "float32", GPU, "warm") for family in ("gemm", "winograd")}
    assert floor["gemm"] == pytest.approx(2 * counted(problem) / 66.9e6, rel=0.001)
    assert floor["winograd"] == 0, "everything fits in the cache of 60 MiB"
    assert floor_us(problem, "forward", "gemm", "float32", EMULATOR, "warm") is None


def test_a_cold_run_reads_its_inputs_and_a_warm_one_what_the_cache_cannot_hold():
    problem = parse("n1c8h10w10-k4r1s1")
    x, w, y = 800 * 4, 32 * 4, 400 * 4
    assert memory_bytes(problem, "forward", 0, "warm") == x + w + y
    assert memory_bytes(problem, "forward", 0, "cold") == x + w + y
    assert memory_bytes(problem, "forward", 10_000_000, "warm") == 0
    assert memory_bytes(problem, "forward", 10_000_000, "cold") == x + w
    assert memory_bytes(problem, "backward_data", 10_000_000, "cold") == y + w
    assert memory_bytes(problem, "backward_weights", 10_000_000, "cold") == x + y
    strided = parse("n1c8h10w10-k4r1s1-stride3")
    assert memory_bytes(strided, "forward", 10_000_000, "cold") == 0, "most of its input is never read"
    assert memory_bytes(parse("n1c8h10w10-k4r1s1-pad1"), "forward", 10_000_000, "cold") == 0
