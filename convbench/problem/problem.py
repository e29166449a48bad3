"""Defines the problem: one 2-D convolution, with its equation, sizes and costs.

    y[n,k,p,q] = bias[k] + Σ_{c,r,s} x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w] · w[k,c,r,s]
             g = k // (K/G),  0 ≤ c < C/G,  0 ≤ r < R,  0 ≤ s < S

    P = ⌊(H + top + bottom − d_h·(R−1) − 1) / u⌋ + 1, and Q alike

This is cross-correlation, which every deep-learning library calls convolution. (u, v) is the stride, (d_h, d_w) the
dilation, G the number of groups. Formulas: Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep
learning", relationships 5 (sizes) and 15 (dilation).
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, SupportsIndex

from convbench.errors import ProblemError
from convbench.problem.fields import (
    DTYPES,
    FILTER_LAYOUTS,
    FOLD,
    ITEM_BYTES,
    LAYOUTS,
    PADDING_MODES,
    USUAL_FILTERS,
    Direction,
    Dtype,
    FilterLayout,
    Layout,
    Padding,
    PaddingMode,
    Pair,
)  # fmt: skip
from convbench.problem.given import described, padding_of, pair, whole


@dataclass(frozen=True, kw_only=True, init=False, repr=False)
class ConvProblem:
    """One 2-D convolution. Making an impossible one raises ProblemError.

    Parameters
    ----------
    n, c, h, w : batch, input channels, input height and width
    k, r, s : output channels, filter height and width
    stride, dilation : one int for both axes, or (height, width); (1,) is 1
    padding : one int, (height, width), ((top, bottom), (left, right)), "valid" (none), "same" (P = H, Q = W; stride 1
        only, the odd element goes to the bottom and right, as in PyTorch) or "same_tensorflow" (P = ⌈H / u⌉, Q alike,
        for any stride, as in TensorFlow, Keras and ONNX's SAME_UPPER)
    groups : number of groups; it divides c and k, and a filter reads only the c / groups channels of its group
    bias : whether bias[k] is added
    padding_mode : values in the padding: "zeros", "reflect", "replicate" or "circular", as in PyTorch
    dtype : storage type of x, w, bias and y
    layout : order of the axes of x and y in memory
    filter_layout : order of the axes of w in memory; by default KCRS for NCHW and KRSC for NHWC. RSCK is Keras's.

    Raises
    ------
    ProblemError
        the convolution is impossible; the message has the value, the rule that it breaks and the problem's text.
    """

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    bias: bool
    padding_mode: PaddingMode
    dtype: Dtype
    layout: Layout
    filter_layout: FilterLayout

    def __init__(
        self,
        *,
        n: SupportsIndex = 1,
        c: SupportsIndex,
        h: SupportsIndex,
        w: SupportsIndex,
        k: SupportsIndex,
        r: SupportsIndex,
        s: SupportsIndex,
        stride: SupportsIndex | tuple[SupportsIndex, ...] = 1,
        padding: SupportsIndex | tuple[Any, ...] | str = 0,
        dilation: SupportsIndex | tuple[SupportsIndex, ...] = 1,
        groups: SupportsIndex = 1,
        bias: bool = False,
        padding_mode: str = "zeros",
        dtype: str = "float32",
        layout: str = "NCHW",
        filter_layout: str | None = None,
    ) -> None:
        given = locals()  # the arguments as the caller wrote them; for messages, as the problem has no text yet
        del given["self"]

        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the dataclass is frozen

        for name in ("n", "c", "h", "w", "k", "r", "s", "groups"):
            put(name, whole(name, given[name], given))
        put("stride", pair("stride", stride, given))
        put("dilation", pair("dilation", dilation, given))
        if filter_layout is None:
            given["filter_layout"] = USUAL_FILTERS.get(layout)  # type: ignore[call-overload]
        for name, choices in (
            ("padding_mode", PADDING_MODES), ("dtype", DTYPES), ("layout", LAYOUTS), ("filter_layout", FILTER_LAYOUTS),
        ):  # fmt: skip
            if not (isinstance(given[name], str) and given[name] in choices):
                raise ProblemError(
                    f"{name} is {given[name]!r}; it must be one of {', '.join(choices)}: {described(given)}"
                )
            put(name, given[name])
        if not (isinstance(bias, bool) or type(bias).__name__ == "bool"):  # NumPy's boolean type has this name too
            raise ProblemError(f"bias is {bias!r}; it must be True or False: {described(given)}")
        put("bias", bool(bias))
        put(
            "padding",
            padding_of(
                padding,
                given,
                sizes=(self.h, self.w),
                taps=(self.r, self.s),
                stride=self.stride,
                dilation=self.dilation,
            ),
        )
        self._check()

    def _check(self) -> None:
        for name in ("n", "c", "h", "w", "k", "r", "s", "groups"):
            if getattr(self, name) < 1:
                raise ProblemError(f"{name} is {getattr(self, name)}; it must be at least 1: {self}")
        for name in ("stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise ProblemError(f"{name} is {getattr(self, name)}; both must be at least 1: {self}")
        if min(*self.padding[0], *self.padding[1]) < 0:
            raise ProblemError(f"padding is {self.padding}; none may be negative (crop the input instead): {self}")
        for name, channels in (("c", self.c), ("k", self.k)):
            if channels % self.groups:
                raise ProblemError(f"groups is {self.groups}; it must divide {name} = {channels}: {self}")
        for axis, size, taps, before_after, dilation in (
            ("height", self.h, self.r, self.padding[0], self.dilation[0]),
            ("width", self.w, self.s, self.padding[1], self.dilation[1]),
        ):
            window, room = dilation * (taps - 1) + 1, size + sum(before_after)
            if window > room:
                raise ProblemError(
                    f"the filter spans {window} in {axis} (dilation · (taps − 1) + 1), "
                    f"but the padded input is only {room}: {self}"
                )
            most = {"reflect": size - 1, "circular": size}.get(self.padding_mode)
            if most is not None and max(before_after) > most:
                raise ProblemError(
                    f"padding in {axis} is {before_after}; {self.padding_mode} padding of {size} allows "
                    f"at most {most}: {self}"
                )

    # ---- sizes

    @property
    def p(self) -> int:
        """Output height."""
        return (self.h + sum(self.padding[0]) - self.dilation[0] * (self.r - 1) - 1) // self.stride[0] + 1

    @property
    def q(self) -> int:
        """Output width."""
        return (self.w + sum(self.padding[1]) - self.dilation[1] * (self.s - 1) - 1) // self.stride[1] + 1

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W), independent of the layout in memory."""
        return self.n, self.c, self.h, self.w

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """(K, C/groups, R, S)."""
        return self.k, self.c // self.groups, self.r, self.s

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """(N, K, P, Q)."""
        return self.n, self.k, self.p, self.q

    # ---- costs

    @property
    def terms(self) -> int:
        """Products summed into one output element: C/G · R · S."""
        return self.c // self.groups * self.r * self.s

    def terms_of(self, direction: Direction) -> int:
        """The most products that are summed into one output element of a direction: C/G·R·S, K/G·R·S or N·P·Q."""
        if direction == "backward_weights":
            return self.n * self.p * self.q
        return (self.c if direction == "forward" else self.k) // self.groups * self.r * self.s

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct method, including those of taps in the padding."""
        return self.n * self.k * self.p * self.q * self.terms

    @property
    def flops(self) -> int:
        """2 · MACs, the convention of the field; the bias is not counted."""
        return 2 * self.macs

    @cached_property
    def min_bytes(self) -> int:
        """The fewest bytes that any method moves: each input element that a window reads, each weight, each output."""
        (u, v), (d_h, d_w), (vertical, horizontal), mode = self.stride, self.dilation, self.padding, self.padding_mode
        rows = _elements_read(self.h, self.p, self.r, u, vertical, d_h, mode)
        columns = _elements_read(self.w, self.q, self.s, v, horizontal, d_w, mode)
        read = self.n * self.c * rows * columns
        weights = self.k * self.terms + self.k * self.bias
        return ITEM_BYTES[self.dtype] * (read + weights + self.n * self.k * self.p * self.q)

    @property
    def arithmetic_intensity(self) -> float:
        """FLOPs per byte, `flops` / `min_bytes`."""
        return self.flops / self.min_bytes

    # ---- problems made from this one

    def group(self) -> "ConvProblem":
        """The convolution of one group alone: c / groups channels, k / groups filters, one group."""
        return replace(self, c=self.c // self.groups, k=self.k // self.groups, groups=1)

    def explicitly_padded(self) -> "ConvProblem":
        """The problem without padding whose input is this problem's padded input; its outputs are the same."""
        _, _, h, w = self.padded_shape
        return replace(self, h=h, w=w, padding=((0, 0), (0, 0)), padding_mode="zeros")

    def packed(self) -> "ConvProblem":
        """The same problem with the layouts NCHW and KCRS."""
        if (self.layout, self.filter_layout) == ("NCHW", "KCRS"):
            return self
        return replace(self, layout="NCHW", filter_layout="KCRS")

    @property
    def padded_shape(self) -> tuple[int, int, int, int]:
        """The shape of the padded input, (N, C, H + top + bottom, W + left + right)."""
        return self.n, self.c, self.h + sum(self.padding[0]), self.w + sum(self.padding[1])

    # ---- text

    def __str__(self) -> str:
        """One shell-safe word, without the defaults; `convbench.parse` makes an equal problem of it."""
        words = [f"n{self.n}c{self.c}h{self.h}w{self.w}", f"k{self.k}r{self.r}s{self.s}"]
        sides = tuple(str(a) if a == b else f"{a}.{b}" for a, b in self.padding)
        for name, (height, width), default in (
            ("pad", sides, "0"),
            ("stride", map(str, self.stride), "1"),
            ("dil", map(str, self.dilation), "1"),
        ):
            if (height, width) != (default, default):
                short = height == width and "." not in height
                words.append(f"{name}{height}" if short else f"{name}{height}x{width}")
        if self.groups != 1:
            words.append(f"g{self.groups}")
        if self.bias:
            words.append("bias")
        defaults = (
            (self.padding_mode, "zeros"), (self.dtype, "float32"), (self.layout, "NCHW"),
            (self.filter_layout, USUAL_FILTERS[self.layout]),
        )  # fmt: skip
        words += [value for value, default in defaults if value != default]
        return "-".join(words)

    def __repr__(self) -> str:
        inside = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"ConvProblem({inside})"


def _elements_read(
    size: int, outputs: int, taps: int, stride: int, sides: Pair, dilation: int, mode: PaddingMode
) -> int:
    """The number of elements along an axis that at least one window reads.

    It works on intervals instead of single elements, because an axis may be long.
    """
    before, _ = sides
    last = (outputs - 1) * stride
    # tap t reads t·d, t·d + u, …, t·d + (P − 1)·u of the padded axis: an interval of one residue of u
    reads: dict[int, list[range]] = {}
    for tap in range(taps):
        first = tap * dilation
        merged = reads.setdefault(first % stride, [])
        if merged and first <= merged[-1].stop - 1 + stride:  # taps come in order
            merged[-1] = range(merged[-1].start, first + last + 1, stride)
        else:
            merged.append(range(first, first + last + 1, stride))

    def is_read(index: int) -> bool:
        place = index + before
        return any(place in interval for interval in reads.get(place % stride, ()))

    def inside(interval: range) -> int:
        """The number of elements of an interval that are not padding."""
        start, stop = (-(-(bound - interval.start) // stride) for bound in (before, before + size))
        return len(interval[max(0, start) : max(0, stop)])

    count = sum(inside(interval) for intervals in reads.values() for interval in intervals)
    if mode == "zeros":
        return count
    outside = (*range(-before, 0), *range(size, size + sides[1]))
    folded = {FOLD[mode](index, size) for index in outside if is_read(index)}
    return count + sum(index is not None and not is_read(index) for index in folded)
