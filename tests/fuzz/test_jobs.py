"""What becomes of the other algorithms when one takes the workers of a campaign down."""

import pytest

from convbench.crew import Ended, Posted
from convbench.fuzz import FuzzCase, Orders, jobs
from convbench.fuzz.campaign import Figures
from convbench.fuzz.orders import Found, Inquiry, Job, Possible, Progress

NAMES = "good", "bad", "im2col_gemm"
FATAL = "bad forward n1c1h1w1-k1r1s1 integers seed=0"


class Script:
    """A crew without workers: the end of each task is that of the script."""

    def __init__(self, *_, **__):
        self.left, self.had = [], []

    def add(self, *tasks):
        self.left += tasks

    def events(self, look_s):
        while self.left:
            self.had.append(task := self.left.pop(0))
            if isinstance(task, Inquiry):
                if "bad" in task.algorithms:
                    yield Posted(task, Possible("good", set(), is_able=True), "")
                    yield Ended(task=task, fate="crashed", reason="gone", doing=FATAL)
                else:
                    yield Ended(task=task, fate="done")
                continue
            cases = {name: Figures() for name in NAMES}
            for name in task.algorithms:
                if name == "bad":
                    yield Ended(task=task, fate="out_of_memory", reason="too much", doing=FATAL)
                    break
                cases[name].cases += 8
                yield Posted(task, Progress(cases, set(), 0), "")
            else:
                yield Ended(task=task, fate="done")


@pytest.fixture
def campaign(monkeypatch):
    monkeypatch.setattr(jobs, "Crew", Script)
    orders = Orders(
        algorithms=NAMES, directions=("forward",), device="emulator", prepare=tuple, examples=24, keep_going=True
    )
    run = jobs.Jobs(orders)
    yield [message for message in run.messages() if message is not None], run._crew.had
    run._folder.cleanup()


def test_who_had_the_fewest_cases_is_first_in_a_new_worker(campaign):
    _, had = campaign
    first, second, third, fourth = (task for task in had if isinstance(task, Job))
    assert (first.algorithms, first.examples) == (NAMES, 24)
    assert (second.algorithms, second.examples) == (("im2col_gemm", "bad", "good"), 15)
    assert (third.algorithms, third.examples) == (("bad", "good", "im2col_gemm"), 6)
    assert fourth.algorithms == ("good", "im2col_gemm"), "an algorithm is left out after three workers"


def test_the_loss_of_the_worker_that_asks_is_a_finding_and_the_others_are_asked_all_the_same(campaign):
    messages, had = campaign
    assert [task.algorithms for task in had if isinstance(task, Inquiry)] == [NAMES, ("im2col_gemm",)]
    found = [message.finding for _, message, _ in messages if isinstance(message, Found)]
    assert [one.cause.fault for one in found] == ["out of memory", "the process ended"]
    assert {one.case for one in found} == {FuzzCase.read(FATAL)}
