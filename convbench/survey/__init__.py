"""The survey: check and time every algorithm on a GPU with one command, within a given time.

A device and a number of seconds enter; records, tables and pages leave. `layers` has the layers to measure and the
target of each group, `tasks` has the work of one process, `ahead` what it does before and after its turn, and `workers`
runs the processes, which share the GPU.
"""

from convbench.survey.survey import PAGE, Orders, Survey
from convbench.survey.tasks import EFFORT, PROBLEMS, RUN_S

__all__ = ["EFFORT", "PAGE", "PROBLEMS", "RUN_S", "Orders", "Survey"]
