"""Choosing layers with a condition in pandas' query syntax: `r == 3 and stride == (1, 1)`.

`convbench.workload.condition` says what a condition may hold; here are the columns. Stride, dilation and padding are
compared as `ConvProblem` takes them: `stride == 1` is `stride == (1, 1)`, `padding == (1, 2)` is `padding == ((1, 1),
(2, 2))`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem
from convbench.workload.condition import FilterError, Kind, Term, read
from convbench.workload.layer import Layer

MOST_VALUES = 8  # of a column, in a message


@dataclass(frozen=True)
class Row:
    """What a condition is asked of."""

    layer: Layer
    count: int  # how often the network has the problem, under whatever names


_KINDS: dict[str, Kind] = {
    "stride": "pair", "dilation": "pair", "padding": "pair", "bias": "condition", "padding_mode": "text",
    "dtype": "text", "layout": "text", "filter_layout": "text",
}  # fmt: skip
_DERIVED = ("p", "q", "terms", "macs", "flops", "min_bytes", "arithmetic_intensity")
_SIDES: dict[str, Callable[[ConvProblem], int]] = {  # under the names that the columns of a CSV have
    "stride_h": lambda problem: problem.stride[0],
    "stride_w": lambda problem: problem.stride[1],
    "dil_h": lambda problem: problem.dilation[0],
    "dil_w": lambda problem: problem.dilation[1],
    "pad_t": lambda problem: problem.padding[0][0],
    "pad_l": lambda problem: problem.padding[1][0],
    "pad_b": lambda problem: problem.padding[0][1],
    "pad_r": lambda problem: problem.padding[1][1],
}


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.layer.problem, name)


def _side(read: Callable[[ConvProblem], int]) -> Callable[[Row], Any]:
    return lambda row: read(row.layer.problem)


COLUMNS: dict[str, Term] = {
    "name": Term("text", lambda row: row.layer.name),
    "count": Term("number", lambda row: row.count),
    **{
        name: Term(_KINDS.get(name, "number"), _field(name))
        for name in (*(field.name for field in fields(ConvProblem)), *_DERIVED)
    },
    **{name: Term("number", _side(read)) for name, read in _SIDES.items()},
}


def select(layers: "Sequence[Layer]", text: str) -> "tuple[Layer, ...]":
    """The layers that a condition is true of, in their order.

    A layer's columns are the fields and sizes of its problem, the parts of stride, dilation and padding under the names
    that they have in a CSV file, its `name`, and `count`: how often its problem occurs, under whatever names.

    Raises
    ------
    FilterError
        a text that is no condition, or has what is not allowed here: nothing of it has been run.
    ConvbenchError
        a condition that no layer fulfils, with the values that there are; one that divides by zero for a layer.
    """
    condition = read(text, COLUMNS)
    often: Counter[ConvProblem] = Counter()
    for layer in layers:
        often[layer.problem] += layer.count
    rows = [Row(layer, often[layer.problem]) for layer in layers]
    chosen = []
    for row in rows:
        try:
            if condition.value(row):
                chosen.append(row.layer)
        except FilterError as error:
            raise ConvbenchError(f"layer {row.layer.name!r}, {row.layer.problem}: {error}") from error
    if not chosen:
        raise ConvbenchError(f"the filter {text!r} leaves none of the {len(rows)} layers{_values(text, rows)}")
    return tuple(chosen)


def _values(text: str, rows: list[Row]) -> str:
    """What the columns that a text names have in these rows."""
    told = []
    for name in dict.fromkeys(re.findall(r"\w+", text)):
        if name in COLUMNS:
            values = sorted({COLUMNS[name].value(row) for row in rows})
            shown = ", ".join(map(repr, values[:MOST_VALUES])) + (", …" if len(values) > MOST_VALUES else "")
            told.append(f"\n    {name} is {shown}")
    return "".join(told)
