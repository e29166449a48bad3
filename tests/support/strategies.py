"""The Hypothesis strategies for problems. `test_strategies.py` shows which corner cases they reach."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from convbench.algorithm import Algorithm
from convbench.problem import DTYPES, FILTER_LAYOUTS, LAYOUTS, PADDING_MODES, ConvProblem, Direction

MOST_MACS = 400_000  # an emulated kernel and the reference take some milliseconds for it
MOST_TILES = 3

# outputs (p, q), and filters (k) and channels (c) of a group, in one tile of each algorithm's default configs
TILES: Mapping[str, Mapping[str, int]] = {
    "depthwise": {"p": 8, "q": 16},
    "direct": {"q": 256},  # a block has 256 outputs in a row
    "direct_tiled": {"k": 4, "p": 8, "q": 16},
    "fft_tiled": {"k": 8, "c": 8, "p": 14, "q": 14},  # 16 − R + 1 for R = 3
    "im2col_gemm": {"k": 16, "c": 16},
    "implicit_gemm": {"k": 32, "c": 8},
    "implicit_gemm_3xtf32": {"k": 32, "c": 8},
    "implicit_gemm_bf16": {"k": 32, "c": 16},
    "implicit_gemm_f16": {"k": 32, "c": 16},
    "implicit_gemm_tf32": {"k": 32, "c": 8},
    "winograd_2x2_3x3": {"k": 32, "c": 8, "p": 2, "q": 2},
    "winograd_4x4_3x3": {"k": 32, "c": 8, "p": 4, "q": 4},
}

# algorithms with the same kernel source: they share the examples of a battery, because batteries are slow
RELATIVES: Mapping[str, tuple[str, ...]] = {
    "implicit_gemm_3xtf32": ("implicit_gemm_tf32", "implicit_gemm_f16", "implicit_gemm_bf16"),
}

# dtype, layouts, and padding modes besides zeros: each dtype with each layout, and each mode and filter layout with
# some dtype; not every combination of three, because each one has kernels to compile
FORMATS: tuple[tuple[Mapping[str, str], tuple[str, ...]], ...] = (
    ({"dtype": "float32"}, ("reflect", "replicate", "circular")),
    ({"dtype": "float32", "layout": "NHWC", "filter_layout": "RSCK"}, ("circular",)),
    ({"dtype": "float64", "layout": "NHWC"}, ("circular",)),
    ({"dtype": "float64", "filter_layout": "RSCK"}, ()),
    ({"dtype": "float16"}, ("reflect",)),
    ({"dtype": "float16", "layout": "NHWC", "filter_layout": "RSCK"}, ()),
    ({"dtype": "bfloat16", "layout": "NHWC"}, ("replicate",)),
    ({"dtype": "bfloat16", "filter_layout": "KRSC"}, ()),
)

seeds = st.integers(0, 2**32 - 1)


def fewer(times: int) -> settings:
    """A part of the profile's examples, for a slow property whose faults another property finds."""
    return settings(max_examples=settings.default.max_examples // times)


# a few, or close to a whole number of tiles (the tiles of all algorithms have 2, 4, 8, 12 or 16 outputs)
_few = st.integers(1, 3)
_outputs = st.integers(1, 7) | st.sampled_from((7, 8, 9, 11, 12, 13, 15, 16, 17))


def around(tile: int) -> st.SearchStrategy[int]:
    """Sizes of one to three tiles, and one element less or more."""
    found = {tile * count + more for count in range(1, MOST_TILES + 1) for more in (-1, 0, 1)}
    return st.sampled_from(sorted(size for size in found if 1 <= size <= MOST_TILES * tile))


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    taps: st.SearchStrategy[tuple[int, int]] = st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides: st.SearchStrategy[int] = st.integers(1, 4),
    depthwise: bool = False,
    modes: st.SearchStrategy[str] = st.just("zeros"),
    tiles: Mapping[str, int] | None = None,
    **fields: st.SearchStrategy[Any],
) -> ConvProblem:
    """Small problems of every kind, with up to three `tiles` along two axes at once.

    The size of the output is drawn and the size of the input follows, so that no drawn problem is invalid.
    """
    tiles = tiles or {}
    long = draw(st.sets(st.sampled_from(sorted(tiles)), max_size=2)) if tiles else ()
    extents = {"k": _few, "c": st.just(1) if depthwise else _few, "p": _outputs, "q": _outputs}
    extents |= {axis: around(tiles[axis]) for axis in long}
    k, c, *outputs = (draw(extents[axis]) for axis in "kcpq")
    groups = draw(_few)
    r, s = draw(taps)
    stride, dilation = draw(st.tuples(strides, strides)), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sides = st.tuples(st.integers(0, 5), st.integers(0, 5))
    padding = draw(st.just(((0, 0), (0, 0))) | st.tuples(sides, sides))
    mode = draw(modes)
    sizes = []
    for tap, d, u, count, (before, after) in zip((r, s), dilation, stride, outputs, padding, strict=True):
        unread = draw(st.integers(0, u - 1))  # rows or columns behind the last window
        size = (count - 1) * u + d * (tap - 1) + 1 + unread - before - after
        least = 1 if mode == "zeros" else max(before, after) + 1  # the smallest size for which reflect is defined
        sizes.append(max(least, size))
    problem = ConvProblem(
        n=draw(_few), c=groups * c, h=sizes[0], w=sizes[1], k=groups * k, r=r, s=s, stride=stride, padding=padding,
        dilation=dilation, groups=groups, bias=draw(st.booleans()), padding_mode=mode,
        **{name: draw(strategy) for name, strategy in fields.items()},
    )  # fmt: skip
    return _within_bounds(problem, c, k)


def _within_bounds(problem: ConvProblem, c: int, k: int) -> ConvProblem:
    """The problem, with one image and then one group if it is too large."""
    if problem.macs > MOST_MACS:
        problem = replace(problem, n=1)
    if problem.macs > MOST_MACS and problem.groups > 1:
        problem = replace(problem, groups=1, c=c, k=k)
    return problem


def any_problems() -> st.SearchStrategy[ConvProblem]:
    """Problems with any value in every field, including those that no algorithm computes."""
    return problems(
        modes=st.sampled_from(PADDING_MODES), dtype=st.sampled_from(DTYPES), layout=st.sampled_from(LAYOUTS),
        filter_layout=st.sampled_from(FILTER_LAYOUTS),
    )  # fmt: skip


@st.composite
def formatted_problems(
    draw: st.DrawFn, algorithm: Algorithm, direction: Direction, **fields: Any
) -> tuple[ConvProblem, Any]:
    """A problem in any format and padding mode, whose direction the algorithm computes, and a config."""
    format_, modes = draw(formats_of(algorithm))
    drawn = draw(problems_for(algorithm.name, direction, modes=st.sampled_from(("zeros", *modes)), **fields))
    problem = formatted(drawn, format_)
    configs = algorithm.configs(problem.explicitly_padded(), direction)
    every = problem.dtype == "float32" or "float32" not in algorithm.dtypes
    return problem, draw(st.sampled_from(configs if every else configs[:1]))


def formats_of(algorithm: Algorithm) -> st.SearchStrategy[tuple[Mapping[str, str], tuple[str, ...]]]:
    """The formats whose dtype the algorithm supports."""
    return st.sampled_from([format_ for format_ in FORMATS if format_[0]["dtype"] in algorithm.dtypes])


def in_own_dtype(problem: ConvProblem, algorithm: Algorithm) -> ConvProblem:
    """A float32 problem in the algorithm's own dtype if it has no float32; any other problem unchanged."""
    lacking = problem.dtype == "float32" and "float32" not in algorithm.dtypes
    return replace(problem, dtype=algorithm.dtypes[0]) if lacking else problem


def formatted(problem: ConvProblem, format_: Mapping[str, str]) -> ConvProblem:
    """The problem with the dtype and the layouts of a format."""
    return replace(problem, **{"layout": "NCHW", "filter_layout": None, **format_})


def directions_of(algorithm: Algorithm) -> st.SearchStrategy[Direction]:
    """The directions that an algorithm computes."""
    return st.sampled_from(sorted(algorithm.plans))


def problems_for(algorithm: str, direction: Direction = "forward", **fields: Any) -> st.SearchStrategy[ConvProblem]:
    """Problems whose direction the built-in algorithm of this name computes."""
    kinds: dict[str, dict[str, Any]] = {
        "winograd_2x2_3x3": {"taps": st.just((3, 3)), "strides": st.just(1)},
        "winograd_4x4_3x3": {"taps": st.just((3, 3)), "strides": st.just(1)},
        "depthwise": {"depthwise": True},
        "implicit_gemm_f16": {"dtype": st.just("float16")},
        "implicit_gemm_bf16": {"dtype": st.just("bfloat16")},
    }
    return problems(**{"tiles": TILES[algorithm]} | kinds.get(algorithm, {}) | fields)
