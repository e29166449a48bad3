"""Translates oneDNN's names of dtypes and of memory formats.

A memory format (a tag) names the axes of a tensor from the outermost to the innermost: a, b, c, … in their logical
order, or by their letters. The axes of x and y are a = N, b = C, c = H, d = W. Those of w are a = K, b = C, c = R,
d = S, and with groups a = G, b = K/G, c = C/G, d = R, e = S. A capital letter is an axis that is also cut into blocks;
a problem has no such layout. Source: oneDNN, tests/benchdnn/doc/knobs_tag.md.
"""

import re
from typing import NamedTuple

from convbench.problem.fields import Dtype, FilterLayout, Layout

_DTYPES: dict[str, Dtype] = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}
_LAYOUTS: dict[str, Layout] = {
    **dict.fromkeys(("abcd", "nchw", "abx", "abc", "ncw"), "NCHW"),
    **dict.fromkeys(("acdb", "nhwc", "axb", "acb", "nwc"), "NHWC"),
}
_FILTERS: dict[str, FilterLayout] = {
    **dict.fromkeys(("abcd", "oihw", "abx", "abc", "oiw"), "KCRS"),
    **dict.fromkeys(("acdb", "ohwi", "axb", "acb", "owi"), "KRSC"),
    **dict.fromkeys(("cdba", "hwio", "cba", "wio"), "RSCK"),
}
_GROUPED: dict[str, FilterLayout] = {
    **dict.fromkeys(("abcde", "goihw", "abx", "abcd", "goiw"), "KCRS"),
    **dict.fromkeys(("abdec", "gohwi", "abdc", "gowi"), "KRSC"),
    **dict.fromkeys(("decab", "hwigo", "dcab", "wigo"), "RSCK"),
}
_FREE = ("", "any", "undef")  # the library chooses
DTYPE_RULE = f"a problem has one dtype, one of {', '.join(_DTYPES)}, for all three tensors"


class Stored(NamedTuple):
    """How the tensors lie in memory."""

    layout: Layout = "NCHW"
    filter_layout: FilterLayout | None = None  # None: the usual one of the layout
    others: tuple[str, ...] = ()  # tensors whose tag is none of these layouts, such as "wei Acdb32a"


def one_dtype(text: str) -> Dtype | None:
    """The dtype of `f32` or `f32:f32:f32`; None if it is none of a problem's dtypes, or if the three differ."""
    parts = set(text.split(":"))
    same = re.fullmatch(r"\w+(:\w+:\w+)?", text) and len(parts) == 1
    return _DTYPES.get(parts.pop()) if same else None


def stored(source: str, weights: str, destination: str, *, grouped: bool) -> Stored:
    """The layouts that three tags describe. The layout is that of x; if x has none, that of y."""
    layout = _LAYOUTS.get(source) or _LAYOUTS.get(destination) or "NCHW"
    filters = _GROUPED if grouped else _FILTERS
    others = [
        f"{name} {tag}"
        for name, tag, fits in (
            ("src", source, _LAYOUTS.get(source) == layout),
            ("wei", weights, weights in filters),
            ("dst", destination, _LAYOUTS.get(destination) == layout),
        )
        if not (fits or tag in _FREE)
    ]
    return Stored(layout, filters.get(weights), tuple(others))
