"""The predicted times of a chapter: which algorithm would be the fastest on a named GPU, and what holds each back.

Chapters enter; sentences, and tables as columns leave. Predicted times are never in a table, a picture or a ratio with
measured ones. Only where a GPU was measured for which times were predicted, sentences name the results whose two times
differ by more than the model's error, because there either the model or the kernel is not understood.
"""

from convbench.report.outlook.outlook import Outlook, leading, outlooks
from convbench.report.outlook.sentences import bottlenecks, differences, lacking, lead, sentence
from convbench.report.outlook.tables import Columns, tables

__all__ = [
    "Columns", "Outlook", "bottlenecks", "differences", "lacking", "lead", "leading", "outlooks", "sentence", "tables",
]  # fmt: skip
