"""The commands that run algorithms: `verify` and `bench`."""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from convbench.cli import completion, options
from convbench.cli.asked import Asked, Careful, How, Resumed, ResumeOption, finish, takes_asked
from convbench.cli.output import print_markdown, require_extra, write_pages
from convbench.cli.progress import Layers, progress
from convbench.errors import ConvbenchError, DeviceError
from convbench.interrupts import INTERRUPTED
from convbench.report import markdown_table

if TYPE_CHECKING:
    from convbench.records import Record, RecordsFile
    from convbench.workload import Workload

T = TypeVar("T")

GPU_SECONDS, SECONDS = 1.0, 0.3  # those of `Effort.for_device`, repeated here so that --help need not import it
LOCAL = Path("reports") / "local"  # ignored by git: a checkout's own reports stay as they were committed
SENTENCES = "whole", "predicted", "verified", "clock", "winner"  # of the summary, the kinds that a run ends with


@takes_asked()
def verify(
    asked: Asked,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of a records file, to which each result is appended at once. Default: none."
        ),
    ] = None,
    resume: ResumeOption = False,
    retry: options.RetryOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Right or wrong, and by how much of the error bound. Exit status 1 if any is wrong, or none was run."""
    from convbench.records import BegunFile, RecordsFile
    from convbench.tuning import slug

    if out is None and (resume or retry is not None):
        raise ConvbenchError("--resume goes on with a records file; name its folder with --out")
    harness, chosen, todo = asked.prepare()
    place = (
        None
        if out is None
        else out / slug(harness.description["name"]) / f"{slug(chosen.name)}{asked.suffix}.verified.jsonl"
    )
    records: list[Record] = []
    interrupted = False
    with harness, ExitStack() as stack:
        # opened before it is read, so that no other process adds what is then done twice
        file = None if place is None else stack.enter_context(RecordsFile(place))
        begun = None if place is None else BegunFile(place, goes_on=resume or retry is not None)
        careful = stack.enter_context(asked.careful(harness, chosen, begun=begun))
        so_far = Resumed(place, careful, todo, retry, goes_on=resume)
        what = f"verifying on {harness.description['name']}"
        try:
            results = careful.results("verified", chosen, so_far.todo, retries=so_far.retries)
            each = stack.enter_context(progress(results, what, len(so_far.todo), harness.device))
            for _, record in each:
                records.append(record)
                if file is not None:
                    file.append(record)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            places = {(*map(str, job.layer.work), job.algorithm.name): place for place, job in enumerate(todo)}
            told = sorted(
                [*so_far.kept, *records], key=lambda one: places[one.problem, one.direction, one.algorithm]
            )  # a cluster gives them as they come
            if json_:
                print(json.dumps([_row(record) for record in told], indent=1))
            elif told:
                _print_verdicts([_row(record) for record in told], f"{chosen.name} on {harness.description['name']}")
                if place is not None:
                    print(f"Records: {place}")
    if interrupted:
        print(f"convbench: interrupted after {len(records)} of {len(so_far.todo)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    finish(told, asked)


def _row(record: "Record") -> dict[str, Any]:
    return {
        "problem": record.problem, "direction": record.direction, "algorithm": record.algorithm,
        "outcome": record.outcome, "exact": record.exact, "fraction_of_bound": record.fraction,
        "rms_error_ulp": record.rms_error_ulp, "worst_error_ulp": record.worst_error_ulp, "reason": record.reason,
        "output": record.output,
    }  # fmt: skip


@takes_asked()
def bench(
    asked: Asked,
    out: Annotated[Path, typer.Option("--out", help="Folder of the records and the report.")] = LOCAL,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            help="Time with a warm cache, a cold one, or both. Default: both on a GPU, else warm.",
            autocompletion=completion.one_of(("warm", "cold", "both")),
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="At most so many of each. Default: 300 on a GPU, else 20.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            min=0.0,
            help=f"No more than the least number after so long. Default: {GPU_SECONDS:g} on a GPU, else {SECONDS:g}.",
        ),
    ] = None,
    gpu: options.GpuOption = None,
    database: options.DatabaseOption = None,
    untuned: Annotated[
        bool, typer.Option("--untuned", help="Run every algorithm with its default config, whatever was tuned.")
    ] = False,
    resume: ResumeOption = False,
    retry: options.RetryOption = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write an HTML page, and the pictures of both pages (extra `report`).")
    ] = False,
    json_: options.JsonOption = False,
) -> None:
    """Verify, then time what is right, record each result at once, and render a report beside the records."""
    from convbench.records import BegunFile, RecordsFile, latest, read_records
    from convbench.tuning import slug

    if html:
        require_extra()
    how = How(
        cache=cache, samples=samples, seconds=seconds, tuned=not untuned, database=database, predicts=True, gpu=gpu
    )
    harness, chosen, todo = asked.prepare(how)
    path = out / slug(harness.description["name"]) / f"{slug(chosen.name)}{asked.suffix}.jsonl"
    interrupted, lost, start = False, None, time.monotonic()
    with harness:
        with ExitStack() as stack:
            # opened before it is read, so that no other process adds what is then done twice
            file = stack.enter_context(RecordsFile(path))
            begun = BegunFile(path, goes_on=resume or retry is not None)
            careful = stack.enter_context(asked.careful(harness, chosen, how, begun))
            so_far = Resumed(path, careful, todo, retry, goes_on=resume, gpu=gpu)
            try:
                _measure(careful, chosen, so_far, file)
            except KeyboardInterrupt:
                interrupted = True
            except DeviceError as error:
                lost = error
            planned = set(careful.keys(todo))  # a tuned config may have turned out to be of no use
        kept = read_records(path)[0]
        pages = write_pages(kept, path, html=html)
    records = [record for record in latest(read_records(path)[0]) if (*record.key, record.seed) in planned]
    if json_:
        outcomes = {outcome: sum(r.outcome == outcome for r in records) for outcome in {r.outcome for r in records}}
        print(json.dumps({"records": str(path), "report": str(pages[0]), "outcomes": outcomes}))
    else:
        print_markdown(pages[0].read_text(encoding="utf-8"))
        print(f"Records: {path}\nReport:  {pages[0]}")
        print(f"Time:    {time.monotonic() - start:.0f} s, of which compiling took {harness.device.compile_s:.1f} s")
        print("\n".join(["", *_in_short(kept), f"Open {pages[-1].resolve()}"]))
    if interrupted:
        print(
            f"convbench: interrupted; {len(records)} of {len(planned)} results are in {path}, "
            "and the same command with --resume goes on",
            file=sys.stderr,
        )
        raise typer.Exit(INTERRUPTED)
    if lost is not None:
        print(f"convbench: {lost}", file=sys.stderr)
        raise typer.Exit(1)
    finish(records, asked)


def _measure(careful: Careful, chosen: "Workload", so_far: Resumed, file: "RecordsFile") -> None:
    todo, harness = so_far.todo, careful.harness
    results = careful.results("measured", chosen, todo, retries=so_far.retries)
    with progress(results, f"bench on {harness.description['name']}", len(todo), harness.device) as each:
        layers = Layers(len({job.layer.work for job in todo}))
        for _, record in each:
            file.append(record)
            layers.add(record)
        layers.end()


def _in_short(records: "list[Record]") -> list[str]:
    """The sentences that say most about all records of a file: how many results, whether right, and what won."""
    from convbench.report import chapters, summary

    told = summary.summary(chapters.chapters(records))
    first = next((statement.chapter for statement in told if statement.chapter is not None), None)
    return [str(one) for one in told if one.kind in SENTENCES and one.chapter in (None, first)][:3]


def _print_verdicts(rows: list[dict[str, Any]], title: str) -> None:
    """A table for each problem and direction, whose text is too long for a column."""
    parts = [f"# {title}"]
    for work in dict.fromkeys((row["problem"], row["direction"]) for row in rows):
        cells = (
            (
                row["algorithm"], row["outcome"], "yes" if row["exact"] else "–",
                "–" if row["fraction_of_bound"] is None else f"{row['fraction_of_bound']:.3g}", row["reason"] or "–",
            )
            for row in rows if (row["problem"], row["direction"]) == work
        )  # fmt: skip
        header = ["algorithm", "outcome", "exact", "of bound", "reason"]
        problem, direction = work
        heading = problem if direction == "forward" else f"{problem} {direction}"
        parts += [f"## {heading}", markdown_table(header, cells)]
    print_markdown("\n\n".join(parts))
