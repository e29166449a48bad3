"""The frame as files for other programs: CSV and Parquet, all columns, a row for each result.

Spreadsheets run what begins like a formula. In CSV a text that begins so has an apostrophe before it, which
spreadsheets take for "this is text" (OWASP, "CSV injection"); a text that begins with an apostrophe has one more, so
that whoever strips the first gets every text as it was. Numbers are never touched: −1 stays a number.
"""

import json
from importlib import import_module
from io import BytesIO

import pandas as pd

from convbench.errors import ConvbenchError

FORMULAS = tuple("=+-@\t\r\n＝＋－＠")  # the wide ones are the same to some spreadsheets
COUNTS = (
    "samples", "throttled", "warm_throttled", "cold_throttled", "workspace_bytes", "n", "c", "h", "w", "k", "r", "s",
    "p", "q", "flops", "min_bytes",
)  # fmt: skip


def to_csv(frame: pd.DataFrame) -> str:
    """A frame of `to_frame` as CSV with a header; what is missing is empty, phases and configs are JSON."""
    flat = _flat(frame)
    for name in flat.columns:
        if not (pd.api.types.is_numeric_dtype(flat[name]) or pd.api.types.is_bool_dtype(flat[name])):
            flat[name] = flat[name].map(_inert, na_action="ignore")
    return flat.to_csv(index=False, lineterminator="\r\n")  # RFC 4180; only so are texts with either of them quoted


def to_parquet(frame: pd.DataFrame) -> bytes:
    """A frame of `to_frame` as a Parquet file; raises ConvbenchError without pyarrow."""
    try:
        import_module("pyarrow")  # pandas writes Parquet with it
    except ImportError as error:
        raise ConvbenchError(f'Parquet needs the extra `report`: pip install "convbench[report]" ({error})') from error
    file = BytesIO()
    _flat(frame).to_parquet(file, index=False, engine="pyarrow")
    return file.getvalue()


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with one type in each column: counts that may be missing, texts, and phases as JSON."""
    flat = frame.copy()
    flat["phases_us"] = flat.phases_us.map(json.dumps, na_action="ignore")
    for name in flat.columns:
        if name in COUNTS:
            flat[name] = _counts(flat[name])
        elif not (pd.api.types.is_numeric_dtype(flat[name]) or pd.api.types.is_bool_dtype(flat[name])):
            flat[name] = flat[name].astype("string")
    return flat


def _counts(values: "pd.Series[float]") -> "pd.Series[int] | pd.Series[float]":
    """As integers, unless one is so large that only a floating-point number holds it."""
    known = values.dropna()
    if known.empty or known.max() < 2**63:
        return values.astype("Int64")
    return values.astype(float)


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith((*FORMULAS, "'")) else text
