"""The least time that a device can take for a problem. A measured time below it is an error of the measurement.

It is the larger of two times:

    bytes / bandwidth   With a cold cache, every byte of the inputs comes from memory; outputs may stay in the cache.
                        With a warm cache, it is all bytes of inputs and outputs except what the cache can hold.
    FLOPs / peak rate   Products with padding do not count. This holds only for methods that make every product:
                        Winograd's and the FFT's make fewer, and a library may use any method.

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model".
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from convbench.problem import ITEM_BYTES, ConvProblem, Direction, operands, roofline
from convbench.records import Cache

EVERY_PRODUCT = "direct", "gemm"  # the families whose methods make every product of the definition


def floor_us(
    problem: ConvProblem, direction: Direction, family: str, precision: str, device: Mapping[str, Any], cache: Cache
) -> float | None:
    """The least time in microseconds; None if the device's peak rates are not known (`roofline.of_device`)."""
    ceilings = roofline.of_device(device, precision)
    if ceilings is None:
        return None
    least = memory_bytes(problem, direction, int(device.get("l2_bytes") or 0), cache) / ceilings.tbytes / 1e6
    if family in EVERY_PRODUCT:
        least = max(least, 2 * products(problem) / ceilings.tflops / 1e6)
    return least


def memory_bytes(problem: ConvProblem, direction: Direction, cache_bytes: int, cache: Cache) -> int:
    """The fewest bytes that must pass between the memory and a cache of `cache_bytes`."""
    read, written = (
        sum(prod(operands.memory_shape(problem, name)) for name in names) * ITEM_BYTES[problem.dtype]
        for names in (operands.inputs(problem, direction), operands.outputs(problem, direction))
    )
    if problem.dilation != (1, 1) or problem.stride != (1, 1) or _has_empty_windows(problem):
        read = 0  # some elements of an input may never be read
    return max(read + written - cache_bytes, read if cache == "cold" else 0, 0)


def _has_empty_windows(problem: ConvProblem) -> bool:
    """Whether a window may lie entirely in the padding."""
    return any(max(padding) >= taps for padding, taps in zip(problem.padding, (problem.r, problem.s), strict=True))


def products(problem: ConvProblem) -> int:
    """The number of multiplications whose factor is an element of the input, not of the padding.

    It is the same for all three directions.
    """
    if problem.padding_mode != "zeros":
        return problem.macs
    (top, _), (left, _) = problem.padding
    axes = zip(
        (problem.p, problem.q), (problem.r, problem.s), problem.stride, problem.dilation, (top, left),
        (problem.h, problem.w), strict=True,
    )  # fmt: skip
    inside = []
    for outputs, taps, stride, dilation, before, size in axes:
        places = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - before
        inside.append(int(np.count_nonzero((places >= 0) & (places < size))))
    return problem.n * problem.k * (problem.c // problem.groups) * inside[0] * inside[1]
