"""Known mistakes of convolution kernels, each as the result that it gives.

A kernel that is wrong is often wrong in a way that people know: the filter is flipped, height and width are swapped,
the padding is off by one. Each mistake here computes what such a kernel would return, in float64, so that a wrong
result can be compared with it. `convbench.measurement.diagnosis` does that.

All three directions are one of two sums over the taps (r, s). With e the spread of the source (the stride, for the
gradient by the input, and 1 otherwise):

    slide     target[n, m, i, j] = addend[m] + Σ_{l,r,s} source[n, l, (i·u − top + r·d_h) / e, …] · f[m, l, r, s]
    weights   dw[k, c, r, s] = Σ_{n,p,q} dy[n, k, p, q] · x[n, c, p·u − top + r·d_h, q·v − left + s·d_w]

where an index that is not divisible by e, or lies outside of the source, reads a zero.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from convbench.problem import FILTER_LAYOUTS, LAYOUTS, ConvProblem, Direction, Pair, operands
from convbench.reference import Float64, definition

Tensors = Mapping[str, Any]
Mistake = tuple[str, Callable[[], Float64]]


@dataclass(frozen=True)
class Setting:
    """Everything that a sum over the taps reads: the operands as float64, and where the taps lie."""

    source: Float64  # (N, L, H, W), padded already where the padding holds no zeros
    filters: Float64  # (M, L/G, R, S); of the gradient by the weights dy, (N, K, P, Q)
    addend: Float64  # (M)
    outputs: Pair
    stride: Pair
    top_left: Pair
    dilation: Pair
    spread: Pair
    groups: int


def setting(problem: ConvProblem, direction: Direction, given: Tensors) -> Setting:
    """What a correct kernel reads."""
    values = {name: np.asarray(value, np.float64) for name, value in given.items() if value is not None}
    (top, _), (left, _) = problem.padding
    if direction == "backward_data":
        w = values["w"].reshape(problem.groups, problem.k // problem.groups, *problem.w_shape[1:])
        swapped = w.swapaxes(1, 2).reshape(problem.c, -1, problem.r, problem.s)
        taps = problem.r, problem.s
        return Setting(
            source=values["dy"], filters=swapped[:, :, ::-1, ::-1], addend=np.zeros(problem.c),
            outputs=(problem.h, problem.w), stride=(1, 1), dilation=problem.dilation, spread=problem.stride,
            top_left=(problem.dilation[0] * (taps[0] - 1) - top, problem.dilation[1] * (taps[1] - 1) - left),
            groups=problem.groups,
        )  # fmt: skip
    x = values["x"]
    if problem.padding_mode != "zeros":
        x, top, left = definition.pad(problem, x), 0, 0
    forward = direction == "forward"
    return Setting(
        source=x, filters=values["w"] if forward else values["dy"], addend=values.get("bias", np.zeros(problem.k)),
        outputs=(problem.p, problem.q) if forward else (problem.r, problem.s), stride=problem.stride,
        top_left=(top, left), dilation=problem.dilation, spread=(1, 1), groups=problem.groups,
    )  # fmt: skip


def slide(at: Setting) -> Float64:
    """(N, M, I, J): the filters slid over the source."""
    n, sources = at.source.shape[:2]
    filters = at.filters.reshape(at.groups, -1, *at.filters.shape[1:])
    total = np.zeros((n, at.groups, filters.shape[1], at.outputs[0] * at.outputs[1]))
    for r, s in product(range(at.filters.shape[2]), range(at.filters.shape[3])):
        total += filters[:, :, :, r, s] @ reads(at, r, s, at.outputs).reshape(n, at.groups, sources // at.groups, -1)
    return total.reshape(n, -1, *at.outputs) + at.addend.reshape(1, -1, 1, 1)


def weights(at: Setting) -> Float64:
    """(K, C/G, R, S): the gradient by the weights, with dy in the place of the filters."""
    n, k, p, q = at.filters.shape
    gradient = at.filters.reshape(n, at.groups, k // at.groups, p * q)
    found = np.empty((k, at.source.shape[1] // at.groups, *at.outputs))
    for r, s in product(range(at.outputs[0]), range(at.outputs[1])):
        read = reads(at, r, s, (p, q)).reshape(n, at.groups, -1, p * q)
        found[:, :, r, s] = (gradient @ read.swapaxes(2, 3)).sum(0).reshape(k, -1)
    return found


def reads(at: Setting, r: int, s: int, extent: Pair) -> Float64:
    """What the tap (r, s) reads for every output, (N, L, I, J)."""
    framed = np.pad(at.source, ((0, 0), (0, 0), (0, 1), (0, 1)))  # a zero behind the last row and column
    rows, columns = (
        _places(count, at.stride[axis], at.top_left[axis], tap * at.dilation[axis], at.spread[axis], size)
        for axis, (count, tap, size) in enumerate(zip(extent, (r, s), at.source.shape[2:], strict=True))
    )
    return framed[:, :, rows][:, :, :, columns]


def _places(count: int, stride: int, first: int, offset: int, spread: int, size: int) -> Any:
    """Indices into the source along one axis; the size itself stands for a zero."""
    place = np.arange(count) * stride - first + offset
    inside = (place % spread == 0) & (place >= 0) & (place < size * spread)
    return np.where(inside, place // spread, size)


def mistakes(problem: ConvProblem, direction: Direction, given: Tensors, name: str) -> Iterator[Mistake]:
    """Every known mistake that this problem can show, by what people call it, with the result that it gives."""
    if name == "dbias":
        yield from _of_bias_gradient(problem, np.asarray(given["dy"], np.float64))
        return
    right = setting(problem, direction, given)
    compute = weights if direction == "backward_weights" else slide

    def of(told: str, **changes: Any) -> Mistake:
        return told, lambda: compute(replace(right, **changes))

    yield from (of(told, **changes) for told, changes in _of_geometry(problem, direction, right))
    if direction == "backward_weights":
        yield from (of(told, **changes) for told, changes in _of_images(right, both=True))
    else:
        yield from (of(told, **changes) for told, changes in _of_filters(right))
        yield from (of(told, **changes) for told, changes in _of_bias(problem, direction, right))
        yield from (of(told, **changes) for told, changes in _of_images(right, both=False))
    for told, other in _as_misread(problem, direction, given):
        yield told, lambda other=other: compute(setting(problem, direction, other))  # type: ignore[misc]
    if problem.padding_mode != "zeros" and direction != "backward_data":
        for told, padded in _of_padding_mode(problem, np.asarray(given["x"], np.float64)):
            yield of(told, source=padded)


def _of_geometry(problem: ConvProblem, direction: Direction, at: Setting) -> Iterator[tuple[str, dict[str, Any]]]:
    """Padding, stride and dilation."""
    top, left = at.top_left
    sign = -1 if direction == "backward_data" else 1
    for down, right, told in (
        (1, 0, "at the top"), (0, 1, "at the left"), (1, 1, "at the top and the left"), (-1, 0, "at the top"),
        (0, -1, "at the left"), (-1, -1, "at the top and the left"),
    ):  # fmt: skip
        words = "too large" if down + right > 0 else "too small"
        yield (
            f"padding off by one: one row or column {words} {told}",
            {"top_left": (top + sign * down, left + sign * right)},
        )
    (before_h, after_h), (before_w, after_w) = problem.padding
    if problem.padding_mode == "zeros":
        shift = {
            "padding ignored": (0, 0),
            "padding of the far side (bottom, right) taken for the near side (top, left)": (after_h, after_w),
            "padding of height and width swapped": (before_w, before_h),
        }
        for told, (new_top, new_left) in shift.items():
            if (new_top, new_left) != (before_h, before_w):
                moved = top + sign * (new_top - before_h), left + sign * (new_left - before_w)
                yield told, {"top_left": moved}
    which = "spread" if direction == "backward_data" else "stride"
    for told, name, value in (("stride", which, problem.stride), ("dilation", "dilation", problem.dilation)):
        if value[0] != value[1]:
            yield f"{told} of height and width swapped", {name: value[::-1]}
        if value != (1, 1):
            yield f"{told} ignored", {name: (1, 1)}


def _of_filters(at: Setting) -> Iterator[tuple[str, dict[str, Any]]]:
    """The order, the groups and the completeness of the filters, and of the channels."""
    f = at.filters
    taps = f.shape[2:]
    if taps != (1, 1):
        yield "filter flipped in height and width", {"filters": f[:, :, ::-1, ::-1]}
        yield "filter flipped in height", {"filters": f[:, :, ::-1]}
        yield "filter flipped in width", {"filters": f[:, :, :, ::-1]}
    if taps[0] == taps[1] > 1:
        yield "height and width of the filter swapped", {"filters": f.swapaxes(2, 3)}
    if at.source.shape[2] == at.source.shape[3] > 1:
        yield "height and width of the input swapped", {"source": at.source.swapaxes(2, 3)}
    if at.groups == 1 and f.shape[0] == f.shape[1] > 1:
        yield "input and output channels of the filter swapped", {"filters": f.swapaxes(0, 1)}
    if at.groups > 1:
        per_group, channels = f.shape[0] // at.groups, at.source.shape[1]
        yield "groups mixed: each group has the filters of the one before it", {"filters": np.roll(f, per_group, 0)}
        yield "groups mixed: each group has the filters of the one behind it", {"filters": np.roll(f, -per_group, 0)}
        first = np.tile(at.source[:, : channels // at.groups], (1, at.groups, 1, 1))
        yield "groups mixed: every group reads the channels of the first", {"source": first}
        order = np.arange(channels).reshape(-1, at.groups).T.reshape(-1)
        yield "groups mixed: channels of a group taken as if they were interleaved", {"source": at.source[:, order]}
    for told, index in (
        ("the first tap", (slice(None), slice(None), 0, 0)), ("the last tap", (slice(None), slice(None), -1, -1)),
        ("the last row of taps", (slice(None), slice(None), -1)), ("the last column of taps", (..., -1)),
        ("the first row of taps", (slice(None), slice(None), 0)), ("the first column of taps", (..., 0)),
        ("the last channel", (slice(None), -1)), ("the first channel", (slice(None), 0)),
    ):  # fmt: skip
        short = f.copy()
        short[index] = 0
        if short.any():
            yield f"a term missing: {told} is left out", {"filters": short}
    if taps != (1, 1):
        for r, s in product(range(taps[0]), range(taps[1])):
            short = f.copy()
            short[:, :, r, s] = 0
            yield f"a term missing: the tap ({r}, {s}) is left out", {"filters": short}


def _of_bias(problem: ConvProblem, direction: Direction, at: Setting) -> Iterator[tuple[str, dict[str, Any]]]:
    if direction != "forward" or not problem.bias:
        return
    yield "bias missing", {"addend": 0 * at.addend}
    yield "bias added twice", {"addend": 2 * at.addend}
    if problem.k > 1:
        yield "bias of the wrong channel: that of the one before it", {"addend": np.roll(at.addend, 1)}
        yield "bias of the wrong channel: that of the one behind it", {"addend": np.roll(at.addend, -1)}
        yield "bias of the wrong channel: that of the first for all", {"addend": np.full_like(at.addend, at.addend[0])}


def _of_images(at: Setting, *, both: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Images of a batch mixed up; of the gradient by the weights, images left out of the sum, and axes swapped."""
    x, n = at.source, at.source.shape[0]
    if both:
        dy = at.filters
        if n > 1:
            yield "images missing from the sum: the last image alone", {"source": x[-1:], "filters": dy[-1:]}
            yield "images missing from the sum: the first image alone", {"source": x[:1], "filters": dy[:1]}
            yield "images missing from the sum: the last image is left out", {"source": x[:-1], "filters": dy[:-1]}
        if dy.shape[2] == dy.shape[3] > 1:
            yield "height and width of dy swapped", {"filters": dy.swapaxes(2, 3)}
        if x.shape[2] == x.shape[3] > 1:
            yield "height and width of the input swapped", {"source": x.swapaxes(2, 3)}
        yield "dy flipped in height and width", {"filters": dy[:, :, ::-1, ::-1]}
    elif n > 1:
        yield "images mixed: every image is computed from the first", {"source": np.repeat(x[:1], n, 0)}
        yield "images mixed: every image is computed from the one before it", {"source": np.roll(x, 1, 0)}


def _of_bias_gradient(problem: ConvProblem, dy: Float64) -> Iterator[Mistake]:
    yield (
        "bias gradient summed over the channels instead of the images",
        lambda: np.resize(dy.sum((1, 2, 3)), problem.k),
    )
    yield "bias gradient of the last image alone", lambda: dy[-1].sum((1, 2))
    yield "bias gradient of the first image alone", lambda: dy[0].sum((1, 2))
    yield "bias gradient averaged instead of summed over the images", lambda: dy.sum((2, 3)).mean(0)
    yield "bias gradient averaged instead of summed", lambda: dy.mean((0, 2, 3))
    yield "bias gradient not computed: zeros", lambda: np.zeros(problem.k)


def _as_misread(problem: ConvProblem, direction: Direction, given: Tensors) -> Iterator[tuple[str, Tensors]]:
    """Operands whose memory is read in another layout than the problem's."""
    for name in operands.inputs(problem, direction):
        if name == "bias":
            continue
        value = np.asarray(given[name], np.float64)
        memory = np.ascontiguousarray(operands.to_memory(problem, name, value))
        own, others = (
            (problem.filter_layout, [replace(problem, filter_layout=other) for other in FILTER_LAYOUTS])
            if name == "w"
            else (
                problem.layout,
                [replace(problem, layout=other, filter_layout=problem.filter_layout) for other in LAYOUTS],
            )
        )
        for other in others:
            read_as = other.filter_layout if name == "w" else other.layout
            if read_as == own:
                continue
            seen = memory.reshape(operands.memory_shape(other, name)).transpose(operands.from_memory(other, name))
            yield f"layout misread: {name} is {own} in memory and is read as {read_as}", {**given, name: seen}


def _of_padding_mode(problem: ConvProblem, x: Float64) -> Iterator[tuple[str, Float64]]:
    """The padding filled by another rule."""
    width = ((0, 0), (0, 0), *problem.padding)
    rules: dict[str, tuple[str, str]] = {
        "zeros": ("constant", "zeros"), "reflect": ("reflect", "reflect"), "replicate": ("edge", "replicate"),
        "circular": ("wrap", "circular"), "symmetric": ("symmetric", "reflect that repeats the edge (off by one)"),
    }  # fmt: skip
    for mode, (numpys, told) in rules.items():
        if mode != problem.padding_mode:
            padded: Float64 = np.pad(x, width, mode=numpys)  # type: ignore[call-overload]
            yield f"padding of mode {problem.padding_mode} filled as {told}", padded
