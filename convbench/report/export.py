"""Write the frame as files for other programs: CSV and Parquet, with all columns and a row for each result.

Spreadsheets run a cell as a formula if it begins like one. In CSV, a text that begins like a formula therefore gets an
apostrophe before it, which tells spreadsheets that it is text (OWASP, "CSV injection"). A text that begins with an
apostrophe gets another one, so that removing the first apostrophe restores every text. Numbers are not changed: −1
stays a number.
"""

import json
from importlib import import_module
from io import BytesIO

import pandas as pd

from convbench.errors import ConvbenchError

FORMULAS = tuple("=+-@\t\r\n＝＋－＠")  # beginnings of formulas; some spreadsheets accept the wide characters too
COUNTS = (  # columns of whole numbers
    "samples", "throttled", "warm_throttled", "cold_throttled", "workspace_bytes", "n", "c", "h", "w", "k", "r", "s",
    "p", "q", "flops", "min_bytes",
)  # fmt: skip


def to_csv(frame: pd.DataFrame) -> str:
    """A frame of `to_frame` as CSV with a header. Missing values are empty, and phases and configs are JSON."""
    flat = _flat(frame)
    for name in flat.columns:
        if not (pd.api.types.is_numeric_dtype(flat[name]) or pd.api.types.is_bool_dtype(flat[name])):
            flat[name] = flat[name].map(_inert, na_action="ignore")
    return flat.to_csv(index=False, lineterminator="\r\n")  # RFC 4180; pandas then quotes texts with \r or \n


def to_parquet(frame: pd.DataFrame) -> bytes:
    """A frame of `to_frame` as a Parquet file. Raises ConvbenchError if pyarrow is not installed."""
    try:
        import_module("pyarrow")  # an optional package, with which pandas writes Parquet
    except ImportError as error:
        raise ConvbenchError(f'Parquet needs the extra `report`: pip install "convbench[report]" ({error})') from error
    file = BytesIO()
    _flat(frame).to_parquet(file, index=False, engine="pyarrow")
    return file.getvalue()


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with one type in each column: counts are nullable integers, and phases are JSON texts."""
    flat = frame.copy()
    flat["phases_us"] = flat.phases_us.map(json.dumps, na_action="ignore")
    for name in flat.columns:
        if name in COUNTS:
            flat[name] = _counts(flat[name])
        elif not (pd.api.types.is_numeric_dtype(flat[name]) or pd.api.types.is_bool_dtype(flat[name])):
            flat[name] = flat[name].astype("string")
    return flat


def _counts(values: "pd.Series[float]") -> "pd.Series[int] | pd.Series[float]":
    """Counts as integers, or as floating-point numbers if one is too large for 64 bits."""
    known = values.dropna()
    if known.empty or known.max() < 2**63:
        return values.astype("Int64")
    return values.astype(float)


def _inert(text: str) -> str:
    """A text that spreadsheets do not run as a formula."""
    return f"'{text}" if text.startswith((*FORMULAS, "'")) else text
