"""The fuzzer: random cases until one fails; then the smallest one that fails alike, and the command that repeats it.

    convbench fuzz                                          all algorithms, for a minute
    convbench fuzz --plugin my_module --algorithm mine      an algorithm of your own
    convbench fuzz --seconds 3600 --jobs 8 --keep-going     distinct failures, by cause, on eight cores
    convbench fuzz --replay 'direct forward n1c1h1w1-k1r1s1 integers seed=0'

A case is an algorithm, a direction, a problem, a kind of data with its seed, and a config; `cases` has its one-line
text. What was found is appended to the corpus (`--corpus`, by default fuzz_corpus.txt), whose lines are run first the
next time. Two failures are the same bug, and reported once, if algorithm, direction, kind of fault and its words
without numbers are the same, and the later case has all the traits (a stride, a dilation, a bias, …) that the first
still had when it was as small as it could be.

The same seed gives the same cases: of each algorithm, in each job. Jobs have other cases each, so that the cases of a
call depend on the seed and the number of jobs, and on nothing else but the versions of the suite, the algorithm and
Hypothesis; how many of them are run, on the limit.

The rooms: `shapes` draws problems, `rows` keeps the kernels few, `suiting` fits a draw to an algorithm, `drawing` makes
cases of them, `verdicts` judges them, `shrinking` makes them small, `campaign` is the run of one process; `orders`,
`worker`, `jobs` and `tally` are that of many. `coverage` counts pairs of axes, and `corpus` is the file.
"""

from convbench.fuzz.campaign import Campaign, Figures, Result, Step, fuzz
from convbench.fuzz.cases import FuzzCase, config_of
from convbench.fuzz.corpus import Corpus
from convbench.fuzz.coverage import possible
from convbench.fuzz.jobs import Crew
from convbench.fuzz.orders import Found, Orders
from convbench.fuzz.suiting import Suit
from convbench.fuzz.tally import Tally
from convbench.fuzz.verdicts import Cause, Finding, Verdict, judge

__all__ = [
    "Campaign", "Cause", "Corpus", "Crew", "Figures", "Finding", "Found", "FuzzCase", "Orders", "Result", "Step",
    "Suit", "Tally", "Verdict", "config_of", "fuzz", "judge", "possible",
]  # fmt: skip
