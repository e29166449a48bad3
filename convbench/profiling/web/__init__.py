"""The page of a profile in HTML, with drawings of requests and of the roofline. It needs the extra `report`."""

from convbench.profiling.web.html import to_html

__all__ = ["to_html"]
