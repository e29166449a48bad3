"""Reports: pure functions that turn records into a frame, sentences, pictures, pages, and files for other programs.

Records enter; a data frame, Markdown, HTML, JUnit XML, CSV or Parquet leave. Modules that draw need the extra `report`,
so each name below is only imported when it is first used. Pictures are made by `convbench.report.figures.figures`, the
HTML page by `convbench.report.page.to_html`, and the sentences at the top of a page by
`convbench.report.summary.summary`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbench.report.export import to_csv, to_parquet
    from convbench.report.frame import to_frame
    from convbench.report.inert import finalized, markdown_list, markdown_table
    from convbench.report.junit import to_junit
    from convbench.report.markdown import to_markdown
    from convbench.report.page import to_html
    from convbench.report.ratios import with_ratio
    from convbench.report.units import NOTHING, duration, percent

__all__ = [
    "NOTHING", "duration", "finalized", "markdown_list", "markdown_table", "percent", "to_csv", "to_frame", "to_html",
    "to_junit", "to_markdown", "to_parquet", "with_ratio",
]  # fmt: skip

# The module of each name. No name may equal that of its module: importing a module sets the package's attribute of that
# name to the module.
_HOMES = {
    "duration": "units", "to_csv": "export", "to_parquet": "export", "to_frame": "frame", "to_junit": "junit",
    "to_markdown": "markdown", "markdown_list": "inert", "finalized": "inert",
    "markdown_table": "inert", "to_html": "page", "with_ratio": "ratios", "percent": "units",
    "NOTHING": "units",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convbench.report' has no attribute {name!r}")
    return getattr(import_module(f"convbench.report.{_HOMES[name]}"), name)
