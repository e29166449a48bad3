"""Whatever the code of a task does, the task ends with the right fate, and all others are done."""

import os
import time
from itertools import pairwise

import psutil
import pytest

from convbench.crew import Crew, Ended, Posted, StartError
from convbench.crew.output import Output
from convbench.errors import ConvbenchError
from support import deeds

MEMORY = 600 * 2**20


def ends(tasks, count=1, until=float("inf"), **limits):
    """The end of each task, in the order of the tasks, and all messages."""
    with Crew(deeds.start, count, **limits) as crew:
        tasks = [list(task) for task in tasks]  # each of its own identity
        crew.add(*tasks)
        events = [event for event in crew.events(until, look_s=0.02) if event is not None]
    ended = {id(event.task): event for event in events if isinstance(event, Ended)}
    assert len(ended) == sum(isinstance(event, Ended) for event in events) == len(tasks)
    return [ended[id(task)] for task in tasks], [event for event in events if isinstance(event, Posted)]


def is_ended(pid):
    """Whether a process ends within seconds; one that is killed may still be there for a moment."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


FAULTS = {
    "raise_error": ("crashed", "ZeroDivisionError: by nothing (in raise_error, deeds.py, line "),
    "raise_odd": ("crashed", "OddError: its message cannot be read, because __str__ raises RuntimeError"),
    "interrupt": ("crashed", "KeyboardInterrupt"),
    "leave": ("crashed", "SystemExit: 0"),
    "end 0": ("crashed", "it ended its process, with status 0"),
    "end 7": ("crashed", "it ended its process, with status 7"),
    "segfault": ("crashed", "SIGSEGV"),
    "abort": ("crashed", "SIGABRT"),
    "terminate": ("crashed", "SIGTERM"),
    "loop 0.2": ("timed_out", "it did not end within 0.2 s"),
    "sleep_in_c 0.2": ("timed_out", "it did not end within 0.2 s"),
    "ignore_signals 0.2": ("timed_out", "it did not end within 0.2 s"),
    "fork_and_end": ("crashed", "it ended its process, with status 5"),
    "close_files": ("crashed", "it ended its process, with status 1"),
    "pickle_nothing": ("crashed", "pickle"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_its_task_alone(fault):
    name, *words = fault.split()
    task = (name, *(float(word) if "." in word else int(word) for word in words))
    (before, ended, after), _ = ends([("add", 1, 2), task, ("add", 3, 4)])
    fate, reason = FAULTS[fault]
    assert (before.result, after.result) == (3, 7)
    assert ended.fate == fate
    assert reason in ended.reason
    assert ended.doing == {"loop": "a loop", "sleep_in_c": "a sleep", "ignore_signals": "a loop"}.get(name, name)


@pytest.mark.parametrize(("deed", "fails"), [("eat", True), ("eat", False), ("feed_child", False)])
def test_a_task_that_takes_too_much_memory_ends_alone(deed, fails):
    (ended, after), _ = ends([(deed,), ("add", 3, 4)], memory=MEMORY, fails_allocations=fails)
    assert (ended.fate, after.result) == ("out_of_memory", 7)
    assert "memory" in ended.reason.lower()


def test_memory_that_copies_share_counts_once():
    """Ten copies of a process share what it had, 128 MiB and more."""
    (ended, after), _ = ends([("fork_many", 10), ("add", 3, 4)], memory=MEMORY)
    assert (ended.fate, after.result) == ("done", 7)


def test_what_closes_the_connection_is_blamed_and_not_what_follows():
    (ended, after), _ = ends([("close_files_and_begin",), ("add", 3, 4)])
    assert (ended.fate, ended.doing, after.result) == ("crashed", "close_files_and_begin", 7)


def test_what_a_task_starts_does_not_outlive_the_crew():
    (child, thread, after), _ = ends([("start_child",), ("start_thread",), ("add", 1)])
    assert (thread.fate, after.result) == ("done", 1)
    assert is_ended(child.result)


def test_a_copy_that_a_task_forks_neither_answers_nor_takes_tasks():
    (forked, *others), _ = ends([("fork",), *[("number",)] * 3])
    assert forked.result == "from the worker"
    assert len({other.result for other in others}) == 1


@pytest.mark.parametrize("deed", ["fork_and_begin", "ask_what_forks"])
def test_a_copy_that_a_task_forks_does_not_do_the_work_again(deed, tmp_path):
    (forked, after), _ = ends([(deed, str(tmp_path / "copied")), ("add", 3, 4)])
    assert (forked.fate, forked.result, after.result) == ("done", None, 7)
    assert not (tmp_path / "copied").exists()


def test_what_a_task_leaves_running_is_ended_before_the_next():
    (left, counted), _ = ends([("leave_running",), ("count_left",)])
    assert (left.fate, counted.result) == ("done", 0)


def test_a_task_leaves_folder_and_output_as_they_were(tmp_path):
    (_, where, _, printed), _ = ends([("move", str(tmp_path)), ("where",), ("close_output",), ("print", "here")])
    assert where.result == os.getcwd()  # noqa: PTH109
    assert printed.output == "here\nand below Python"


def test_output_is_kept_with_what_it_belongs_to(capfd):
    (ended, much), posts = ends([("post", "one", "two"), ("print_much",)])
    assert [(post.content, post.output) for post in posts] == [("one", "about one\n"), ("two", "about two\n")]
    assert (ended.result, ended.output) == (2, "")
    assert len(much.output) == 4096
    assert much.output.endswith("the end\n")
    assert capfd.readouterr() == ("", "")


def test_the_end_of_what_was_printed_is_kept_whichever_side_empties_the_file(tmp_path):
    worker, parent = Output(tmp_path / "1.output"), Output(tmp_path / "1.output")
    descriptor = worker.open()
    os.write(descriptor, b"x" * 2**20 + b"the end\n")
    parent.cut_back()
    assert parent.with_cut(worker.take()) == "x" * 4088 + "the end\n"
    os.write(descriptor, b"about the next\n")
    os.close(descriptor)
    assert parent.with_cut(worker.take()) == "about the next\n"


def test_messages_before_a_crash_are_kept_and_the_next_worker_is_a_new_one():
    tasks = [("number",), ("post", "kept"), ("segfault",), ("number",)]
    (first, _, _, last), posts = ends(tasks)
    assert [post.content for post in posts] == ["kept"]
    assert first.result != last.result


def test_workers_share_the_tasks():
    ended, _ = ends([("add", number) for number in range(40)], count=3)
    assert [one.result for one in ended] == list(range(40))


def test_turns_do_not_overlap():
    ended, _ = ends([("take_turn", 0.05 + 0.01 * k) for k in range(4)], count=2)
    spans = sorted(one.result[1:] for one in ended)
    assert all(one.result[0] for one in ended)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_tasks_for_which_there_is_no_time_are_left_out():
    ended, _ = ends([("add", 1), ("add", 2)], until=time.time() - 1)
    assert [one.fate for one in ended] == ["left_out", "left_out"]


def test_a_word_to_all_workers_reaches_those_that_work():
    with Crew(deeds.start, 2) as crew:
        crew.add(("wait_for_word",), ("wait_for_word",))
        found = []
        for event in crew.events(look_s=0.02):
            if event is None:
                crew.tell("stop")
            else:
                found += event.result
    assert set(found) == {"stop"}


@pytest.mark.parametrize(
    ("start", "kind", "words"),
    [(deeds.refuse, ConvbenchError, "no such plugin"), (deeds.die_at_start, StartError, "going down")],
)
def test_a_worker_that_cannot_start_is_an_error(start, kind, words):
    with Crew(start) as crew:
        crew.add(("add", 1))
        with pytest.raises(kind, match=words):
            list(crew.events())


def test_a_worker_that_ends_while_it_starts_is_replaced():
    with Crew(deeds.start_at_the_third_try) as crew:
        crew.add(("add", 1, 2))
        assert [event.result for event in crew.events() if isinstance(event, Ended)] == [3]
