"""The values that the fields of a problem may have, and what follows from one of them alone."""

from collections.abc import Callable
from typing import Literal, get_args

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Dtype = Literal["float32", "float64", "float16", "bfloat16"]
Layout = Literal["NCHW", "NHWC"]
FilterLayout = Literal["KCRS", "KRSC", "RSCK"]
Direction = Literal["forward", "backward_data", "backward_weights"]

PADDING_MODES: tuple[PaddingMode, ...] = get_args(PaddingMode)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
FILTER_LAYOUTS: tuple[FilterLayout, ...] = get_args(FilterLayout)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

# the order of a filter's axes that goes with a layout, unless another is named
USUAL_FILTERS: dict[Layout, FilterLayout] = {"NCHW": "KCRS", "NHWC": "KRSC"}

ITEM_BYTES: dict[Dtype, int] = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}

# Where a tap that fell outside 0 ≤ index < size reads instead; None: it reads a zero.
FOLD: dict[PaddingMode, Callable[[int, int], int | None]] = {
    "zeros": lambda index, size: index if 0 <= index < size else None,
    "reflect": lambda index, size: -index if index < 0 else 2 * (size - 1) - index if index >= size else index,
    "replicate": lambda index, size: min(max(index, 0), size - 1),
    "circular": lambda index, size: index % size,
}
