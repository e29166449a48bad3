"""The algorithm: the class that an author implements, the plan that it makes, and the registry of all of them.

A problem, a direction and a device enter; a `Plan` leaves, or the reason why the algorithm refuses. What is the same
for every algorithm (padding modes, layouts, the gradient of the bias) is done here, around the plan of the author.
"""

from convbench.algorithm.algorithm import Algorithm, Family, NoConfig
from convbench.algorithm.plan import Plan
from convbench.algorithm.registry import register

__all__ = ["Algorithm", "Family", "NoConfig", "Plan", "register"]
