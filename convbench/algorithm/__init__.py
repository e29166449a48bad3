"""Defines the classes that the author of an algorithm implements, `Algorithm` and `Plan`, and the registry of them.

A problem, a direction and a device enter; a `Plan` leaves, or a RefusedError with the reason why the algorithm cannot
compute the problem. The work that is the same for every algorithm (padding modes other than zeros, layouts, the
gradient of the bias) is done here, around the author's plan.
"""

from convbench.algorithm import contract
from convbench.algorithm.algorithm import Algorithm, NoConfig
from convbench.algorithm.contract import Family
from convbench.algorithm.plan import Plan
from convbench.algorithm.registry import register

__all__ = ["Algorithm", "Family", "NoConfig", "Plan", "contract", "register"]
