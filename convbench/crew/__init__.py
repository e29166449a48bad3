"""Worker processes: they do the tasks that run other people's code, and nothing that such code does ends the caller.

    with Crew(start, count=2) as crew:
        crew.add(*tasks)
        for event in crew.events():     # Posted: a message about a task; Ended: what became of it
            ...

`start` is called in each worker and gives the function that does a task there. It has a `Desk`: it says there what it
begins and how long that may take, and posts results as they come. A worker that ends, hangs, or takes too much memory
is replaced. `crew.cluster` has workers on other machines. `crew` knows nothing of convolution.
"""

from convbench.crew.crew import GRACE_S, Crew, Start
from convbench.crew.desk import Desk, OverError
from convbench.crew.ends import Ended, Fate, Loss, Posted, StartError
from convbench.crew.memory import default_bytes, parse_size
from convbench.crew.workforce import Workforce

__all__ = [
    "GRACE_S",
    "Crew",
    "Desk",
    "Ended",
    "Fate",
    "Loss",
    "OverError",
    "Posted",
    "Start",
    "StartError",
    "Workforce",
    "default_bytes",
    "parse_size",
]
