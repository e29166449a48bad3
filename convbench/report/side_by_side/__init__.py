"""Compare several sources of records on one page: each with the first, pair by pair.

Records with the names of their files enter; a Markdown page, an HTML page and charts of the ratios leave.
"""

from convbench.report.side_by_side.pairing import Sides, side_by_side

__all__ = ["Sides", "side_by_side"]
