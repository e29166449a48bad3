"""The fuzzer: run random cases until one fails, then find the smallest case that fails in the same way.

    convbench fuzz                                          all algorithms, for a minute
    convbench fuzz --plugin my_module --algorithm mine      an algorithm of your own
    convbench fuzz --seconds 3600 --jobs 8 --keep-going     distinct failures, by cause, on eight cores
    convbench fuzz --replay 'direct forward n1c1h1w1-k1r1s1 integers seed=0'

Algorithms and a device enter; failing cases leave, each with the command that repeats it. A case is an algorithm, a
direction, a problem, a kind of data with its seed, and a config; `cases` defines its one-line text. Failing cases are
appended to the corpus (`--corpus`, by default fuzz_corpus.txt), whose lines are run first the next time.

Two failures count as the same bug, which is reported once, if two conditions hold. They have the same cause: the same
algorithm, direction, kind of fault, and words of the fault without numbers. And the later case has all the traits (a
stride, a dilation, a bias, …) that the first case still had when it was shrunk.

The same seed gives the same cases, for each algorithm and in each job. Each job has cases of its own. So the cases of a
call depend only on the seed, on the number of jobs, and on the versions of convbench, the algorithm and Hypothesis; the
limit decides how many of them are run.

The modules: `shapes` draws problems, `large` gives some of them one large axis, `rows` limits the number of kernels,
`tour` takes all configs in turn, `suiting` fits a draw to an algorithm, `drawing` makes cases of draws, `verdicts`
judges cases, `again` repeats them in an order, and `shrinking` makes them small. `campaign` runs in one process;
`orders`, `worker`, `jobs` and `tally` run several, and `replaying` runs given cases in one of its own. `coverage`
counts pairs of axes, `corpus` is the file or the folder, and `distilling` makes one corpus of several.
"""

from convbench.fuzz.again import judge_in_order
from convbench.fuzz.campaign import Campaign, Figures, Result, Step, fuzz
from convbench.fuzz.cases import FuzzCase, config_of
from convbench.fuzz.corpus import Corpus, KnownCase
from convbench.fuzz.coverage import possible
from convbench.fuzz.distilling import Distilled, distilled
from convbench.fuzz.jobs import Hire, Jobs
from convbench.fuzz.orders import Found, Inquiry, Job, Orders
from convbench.fuzz.replaying import replayed
from convbench.fuzz.suiting import Suit
from convbench.fuzz.tally import Tally
from convbench.fuzz.verdicts import Cause, Finding, Verdict, judge
from convbench.fuzz.worker import Start

__all__ = [
    "Campaign", "Cause", "Corpus", "Distilled", "Figures", "Finding", "Found", "FuzzCase", "Hire", "Inquiry", "Job",
    "Jobs", "KnownCase", "Orders", "Result", "Start", "Step", "Suit", "Tally", "Verdict", "config_of", "distilled",
    "fuzz", "judge", "judge_in_order", "possible", "replayed",
]  # fmt: skip
