"""Every Hypothesis strategy of the suite; `test_strategies.py` shows which corners they reach."""

from typing import Any

from hypothesis import strategies as st

from convbench.problem import DTYPES, LAYOUTS, PADDING_MODES, ConvProblem

# what a simulated kernel does in a fraction of a second
MOST_MACS = 6_000
MOST_OUTPUTS = 800

seeds = st.integers(0, 2**32 - 1)

# beyond the smallest input: a few more, or enough for one tile of outputs more or less (tiles are 2, 4, 8, 12, 16)
_extents = st.integers(0, 6) | st.sampled_from((7, 8, 9, 11, 12, 13, 15, 16, 17))


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    taps: st.SearchStrategy[tuple[int, int]] = st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides: st.SearchStrategy[int] = st.integers(1, 4),
    depthwise: bool = False,
    modes: st.SearchStrategy[str] = st.just("zeros"),
    **fields: st.SearchStrategy[Any],
) -> ConvProblem:
    """Small problems of every kind: the input is drawn last, so that none has to be thrown away."""
    groups = draw(st.integers(1, 3))
    c_per_group = 1 if depthwise else draw(st.integers(1, 3))
    r, s = draw(taps)
    stride, dilation = draw(st.tuples(strides, strides)), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sides = st.tuples(st.integers(0, 5), st.integers(0, 5))
    padding = draw(st.just(((0, 0), (0, 0))) | st.tuples(sides, sides))
    mode = draw(modes)
    sizes = []
    for tap, d, (before, after) in zip((r, s), dilation, padding, strict=True):
        smallest = max(1, d * (tap - 1) + 1 - before - after)
        if mode != "zeros":
            smallest = max(smallest, before + 1, after + 1)  # what reflect needs
        sizes.append(smallest + draw(_extents))
    problem = ConvProblem(
        n=draw(st.integers(1, 3)), c=groups * c_per_group, h=sizes[0], w=sizes[1], k=groups * draw(st.integers(1, 3)),
        r=r, s=s, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=draw(st.booleans()),
        padding_mode=mode, **{name: draw(strategy) for name, strategy in fields.items()},
    )  # fmt: skip
    if problem.macs > MOST_MACS or problem.n * problem.k * problem.p * problem.q > MOST_OUTPUTS:
        return draw(problems(taps=taps, strides=strides, depthwise=depthwise, modes=modes, **fields))
    return problem


def any_problems() -> st.SearchStrategy[ConvProblem]:
    """Problems with every field free, those included that no algorithm computes."""
    return problems(
        modes=st.sampled_from(PADDING_MODES), dtype=st.sampled_from(DTYPES), layout=st.sampled_from(LAYOUTS)
    )


def problems_for(algorithm: str, **fields: Any) -> st.SearchStrategy[ConvProblem]:
    """Problems that a built-in algorithm, by its name, does not refuse."""
    kinds: dict[str, dict[str, Any]] = {
        "winograd_2x2_3x3": {"taps": st.just((3, 3)), "strides": st.just(1)},
        "winograd_4x4_3x3": {"taps": st.just((3, 3)), "strides": st.just(1)},
        "depthwise": {"depthwise": True},
    }
    return problems(**kinds.get(algorithm, {}) | fields)
