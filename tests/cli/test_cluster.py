"""A cluster that loses workers does all that it was given, once; and it refuses what it cannot do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from convbench.records import read_records
from convbench.workload import load

WORKERS = 3
LAYERS = [f"n1c{c}h{h}w5-k{k}r3s3-pad1" for c in range(1, 6) for h in range(3, 13) for k in range(1, 5)]
SILENT_S = 3  # a worker that says nothing for so long is lost
OTHER_CODE = """
from convbench.algorithm import registry
from algorithms.direct import Direct
@registry.register
class Mine(Direct):
    name = "mine"
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The file of a scheduler, and the processes of its workers; their logs are in the same folder."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    surroundings = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{SILENT_S}s"}
    common = "--scheduler-file", str(file), "--no-dashboard"

    def start(name, *words):
        with (folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *common], env=surroundings, cwd=folder, stdout=log, stderr=log
            )

    scheduler = start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0")
    workers = [start(str(number), "worker", "--no-nanny", "--nthreads", "1") for number in range(WORKERS)]
    yield file, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait(20)


def convbench(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "convbench", *words], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_other_code_at_the_workers_is_refused(tmp_path, cluster):
    """A module that a worker finds in its own folder, and that is another one there."""
    file, _ = cluster
    (tmp_path / "mine.py").write_text(OTHER_CODE)
    (file.parent / "mine.py").write_text(OTHER_CODE + "\n")
    run = convbench(
        tmp_path, "verify", LAYERS[0], "--algorithm", "mine", "--plugin", "mine", "--cluster", str(file),
        "--device", "emulator",
    )  # fmt: skip
    out, told = run.communicate(timeout=120)
    assert (run.returncode, out) == (2, "")
    assert told.count("\n") == 1
    assert "is another than here" in told


def test_two_of_three_workers_are_lost_and_every_layer_is_verified_once(tmp_path, cluster):
    """One worker is killed. The other one is cut off: it stops, and goes on when its work has been done by others."""
    file, workers = cluster
    (tmp_path / "layers.txt").write_text("\n".join(LAYERS))
    run = convbench(
        tmp_path, "verify", "--workload", "layers.txt", "--algorithm", "direct", "--cluster", str(file), "--device",
        "emulator", "--out", "records",
    )  # fmt: skip
    path = tmp_path / "records" / "emulator" / "layers.verified.jsonl"
    for worker, least, how in ((workers[0], 20, signal.SIGKILL), (workers[1], 40, signal.SIGSTOP)):
        while run.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < least):
            time.sleep(0.02)
        worker.send_signal(how)
    assert run.poll() is None  # they were lost while it ran
    out, told = run.communicate(timeout=200)
    workers[1].send_signal(signal.SIGCONT)
    assert run.returncode == 0, (out[-2000:], told)
    # a worker that had begun nothing is not missed
    assert all(line.endswith("was lost; its jobs are done elsewhere") for line in told.splitlines())
    records, bad = read_records(path)
    assert not bad
    assert Counter(record.problem for record in records) == Counter(
        str(layer.problem) for layer in load(str(tmp_path / "layers.txt")).layers
    )
    assert {record.outcome for record in records} == {"passed"}
    assert {record.workload for record in records} == {"layers"}


def test_a_campaign_on_a_cluster_finds_what_ends_a_process_and_saves_it_once(tmp_path):
    (tmp_path / "ends.py").write_text(
        OTHER_CODE + "    def plan(self, *args, **kwargs):\n        import os; os._exit(3)\n"
    )
    run = convbench(
        tmp_path, "fuzz", "--plugin", "ends.py", "--algorithm", "mine,direct", "--examples", "24", "--keep-going",
        "--direction", "forward", "--cluster", "local:2", "--device", "emulator", "--json",
    )  # fmt: skip
    out, told = run.communicate(timeout=200)
    assert run.returncode == 1, told
    answer = json.loads(out)
    assert [one["cause"]["fault"] for one in answer["failures"]] == ["the process ended"]
    assert answer["algorithms"]["direct"]["cases"] > 4
    cases = [line for line in (tmp_path / "fuzz_corpus.txt").read_text().splitlines() if line.startswith("mine ")]
    assert len(cases) == 1


def test_what_takes_two_workers_of_the_cluster_down_is_recorded_as_crashed(tmp_path):
    (tmp_path / "kills.py").write_text(
        OTHER_CODE + "    def plan(self, problem, *args, **kwargs):\n"
        "        import os, time\n"
        "        if problem.c == 2: os.kill(os.getppid(), 9); time.sleep(60)\n"
        "        return super().plan(problem, *args, **kwargs)\n"
    )
    problems = LAYERS[0], LAYERS[40], LAYERS[80]
    run = convbench(
        tmp_path, "verify", *problems, "--plugin", "kills.py", "--algorithm", "direct,mine", "--cluster", "local:1",
        "--device", "emulator", "--json",
    )  # fmt: skip
    out, told = run.communicate(timeout=200)
    assert run.returncode == 1, told
    rows = [(row["problem"], row["algorithm"], row["outcome"]) for row in json.loads(out)]
    outcomes = ["passed", "passed", "passed", "crashed", "passed", "passed"]
    assert [outcome for *_, outcome in rows] == outcomes
    assert told.count("was lost; its jobs are done elsewhere") == 2
    assert "as another one was before" in next(row["reason"] for row in json.loads(out) if row["reason"])


def test_a_parent_that_is_killed_leaves_no_process(tmp_path):
    run = convbench(tmp_path, "verify", *LAYERS[:2], "--algorithm", "direct", "--cluster", "local:2")
    parent, found = psutil.Process(run.pid), []
    while run.poll() is None and len(found) < 4:  # two workers of the cluster, each with a process of its crew
        found = parent.children(recursive=True)
        time.sleep(0.02)
    run.kill()
    run.communicate(timeout=20)
    assert psutil.wait_procs(found, timeout=20)[1] == []


def test_interrupted_by_ctrl_c_it_ends_at_once_with_what_it_has(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "convbench", "verify", *LAYERS, "--algorithm", "direct", "--cluster", "local:2",
         "--out", "records"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    path = tmp_path / "records" / "emulator" / "problems.verified.jsonl"
    while run.poll() is None and (not path.exists() or not path.read_bytes()):
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    start = time.monotonic()
    out, told = run.communicate(timeout=60)
    assert time.monotonic() < start + 15
    assert run.returncode == 130
    assert "Traceback" not in out + told
    assert told.splitlines()[-1].startswith("convbench: interrupted after ")
