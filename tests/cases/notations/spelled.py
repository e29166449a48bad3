"""Problems that depend on no default of `ConvProblem`."""

from typing import Any

from convbench.problem import ConvProblem


def spelled_out(**fields: Any) -> ConvProblem:
    """A problem with every field given explicitly; `n`, `c`, `h`, `w`, `k`, `r` and `s` are required."""
    plain: dict[str, Any] = {
        "padding": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1), "groups": 1, "bias": False,
        "padding_mode": "zeros", "dtype": "float32", "layout": "NCHW",
    }  # fmt: skip
    return ConvProblem(**plain | fields)
