"""Files of records: one writer at a time, and after any fault of the disk all that was appended before, and no more."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cases.handmade import record
from convbench.errors import FileInUseError, RecordsError
from convbench.records import RecordsFile, read_records
from support.disk import as_somebody, files_up_to


def seeds(path: Path) -> list[int]:
    records, bad = read_records(path)
    assert bad == []
    return [one.seed for one in records]


def append_some(path: Path, first: int, count: int, barrier) -> None:
    """Append records as soon as the file is free, for another process to do at the same time."""
    barrier.wait()
    for seed in range(first, first + count):
        while True:
            try:
                with RecordsFile(path) as file:
                    file.append(record(seed=seed))
                break
            except FileInUseError:
                pass


def test_of_writers_side_by_side_none_loses_or_doubles_a_record(tmp_path):
    path, fork = tmp_path / "mine.jsonl", multiprocessing.get_context("fork")
    barrier = fork.Barrier(4)
    processes = [fork.Process(target=append_some, args=(path, 100 * n, 25, barrier)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(seeds(path)) == sorted(100 * n + i for n in range(4) for i in range(25))
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "no lock is left"


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path):
    path = tmp_path / "mine.jsonl"
    with RecordsFile(path) as file:
        with pytest.raises(FileInUseError, match=rf"mine.jsonl is being written by process {os.getpid()} on .*--out"):
            RecordsFile(path)
        (tmp_path / "link.jsonl").symlink_to(path)
        with pytest.raises(FileInUseError, match="one writer at a time"):
            RecordsFile(tmp_path / "link.jsonl")
        file.append(record(seed=1))
    with RecordsFile(path) as file:
        file.append(record(seed=2))
    assert seeds(path) == [1, 2]


def test_a_writer_that_is_killed_leaves_no_lock_behind(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from convbench.records import RecordsFile\n"
        "file = RecordsFile(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    path = tmp_path / "mine.jsonl"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(FileInUseError, match=f"process {holder.pid} on "):
            RecordsFile(path)
        holder.send_signal(signal.SIGKILL)
    with RecordsFile(path) as file:
        file.append(record(seed=1))
    assert seeds(path) == [1]


def test_a_full_disk_leaves_what_was_appended_and_nothing_torn(tmp_path):
    path, size = tmp_path / "mine.jsonl", len(record(seed=1).to_json()) + 1
    with RecordsFile(path) as file:
        with files_up_to(2 * size + size // 2):
            file.append(record(seed=1))
            file.append(record(seed=2))
            with pytest.raises(
                RecordsError, match=r"cannot be written to .*mine.jsonl: .*; before it, 2 of this run were"
            ):
                file.append(record(seed=3))
        assert seeds(path) == [1, 2]
        file.append(record(seed=4))  # there is room again
    assert seeds(path) == [1, 2, 4]


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda folder: (folder / "mine.jsonl").unlink()])
def test_a_file_that_goes_away_is_noticed_at_once_and_its_records_are_rescued(tmp_path, monkeypatch, remove):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "folder" / "mine.jsonl"
    with RecordsFile(path) as file:
        file.append(record(seed=1))
        remove(path.parent)
        with pytest.raises(
            RecordsError, match=r"mine.jsonl was removed or replaced .* the 2 of this run, is in "
        ) as told:
            file.append(record(seed=2))
    assert not path.exists()
    assert seeds(Path(str(told.value).rpartition(" is in ")[2])) == [1, 2]


def test_the_lock_of_a_folder_that_went_away_is_not_that_of_a_new_one(tmp_path):
    path = tmp_path / "folder" / "mine.jsonl"
    with RecordsFile(path):
        shutil.rmtree(path.parent)
        second = RecordsFile(path)
    with second, pytest.raises(FileInUseError):
        RecordsFile(path)


def test_a_folder_that_may_not_be_written_is_an_error_before_anything_is_measured():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        with as_somebody(), pytest.raises(RecordsError, match=r"cannot be written to .*mine.jsonl: Permission denied"):
            RecordsFile(Path(name) / "mine.jsonl")
        assert list(Path(name).iterdir()) == []


def test_after_a_torn_line_the_next_record_has_a_line_of_its_own_and_opening_changes_nothing(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"problem":"n1c')
    with RecordsFile(path) as file:
        assert path.read_text() == '{"problem":"n1c'
        file.append(record(seed=1))
    assert path.read_text() == f'{{"problem":"n1c\n{record(seed=1).to_json()}\n'
