"""The database of tuned configs: its file format, which entry counts, and which commands use it."""

import json
import multiprocessing
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.wrong_algorithms import WithoutMistake
from convbench import conv2d
from convbench.algorithm import Algorithm, Family, registry
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError, RecordsError
from convbench.layer import Conv2d, automatic
from convbench.problem.notation import parse
from convbench.records import one_writer, read_records
from convbench.tuning import Database, add, database, in_use
from convbench.tuning.database import latest, read_entries
from convbench.tuning.entry import Entry

PROBLEM = "n1c1h4w4-k2r3s3-pad1"
ENTRY = Entry(
    device="simulator", compute_capability=None, algorithm="tiled", direction="forward", problem=PROBLEM,
    config={"tile": 16}, median_us=10.0, interval_us=(9.0, 11.0), default_us=20.0, clock="CPU wall clock, simulated",
    timed=2, seed=0, version="0.1.0", commit="abc", when="2026-01-02T03:04:05+00:00",
)  # fmt: skip

times = st.floats(1e-3, 1e9)
entries = st.builds(
    replace, st.just(ENTRY),
    device=st.sampled_from(["emulator", "NVIDIA H200"]), compute_capability=st.sampled_from([None, "9.0"]),
    algorithm=st.sampled_from(["direct", "tiled | \u2028 ×"]), direction=st.sampled_from(["forward", "backward_data"]),
    config=st.dictionaries(st.text(max_size=5), st.integers() | st.booleans() | st.none() | st.text(max_size=5)),
    median_us=times, interval_us=st.none() | st.tuples(times, times).map(sorted).map(tuple),
    default_us=st.none() | times,
    when=st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds") + "+00:00"),
)  # fmt: skip


# ---- files


@given(entries)
def test_an_entry_is_a_line_that_reads_back(entry):
    line = entry.to_json()
    assert "\n" not in line
    assert Entry.from_json(line) == entry


@given(st.lists(entries, max_size=4), st.randoms(use_true_random=False))
def test_merging_files_is_concatenating_their_lines_and_what_was_measured_last_wins(found, random):
    moments = {(entry.key, entry.moment) for entry in found}
    shuffled = random.sample(found, len(found))
    counted = latest(found)
    assert {key: one.moment for key, one in counted.items()} == {
        key: max(moment for other, moment in moments if other == key) for key, _ in moments
    }
    if len(moments) == len(found):  # of equal moments the later line counts
        assert latest(shuffled) == counted


@settings(max_examples=40)  # each waits until some files are on disk
@given(st.lists(entries, max_size=4))
def test_a_file_has_each_key_once_in_order_whatever_is_added(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("tuned") / "new" / "device.jsonl"
    for entry in found:
        add(path, entry)
    stored, bad, _ = read_entries(path)
    assert bad == []
    assert {entry.key: entry for entry in stored} == latest(found)
    keys = [[part or "" for part in entry.key] for entry in stored]
    assert keys == sorted(keys)
    assert [file.name for file in path.parent.iterdir()] == [path.name] if found else not path.parent.exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (ENTRY.to_json()[:40], "line 2: a torn line"),
        ("milk", "line 2: no tuned config"),
        ("{}", "line 2: no tuned config (an entry has device,"),
        (ENTRY.to_json().replace("10.0", '"fast"'), "line 2: no tuned config (median_us is 'fast'"),
        (ENTRY.to_json().replace("10.0", "-1"), "line 2: no tuned config (median_us is -1"),
        (ENTRY.to_json().replace("10.0", "NaN"), "line 2: no tuned config (median_us is nan"),
        (ENTRY.to_json().replace('"forward"', '"sideways"'), "line 2: no tuned config (direction is 'sideways'"),
        (ENTRY.to_json().replace("k2r3", "k0r3"), "line 2: no tuned config (k is 0"),
        (ENTRY.to_json().replace("+00:00", ""), "line 2: no tuned config (when is '2026"),
        (json.dumps({**asdict(ENTRY), "more": 1}), "line 2: no tuned config (an entry has"),
        ("[" * 200_000 + "]" * 200_000, "line 2: no tuned config (its values are nested more than 20 deep)"),
        ('{"device":' * 200_000, "line 2: no tuned config (its values are nested more than 20 deep)"),
        (json.dumps({"device": json.loads("[" * 900 + "]" * 900)}), "nested more than 20 deep"),
    ],
)
def test_a_line_that_is_no_entry_is_told_by_its_number_and_stays(tmp_path, line, told):
    path, other = tmp_path / "device.jsonl", replace(ENTRY, algorithm="direct")
    path.write_text(f"{ENTRY.to_json()}\n{line}\n")
    said: list[str] = []
    known = Database(path, said.append)
    (sentence,) = said
    assert told in sentence
    assert known.entries == {ENTRY.key: ENTRY}
    add(path, other)
    assert path.read_text().splitlines() == [other.to_json(), ENTRY.to_json(), line]


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "device.jsonl"
    add(path, ENTRY)

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RecordsError, match="No space left on device"):
        add(path, replace(ENTRY, algorithm="direct"))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == ENTRY.to_json() + "\n"


def add_some(path: Path, algorithm: str, problems: list[str], barrier) -> None:
    barrier.wait()
    for problem in problems:
        add(path, replace(ENTRY, algorithm=algorithm, problem=problem))


def test_of_writers_side_by_side_none_loses_an_entry(tmp_path):
    path, fork = tmp_path / "device.jsonl", multiprocessing.get_context("fork")
    barrier, problems = fork.Barrier(4), [f"n1c1h4w{w}-k2r3s3-pad1" for w in range(4, 12)]
    processes = [fork.Process(target=add_some, args=(path, f"mine{n}", problems, barrier)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found, bad, _ = read_entries(path)
    assert bad == []
    assert sorted((one.algorithm, one.problem) for one in found) == sorted(
        (f"mine{n}", problem) for n in range(4) for problem in problems
    )


def test_a_writer_waits_and_says_for_whom_and_in_the_end_the_entry_is_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "device.jsonl"
    monkeypatch.setattr(database, "WAIT_S", 1.2)
    with one_writer(path), pytest.raises(RecordsError, match=r"being written by process .* for 1.2 s") as told:
        add(path, ENTRY)
    assert ENTRY.to_json() in str(told.value)
    assert capsys.readouterr().err.startswith(f"convbench: waiting for {path}, which process ")
    assert not path.exists()


def test_a_search_whose_result_could_not_be_written_is_not_begun(convbench, here):
    (here / "file").touch()
    status, out, err = convbench(
        "tune", PROBLEM, "--algorithm", "direct", "--device", "simulator", "--database", "file/device.jsonl"
    )
    assert (status, out) == (2, "")
    assert "tuned configs cannot be written to file/device.jsonl" in err


def test_half_of_a_surrogate_pair_reads_back(tmp_path):
    entry = replace(ENTRY, config={"name": "\ud800"})
    add(tmp_path / "device.jsonl", entry)
    assert read_entries(tmp_path / "device.jsonl")[0] == [entry]


def test_a_file_that_cannot_be_read_is_an_error_and_none_is_no_entries(tmp_path):
    assert Database(tmp_path / "none.jsonl", pytest.fail).entries == {}
    with pytest.raises(RecordsError, match="cannot be read"):
        Database(tmp_path, pytest.fail)


# ---- use


@dataclass(frozen=True, kw_only=True)
class Tile:
    tile: int = 8


class TiledPlan(WithoutMistake):
    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device)
        self.tile = config.tile

    def run(self, *arrays):
        RAN.append(self.tile)
        if self.tile == 64:
            raise ConfigError("a block has too few registers for it")
        super().run(*arrays)


RAN: list[int] = []


class Tiled(Algorithm):
    name: ClassVar[str] = "tiled"
    family: ClassVar[Family] = "direct"
    plans: ClassVar = {"forward": TiledPlan}

    def configs(self, problem, direction):
        return (Tile(),)

    def space(self, problem, direction):
        return (Tile(), Tile(tile=16), Tile(tile=32), Tile(tile=64))


X, W = np.ones((1, 1, 4, 4), np.float32), np.ones((2, 1, 3, 3), np.float32)


@pytest.fixture
def tiled(here, monkeypatch):
    """The algorithm, registered, in a folder without a database."""
    monkeypatch.setattr(registry, "_registered", {"tiled": Tiled()})
    RAN.clear()
    yield here / "reports" / "tuned" / "simulator.jsonl"
    in_use.use_default()


def tiles(compute) -> set[int]:
    RAN.clear()
    compute()
    return set(RAN)


def convolve() -> Any:
    return conv2d(X, W, padding=1, algorithm="tiled", device="simulator")


def test_conv2d_and_the_layer_run_with_what_was_tuned_and_see_a_file_that_changes(tiled):
    layer = Conv2d(1, 2, 3, padding=1, bias=False, algorithm="tiled", device="simulator")
    assert tiles(convolve) == {8}
    assert not tiled.exists()
    add(tiled, ENTRY)
    assert tiles(convolve) == {16}
    assert tiles(lambda: layer(X)) == {16}
    add(tiled, replace(ENTRY, config={"tile": 32}, when="2026-01-03T00:00:00+00:00"))
    assert tiles(convolve) == {32}
    in_use.use(None)
    assert tiles(convolve) == {8}
    in_use.use("mine.jsonl")
    assert tiles(convolve) == {8}
    add(Path("mine.jsonl"), ENTRY)
    assert tiles(convolve) == {16}
    tiled.unlink()
    in_use.use_default()
    assert tiles(convolve) == {8}


@pytest.mark.parametrize(
    "change",
    [
        {"device": "NVIDIA H200"}, {"device": "emulator"}, {"compute_capability": "9.0"}, {"algorithm": "direct"},
        {"problem": f"{PROBLEM}-bias"}, {"direction": "backward_data"},
    ],
)  # fmt: skip
def test_what_was_tuned_elsewhere_or_for_another_problem_is_not_used(tiled, change):
    add(tiled, replace(ENTRY, **change))
    assert tiles(convolve) == {8}


def test_a_config_that_is_no_more_or_is_refused_is_told_once_and_not_used(tiled):
    for config, reason in (({"tile": 99}, "no such config any more"), ({"tile": 64}, "too few registers")):
        add(tiled, replace(ENTRY, config=config, when=f"2026-02-0{len(reason) % 9 + 1}T00:00:00+00:00"))
        with pytest.warns(in_use.TunedConfigWarning, match=reason) as caught:
            assert 8 in tiles(convolve)
        assert len(caught) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert tiles(convolve) == {8}
        tiled.unlink()


def test_bench_runs_with_what_was_tuned_and_records_it_unless_it_is_told_not_to(convbench, tiled, here):
    words = ("bench", PROBLEM, "--algorithm", "tiled", "--device", "simulator", "--samples", "1")
    records = here / "reports" / "local" / "simulator" / "problems.jsonl"

    def recorded(*more):
        records.unlink(missing_ok=True)
        status, _, err = convbench(*words, *more)
        (record,) = read_records(records)[0]
        return status, err, record.outcome, record.config

    assert recorded() == (0, "", "passed", {"tile": 8})
    add(tiled, ENTRY)
    assert recorded() == (0, "", "passed", {"tile": 16})
    assert recorded("--untuned") == (0, "", "passed", {"tile": 8})
    add(here / "mine.jsonl", replace(ENTRY, config={"tile": 32}))
    assert recorded("--database", "mine.jsonl") == (0, "", "passed", {"tile": 32})
    for config, reason in (({"tile": 99}, "no such config any more"), ({"tile": 64}, "too few registers")):
        (here / "mine.jsonl").write_text(replace(ENTRY, config=config).to_json() + "\n")
        status, err, outcome, used = recorded("--database", "mine.jsonl")
        assert (status, outcome, used) == (0, "passed", {"tile": 8})
        assert err.count("\n") == err.count(reason) == 1


def test_auto_takes_the_faster_of_two_that_were_tuned_where_their_intervals_are_apart(tiled, monkeypatch):
    device, problem = SimulatorDevice(), parse("n1c1h4w4-k2r3s3-pad1")
    monkeypatch.setattr(automatic, "preferences", lambda problem, on_gpu: iter(("direct", "tiled")))

    def chosen():
        return automatic.choose(problem, "forward", device).name

    def known(name, config, low, high):
        median = (low + high) / 2
        add(tiled, replace(ENTRY, algorithm=name, config=config, median_us=median, interval_us=(low, high)))

    assert chosen() == "direct"
    known("tiled", {"tile": 16}, 1.0, 2.0)
    assert chosen() == "direct", "of which nothing is known"
    known("direct", {"threads": 256}, 1.5, 3.0)
    assert chosen() == "direct", "for the intervals overlap"
    known("direct", {"threads": 256}, 2.5, 3.0)
    assert chosen() == "tiled"
    in_use.use(None)
    assert chosen() == "direct"


def test_devices_have_files_of_their_own():
    paths = {str(database.default_path(name)) for name in ("NVIDIA H200", "emulator", "emulator-checked", "simulator")}
    assert len(paths) == 4
    assert "reports/tuned/nvidia-h200.jsonl" in paths
