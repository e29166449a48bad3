"""Reports: pure functions from records to a frame, sentences, pictures, pages and files for other programs.

What draws needs the extra `report`, and is loaded when it is first asked for: `convbench.report.figures.figures` and
`convbench.report.page.to_html`. The sentences at the top of a page are `convbench.report.summary.summary`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbench.report.export import to_csv, to_parquet
    from convbench.report.frame import to_frame
    from convbench.report.junit import to_junit
    from convbench.report.markdown import to_markdown
    from convbench.report.units import duration

__all__ = ["duration", "to_csv", "to_frame", "to_junit", "to_markdown", "to_parquet"]

# no function here may have the name of its module, for that is what the package's attribute is once it is imported
_HOMES = {
    "duration": "units", "to_csv": "export", "to_parquet": "export", "to_frame": "frame", "to_junit": "junit",
    "to_markdown": "markdown",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convbench.report' has no attribute {name!r}")
    return getattr(import_module(f"convbench.report.{_HOMES[name]}"), name)
