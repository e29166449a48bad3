"""The survey: check and time every algorithm on a GPU with one command, within a given time.

A device and a number of seconds enter; records and a page leave. `layers` has what is measured and what each group is
to reach, `tasks` has what one process does at a time, and `crew` runs the processes, which share the GPU in turns.
"""

from convbench.survey.survey import PAGE, Orders, Survey
from convbench.survey.tasks import EFFORT, PROBLEMS

__all__ = ["EFFORT", "PAGE", "PROBLEMS", "Orders", "Survey"]
