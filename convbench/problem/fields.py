"""Lists the values that each field of a problem may have, and the facts that follow from one value alone."""

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

# The default filter layout of each layout.
USUAL_FILTERS: dict[Layout, FilterLayout] = {"NCHW": "KCRS", "NHWC": "KRSC"}

ITEM_BYTES: dict[Dtype, int] = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}

# Maps an index, which may lie in the padding, to the index in 0 ≤ index < size that the tap reads; None: a zero.
FOLD: dict[PaddingMode, Callable[[int, int], int | None]] = {
    "zeros": lambda index, size: index if 0 <= index < size else None,
    "reflect": lambda index, size: -index if index < 0 else 2 * (size - 1) - index if index >= size else index,
    "replicate": lambda index, size: min(max(index, 0), size - 1),
    "circular": lambda index, size: index % size,
}
