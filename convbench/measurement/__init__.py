"""Measurement: run an algorithm, compare its result with the reference, and time it if the result is right.

A workload and algorithms enter, and records leave. `verification` judges the results, `sampling` decides how many
samples are enough, and the `Harness` does both for every pair of a layer and an algorithm.
"""

from convbench.measurement.case import Case, SampledCase, SpotCase
from convbench.measurement.execution import Execution
from convbench.measurement.harness import Harness
from convbench.measurement.isolation import IsolatedHarness, distant_device
from convbench.measurement.job import Facts, Job, Judgement, jobs
from convbench.measurement.limits import time_limit_s
from convbench.measurement.parts import Limits, Part, StartParts
from convbench.measurement.sampling import Effort
from convbench.measurement.true_error import TrueError, true_error
from convbench.measurement.verification import Comparison, Verification, compare, verify, verify_kinds

__all__ = [
    "Case",
    "Comparison",
    "Effort",
    "Execution",
    "Facts",
    "Harness",
    "IsolatedHarness",
    "Job",
    "Judgement",
    "Limits",
    "Part",
    "SampledCase",
    "SpotCase",
    "StartParts",
    "TrueError",
    "Verification",
    "compare",
    "distant_device",
    "jobs",
    "time_limit_s",
    "true_error",
    "verify",
    "verify_kinds",
]
