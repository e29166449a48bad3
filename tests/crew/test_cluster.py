"""A team on a cluster does what a crew does, and outlives the loss of a worker of the cluster with all that it has."""

import os
import signal
import time

import psutil
import pytest

from convbench.crew import Ended, Posted, StartError
from convbench.crew.cluster import Address, Team, connect
from convbench.errors import ConvbenchError
from support import deeds

MEMORY = 600 * 2**20

# sockets that distributed opens to find a free port, and leaves to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cluster():
    cluster = connect(Address.parse("local:2"))
    yield cluster
    cluster.close()


@pytest.fixture
def hire(cluster):
    """A function that gives a team; it does not close the cluster."""
    teams = []

    def hired(start=deeds.start, **options):
        teams.append(Team(cluster, start, memory=MEMORY, fails_allocations=True, **options))
        return teams[-1]

    yield hired
    for team in teams:
        team.cancel()


def events(team, tasks):
    team.add(*tasks)
    return [event for event in team.events(look_s=0.05) if event is not None]


def ends(told):
    return {tuple(event.task): event for event in told if isinstance(event, Ended)}


def test_each_task_has_the_fate_that_it_has_in_a_crew(hire):
    tasks = [["add", 1, 2], ["segfault"], ["end", 0], ["raise_error"], ["loop", 0.2], ["eat"], ["add", 3, 4]]
    ended = ends(events(hire(), tasks))
    fates = {task[0]: one.fate for task, one in ended.items()}
    assert fates == {
        "add": "done", "segfault": "crashed", "end": "crashed", "raise_error": "crashed", "loop": "timed_out",
        "eat": "out_of_memory",
    }  # fmt: skip
    assert (ended["add", 1, 2].result, ended["add", 3, 4].result) == (3, 7)
    assert "SIGSEGV" in ended["segfault",].reason
    assert ended["loop", 0.2].doing == "a loop"


def test_messages_come_in_order_with_what_was_printed(hire):
    told = events(hire(), [["post", *range(20)]])
    posted = [(one.content, one.output) for one in told if isinstance(one, Posted)]
    assert posted == [(number, f"about {number}\n") for number in range(20)]


def test_an_error_of_the_start_is_raised_here(hire):
    with pytest.raises(ConvbenchError, match="there is no such plugin"):
        events(hire(deeds.refuse), [["add"]])
    with pytest.raises(StartError, match="going down"):
        events(hire(deeds.die_at_start), [["add"]])


def test_one_task_of_two_callers_is_done_once_and_both_have_all_of_it(hire):
    """The second team of a client hears the messages, so that the first one has the answer alone."""
    teams = [hire(name=str) for _ in range(2)]
    for team in teams:
        team.add(["number_after", 0.5])
    running, found = [team.events(look_s=0.05) for team in teams], ([], [])
    while not all(any(isinstance(event, Ended) for event in told) for told in found):
        for told, more in zip(found, running, strict=True):
            told.append(next(more, None))
    (first,), (second,) = ([event.result for event in told if isinstance(event, Ended)] for told in found)
    assert first == second
    assert all([event.content for event in told if isinstance(event, Posted)] == ["sleeping"] for told in found)


def test_a_caller_that_comes_late_has_all_and_an_earlier_one_nothing_twice(hire):
    """The second team hears the end alone, and the first one all but the end."""
    first = hire(name=str)
    first.add(["number_after", 1.0])
    running, told = first.events(look_s=0.05), []
    while not any(isinstance(event, Posted) for event in told):
        told.append(next(running))
    second = events(hire(name=str), [["number_after", 1.0]])
    told += list(running)
    for of_team in (second, told):
        assert [event.content for event in of_team if isinstance(event, Posted)] == ["sleeping"]
        assert len([event for event in of_team if isinstance(event, Ended)]) == 1
    assert ends(second) == ends(event for event in told if event is not None)


def test_what_is_told_reaches_all_tasks_whether_they_have_begun_or_not(hire):
    team = hire()
    team.add(*[["wait_for_word"] for _ in range(4)])  # twice as many as the workers do at once
    running, found = team.events(look_s=0.05), []
    while sum(given.doing is not None for given in team._given.values()) < 2:
        next(running)
    team.tell("stop")
    found = [event for event in running if event is not None]
    assert [event.result for event in found if isinstance(event, Ended)] == [["stop"]] * 4


@pytest.mark.parametrize("name", [None, str], ids=["unnamed", "named"])
def test_a_lost_worker_ends_its_task_as_lost_and_the_others_go_on(hire, cluster, name):
    team = hire(name=name)
    team.add(["loop", 60.0], ["add", 3, 4])
    found, killed = [], []
    for event in team.events(look_s=0.05):
        found += [] if event is None else [event]
        if not killed and (looping := [given for given in team._given.values() if given.doing == "a loop"]):
            _, address = looping[0].where
            killed = list(cluster.client.run(os.getpid, workers=[address]).values())
            children = [child.pid for child in psutil.Process(killed[0]).children(recursive=True)]
            os.kill(killed[0], signal.SIGKILL)
    ended = ends(found)
    assert (ended["loop", 60.0].fate, ended["loop", 60.0].doing) == ("lost", "a loop")
    assert "was lost" in ended["loop", 60.0].reason
    assert ended["add", 3, 4].result == 7
    psutil.wait_procs([psutil.Process(pid) for pid in children if psutil.pid_exists(pid)], timeout=10)
    assert not any(map(psutil.pid_exists, children))
    assert ends(events(team, [["add", 1]]))["add", 1].result == 1


def test_a_local_worker_that_is_killed_while_it_starts_again_is_replaced(monkeypatch):
    monkeypatch.setattr("convbench.crew.cluster.team.MENDED_S", 2.0)
    monkeypatch.setattr("convbench.crew.cluster.team.LOOK_AT_CLUSTER_S", 0.2)
    cluster = connect(Address.parse("local:1"))
    try:
        team = Team(cluster, deeds.start, memory=MEMORY, fails_allocations=True)
        assert ends(events(team, [["add", 1]]))["add", 1].result == 1
        for _ in range(3):
            workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            for worker in workers:
                worker.kill()
            psutil.wait_procs(workers, timeout=5)
            time.sleep(0.3)
        told = events(team, [["add", 2]])
        while ends(told)["add", 2].fate == "lost":
            told = events(team, [["add", 2]])
        assert ends(told)["add", 2].result == 2
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("local:0", "must be from 1"), ("local", "no address"), ("tcp://host", "no address"),
        ("http://host:80", "no address"), ("missing.json", "cannot be read"), ("local:9999999", "must be from 1"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text, told):
    with pytest.raises(ConvbenchError, match=told):
        Address.parse(text)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"address": 1}', b"\xff"])
def test_a_file_without_an_address_is_refused(tmp_path, content):
    path = tmp_path / "scheduler.json"
    path.write_bytes(content)
    with pytest.raises(ConvbenchError, match="names no address"):
        Address.parse(str(path))


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr("convbench.crew.cluster.connection.CONNECT_S", 0.5)
    with pytest.raises(ConvbenchError, match="no scheduler answers"):
        connect(Address.parse("tcp://127.0.0.1:1"))
