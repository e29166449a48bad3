"""The command `tune`: search the configs of algorithms, and keep the best per device and problem."""

import json
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbench.cli import completion, options
from convbench.cli.asked import Asked, Careful, How, Known, ResumeOption, takes_asked
from convbench.cli.output import print_markdown
from convbench.cli.progress import progress
from convbench.errors import ConvbenchError, DeviceError, UnknownNameError, did_you_mean
from convbench.interrupts import INTERRUPTED
from convbench.records import caption
from convbench.report import markdown_table

if TYPE_CHECKING:
    from convbench.measurement import Harness, Job
    from convbench.records import Record
    from convbench.tuning import Found, Proposals, Search, Tuner
    from convbench.workload import Workload

Refused = tuple[str, str, str, str]  # problem, direction, algorithm and reason


@takes_asked("baselines")
def tune(
    asked: Asked,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            help="How: exhaustive or optuna. Default: all of a space of up to 100 configs, or --trials; else Optuna.",
            autocompletion=completion.one_of(("exhaustive", "optuna")),
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, help="At most so many configs of each algorithm and problem. Optuna's: 100."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.0, help="Try no more of each algorithm and problem after so long."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File that the record of every config tried is appended to.")
    ] = None,
    resume: ResumeOption = False,
    retry: options.RetryOption = None,
    gpu: options.GpuOption = None,
    database: options.DatabaseOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Search the algorithms' configs: verify each, time what is right, keep what is faster than the default.

    Without a GPU, configs are ranked by the times that are predicted for one (--gpu).
    """
    from convbench.records import FAILURES, BegunFile, RecordsFile
    from convbench.tuning import Tuner
    from convbench.tuning import database as entries

    wanted, how = _search(search), How(predicts=True, ranks=True, gpu=gpu)
    if out is None and (resume or retry is not None):
        raise ConvbenchError("--resume goes on with the records of an earlier search; name their file with --out")
    harness, chosen, todo = asked.prepare(how)
    path = database or entries.default_path(harness.description["name"])
    entries.require_writable(path)
    for line in entries.read_entries(path)[1]:
        print(f"convbench: {line}", file=sys.stderr)
    run = _Run(path)
    with harness, ExitStack() as stack:
        searches, refused, failed = _searches(harness, todo, wanted, trials, asked.seed)
        file = None if out is None else stack.enter_context(RecordsFile(out))
        begun = None if out is None else BegunFile(out, goes_on=resume or retry is not None)
        careful = stack.enter_context(asked.careful(harness, chosen, how, begun))
        tries = _Tries(careful, Known(out, harness, retry, goes_on=resume, gpu=gpu))
        tuner = Tuner(harness, most=trials, seconds=seconds, tries=tries)
        total = sum(found.space if trials is None else min(trials, found.space) for found, _ in searches)
        records, what = run.records(tuner, chosen, searches), f"tuning on {harness.description['name']}"
        try:
            with progress(records, what, total, harness.device) as each:
                for record in each:
                    if file is not None and not tries.is_kept:
                        file.append(record)
        except KeyboardInterrupt:
            records.close()
            run.keep(tuner, chosen)  # a second Ctrl-C ends this, too
            print(f"convbench: interrupted; {run.kept} tuned configs are in {path}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except DeviceError as error:
            print(f"convbench: {error}\nconvbench: {run.kept} tuned configs are in {path}", file=sys.stderr)
            raise typer.Exit(1) from None
        finally:
            _print(run.done, refused, harness, path, json_=json_)
    if not any(found.entry for found in run.done):
        print("convbench: nothing was tuned, for nothing was right", file=sys.stderr)
        raise typer.Exit(1)
    if failed or any(found.count(*FAILURES) for found in run.done):
        print("convbench: some configs are wrong or failed", file=sys.stderr)
        raise typer.Exit(1)


class _Tries:
    """Tries candidates, unless an earlier call has their records; `is_kept` says it of the last one."""

    def __init__(self, careful: Careful, known: Known) -> None:
        self._careful, self._known, self.is_kept = careful, known, False

    def __call__(self, workload: "Workload", todo: "Sequence[Job]") -> "Iterator[tuple[Job, Record]]":
        kept, left = self._known.split(self._careful, todo)
        self.is_kept = True
        yield from kept
        self.is_kept = False
        yield from self._careful.results("measured", workload, left, retries=self._known.retries)


class _Run:
    """What is done, and what is under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[Found] = []
        self.kept = 0
        self._open: Found | None = None

    def records(
        self, tuner: "Tuner", chosen: "Workload", searches: "list[tuple[Found, Proposals]]"
    ) -> "Generator[Record]":
        """The record of each candidate; each search's entry is in the file before the next begins."""
        for found, order in searches:
            self._open = found
            self.done.append(found)
            yield from tuner.search(found, chosen, order)
            self._store()

    def keep(self, tuner: "Tuner", chosen: "Workload") -> None:
        """Decide the search under way on what it has so far."""
        if self._open is not None:
            tuner.decide(self._open, chosen)
            self._store()

    def _store(self) -> None:
        from convbench.tuning import add

        found, self._open = self._open, None
        if found is not None and found.entry is not None:
            add(self.path, found.entry)
            self.kept += 1


def _search(name: str | None) -> "Search | None":
    from convbench.tuning import SEARCHES

    for known in SEARCHES:
        if name == known:
            return known
    if name is not None:
        like = did_you_mean(name, SEARCHES)
        raise UnknownNameError(f"search {name!r} is unknown; there are {', '.join(SEARCHES)}{like}")
    return None


def _searches(
    harness: "Harness", todo: "list[Job]", search: "Search | None", trials: int | None, seed: int
) -> "tuple[list[tuple[Found, Proposals]], list[Refused], bool]":
    """The searches in their order; the refusals, each with problem, direction, algorithm and reason; and whether an
    algorithm failed where it was asked for its configs: that is a refusal, too.
    """
    from convbench.tuning import Found, proposals

    searches, refused, failed = list[tuple[Found, "proposals.Proposals"]](), list[Refused](), False
    for job, space in zip(todo, harness.spaces(todo), strict=True):
        (problem, direction), algorithm = job.layer.work, job.algorithm
        if space.refusal is not None:
            refused.append((str(problem), direction, algorithm.name, space.refusal))
            failed |= space.is_failure
            continue
        found = Found(layer=job.layer, algorithm=algorithm, space=len(space.configs), default=space.default)
        searches.append((found, proposals.proposals(space.configs, search, trials, seed)))
    if not searches:
        reasons = "; ".join(dict.fromkeys(f"{name}: {reason}" for *_, name, reason in refused))
        raise ConvbenchError(f"there is nothing to tune: {reasons}")
    return searches, refused, failed


def _print(done: "list[Found]", refused: list[Refused], harness: "Harness", path: Path, *, json_: bool) -> None:
    if json_:
        rows = [_facts(found) for found in done]
        skipped = [dict(zip(("problem", "direction", "algorithm", "reason"), one, strict=True)) for one in refused]
        answer: dict[str, Any] = {"database": str(path), "tuned": rows, "refused": skipped}
        if harness.forecast is not None:
            answer["ranked_by"] = f"times {caption(harness.forecast.gpu)}"
        print(json.dumps(answer, indent=1))
        return
    if not done:
        return
    is_predicted = harness.forecast is not None
    parts = [f"# Tuned on {harness.description['name']} ({harness.description['clock']})"]
    if harness.forecast is not None:
        by = f"times {caption(harness.forecast.gpu)}"
        parts = [f"# Ranked by {by}, and verified on {harness.description['name']}"]
    for work in dict.fromkeys(found.layer.work for found in done):
        ours, (problem, direction) = [found for found in done if found.layer.work == work], work
        header = ["algorithm", "configs", "tried", "timed", "wrong", "pruned", "failed", "kept"]
        header += ["predicted", "default, predicted"] if is_predicted else ["time", "default"]
        parts += [f"## {problem} {direction}", markdown_table(header, map(_cells, ours))]
        told = [_sentence(found) for found in ours]
        told += [f"- {name} refuses: {reason}" for *of, name, reason in refused if of == [str(problem), direction]]
        parts.append("\n".join(told))
    print_markdown("\n\n".join(parts))
    print(f"Tuned configs: {path}")


def _cells(found: "Found") -> tuple[object, ...]:
    from convbench.report import duration

    entry = found.entry
    return (
        found.algorithm.name, found.space, sum(found.outcomes.values()), found.count("passed"), found.count("wrong"),
        found.count("refused"), found.count("crashed", "out_of_memory", "timed_out"),
        "–" if entry is None else ", ".join(f"{name}={value}" for name, value in entry.config.items()) or "(no fields)",
        "–" if entry is None else duration(entry.median_us),
        "–" if entry is None or entry.default_us is None else duration(entry.default_us),
    )  # fmt: skip


def _sentence(found: "Found") -> str:
    """The verdict on one algorithm, and the reasons of what did not count."""
    told = f"- {found.algorithm.name}: {found.verdict}"
    if found.ratio is not None:
        value, low, high = found.ratio
        told += f"; {value:.3f} of its time, {low:.3f} to {high:.3f} with 95 % confidence"
    for count, what, reason in (
        (found.count("refused"), "pruned, for the device cannot hold them", found.pruned_for),
        (found.count("wrong", "crashed", "out_of_memory", "timed_out"), "wrong or failed", found.wrong_for),
    ):
        if count:
            told += f"\n- {found.algorithm.name}: {count} {what}; the first: {reason}"
    return told


def _facts(found: "Found") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "problem": str(found.layer.problem), "direction": found.layer.direction, "algorithm": found.algorithm.name,
        "configs": found.space,
        "outcomes": found.outcomes, "verdict": found.verdict, "ratio": found.ratio, "pruned_for": found.pruned_for,
        "wrong_for": found.wrong_for, "entry": None if found.entry is None else asdict(found.entry),
    }  # fmt: skip
