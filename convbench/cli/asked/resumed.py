"""Going on with a records file that another call has begun, and the end of a call: what failed, and its exit status."""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.errors import RecordsError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from convbench.cli.asked.asked import Asked
    from convbench.cli.asked.careful import Careful
    from convbench.measurement import Harness, Job
    from convbench.records import Record

MOST_COMMANDS = 5  # failures that are told with the command that repeats them; the records have the others

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Skip what the records file already has, however it ended.")
]


class Known:
    """The records that an earlier call has left in a file, by their keys; none, unless this call goes on with them.

    Parameters
    ----------
    path : the records file, which need not exist; None: nothing is recorded
    retry : outcomes, separated by commas, whose jobs are done again; it goes on, too
    gpu : the GPU that --gpu names; a record without a prediction for it is made again

    Raises RecordsError if the file has lines that are not ours: nothing is to be appended to it.
    """

    def __init__(
        self, path: Path | None, harness: "Harness", retry: str | None, *, goes_on: bool, gpu: str | None = None
    ) -> None:
        again = _outcomes(retry)
        before = [] if path is None else _records_so_far(path)
        self.goes_on, self.retries = goes_on or bool(again), "crashed" in again
        self._records = {
            (*record.key, record.seed): record
            for record in before
            if self.goes_on and record.outcome not in again and _has_what_is_asked(record, gpu, harness)
        }

    def split(self, careful: "Careful", todo: "Sequence[Job]") -> "tuple[list[tuple[Job, Record]], list[Job]]":
        """The jobs that have a record, with that; and those that are left to do."""
        if not self.goes_on:
            return [], list(todo)
        keyed = list(zip(todo, careful.keys(todo), strict=True))
        for job, key in keyed:
            if key in self._records:
                careful.end(job)
        kept = [(job, self._records[key]) for job, key in keyed if key in self._records]
        return kept, [job for job, key in keyed if key not in self._records]


class Resumed:
    """The jobs that are left to do, and the records of the others. The parameters are those of `Known`.

    Parameters
    ----------
    careful : runs the jobs
    """

    def __init__(
        self,
        path: Path | None,
        careful: "Careful",
        todo: "Sequence[Job]",
        retry: str | None,
        *,
        goes_on: bool,
        gpu: str | None = None,
    ) -> None:
        known = Known(path, careful.harness, retry, goes_on=goes_on, gpu=gpu)
        kept, self.todo = known.split(careful, todo)
        self.kept, self.retries = [record for _, record in kept], known.retries


def finish(records: "Sequence[Record]", asked: "Asked") -> None:
    """Say on standard error what failed, with the commands that repeat it, and exit with status 1 if anything did."""
    from convbench.records import FAILURES

    if bad := [record for record in records if record.outcome in FAILURES]:
        counts = Counter(record.outcome.replace("_", " ") for record in bad)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        print(f"convbench: {len(bad)} of {len(records)} results are wrong or failed: {told}", file=sys.stderr)
        for record in bad[:MOST_COMMANDS]:
            print(f"convbench: {record.outcome.replace('_', ' ')}: {_command(record, asked)}", file=sys.stderr)
        raise typer.Exit(1)
    if not any(record.outcome == "passed" for record in records):
        print("convbench: nothing passed, for nothing could be run", file=sys.stderr)
        raise typer.Exit(1)


def _command(record: "Record", asked: "Asked") -> str:
    """The command that repeats a result."""
    words = ["convbench", "verify", record.problem, "--algorithm", record.algorithm, "--seed", str(record.seed)]
    words += [] if record.direction == "forward" else ["--direction", record.direction]
    words += [] if asked.device is None else ["--device", asked.device]
    for option, value in (("--isolation", asked.isolation), ("--timeout", asked.timeout), ("--memory", asked.memory)):
        words += [] if value is None else [option, str(value)]
    words += [word for plugin in asked.plugin or [] for word in ("--plugin", plugin)]
    return shlex.join(words)


def _outcomes(text: str | None) -> set[str]:
    from convbench.records import OUTCOMES

    known = [outcome for outcome in OUTCOMES if outcome != "passed"]
    found = set() if text is None else set(text.split(","))
    for outcome in sorted(found):
        if outcome not in known:
            like = did_you_mean(outcome, known)
            raise UnknownNameError(f"--retry {outcome!r} is no outcome; there are {', '.join(known)}{like}")
    return found


def _has_what_is_asked(record: "Record", gpu: str | None, harness: "Harness") -> bool:
    """Whether a record need not be made again: with --gpu, it needs a prediction for this GPU if it passed."""
    if gpu is None or harness.forecast is None or record.outcome != "passed":
        return True
    return record.predicted is not None and record.predicted.gpu == harness.forecast.gpu


def _records_so_far(path: Path) -> "list[Record]":
    """What a file that is to be continued has; a file with lines that are not ours is not touched."""
    from convbench.records import read_records

    if not path.exists():
        return []
    records, bad = read_records(path)
    for line in bad:
        if not line.torn:
            raise RecordsError(f"{line.path}, line {line.number}: {line.reason}; nothing is appended to such a file")
        print(f"convbench: {line}", file=sys.stderr)
    return records
