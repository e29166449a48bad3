"""The command `fuzz`: run random cases until one fails, or until a limit is reached."""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import options
from convbench.cli.claims import claim_gpu
from convbench.cli.fuzzing.cluster import device_name, on_cluster
from convbench.cli.fuzzing.outcome import Report, live
from convbench.cli.streams import message, visible
from convbench.errors import ConvbenchError
from convbench.interrupts import INTERRUPTED
from convbench.problem import DIRECTIONS

if TYPE_CHECKING:
    from convbench.devices import Device
    from convbench.fuzz import Hire, Orders, Tally

DEFAULT_SECONDS = 60.0

SecondsOption = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        help="Stop after so many seconds. A failure found by then is still shrunk. Default: 60 without --examples.",
    ),
]
ExamplesOption = Annotated[int | None, typer.Option("--examples", min=1, help="Stop after so many cases.")]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of the cases. The same seed and number of jobs give the same cases."),
]
DirectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--direction", help="Only these directions. Separate them with commas, or repeat the option. Default: all."
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        help="Number of processes. Each draws its own cases from the same seed. Default: 1; with --cluster, as many as "
        "it does at once.",
    ),
]
KeepGoingOption = Annotated[
    bool, typer.Option("--keep-going", help="Go on after a failure, and collect failures with other causes.")
]
FuzzDeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="One of cuda, emulator, emulator-llvm, emulator-checked, simulator. Default: the GPU if there is one, "
        "else emulator-checked.",
    ),
]
CorpusOption = Annotated[
    Path,
    typer.Option(
        "--corpus",
        help="File of known cases, or a folder that exists, with a file for each case. They run first, and new "
        "failures are added to it.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="Seconds that a case may take before its process is ended. Default: from the size of the case.",
    ),
]
ReplayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        help="Run only this case, a line of a corpus. Repeat the option to run several in their order, in one process.",
    ),
]


def fuzz(
    seconds: SecondsOption = None,
    examples: ExamplesOption = None,
    seed: SeedOption = 0,
    algorithm: options.AlgorithmOption = None,
    direction: DirectionsOption = None,
    jobs: JobsOption = None,
    keep_going: KeepGoingOption = False,
    device: FuzzDeviceOption = None,
    plugin: options.PluginOption = None,
    cache_size: options.CacheSizeOption = None,
    timeout: TimeoutOption = None,
    memory: options.MemoryOption = None,
    cluster: options.ClusterOption = None,
    corpus: CorpusOption = Path("fuzz_corpus.txt"),
    replay: ReplayOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Run random cases until one fails. It is shrunk, saved, and printed with the command that repeats it.

    Exit status 1 if a case failed, or if an algorithm had no case.
    """
    options.keep_cache_within(cache_size)
    if replay:
        others = seconds, examples, seed, algorithm, direction, jobs, keep_going, timeout, memory, cluster
        if others != (None, None, 0, None, None, None, False, None, None, None):
            fit = "--device, --plugin, --cache-size and --json"
            raise ConvbenchError(f"--replay runs one case as it is; only {fit} go with it")
        _replay(replay, device, plugin, json_)
        return
    if seconds is not None and not seconds > 0:
        raise ConvbenchError(f"--seconds is {seconds:g}; it must be more than 0")
    if timeout is not None and not timeout > 0:
        raise ConvbenchError(f"--timeout is {timeout:g}; it must be more than 0")
    from convbench.algorithm import registry
    from convbench.crew import default_bytes, parse_size
    from convbench.fuzz import Corpus, Orders, Tally

    options.load_plugins(plugin)
    directions = tuple(dict.fromkeys(map(options.direction, _words(direction) or DIRECTIONS)))
    algorithms = [registry.get(name) for name in _words(algorithm)] or options.available_algorithms()
    file = Corpus(corpus)
    file.require_writable()
    names = tuple(algorithm.name for algorithm in algorithms)
    known = [case for case in file.cases() if case.algorithm in names and case.direction in directions]
    orders = Orders(
        algorithms=names, directions=directions,
        device=_device(device).name if cluster is None else device_name(device),
        prepare=partial(options.load_plugins, plugin), seed=seed, jobs=jobs or 1, corpus=tuple(known),
        examples=examples, seconds=DEFAULT_SECONDS if seconds is None and examples is None else seconds,
        keep_going=keep_going, timeout_s=timeout, memory=None if memory is None else parse_size(memory),
    )  # fmt: skip
    if cluster is None:
        hire = None
        orders = replace(orders, memory=orders.memory or default_bytes(orders.jobs + 1))
    else:
        orders, hire = on_cluster(cluster, orders, plugin, jobs, cache_size)
    tally = Tally(algorithms=names)
    report = Report(orders, file, plugin or [], tally, quiet=json_)
    tally.found = report.found
    interrupted = _run(orders, tally, report, hire)
    report.finish(interrupted=interrupted)
    # without --algorithm, nobody expects a case of an algorithm that cannot have one
    missing = [name for name, reason in tally.without_case.items() if algorithm or reason != tally.UNABLE]
    _exit(tally, missing, interrupted=interrupted)


def _run(orders: "Orders", tally: "Tally", report: "Report", hire: "Hire | None") -> bool:
    """Run the jobs to their end, and return whether they were interrupted."""
    from convbench.fuzz import Found, Jobs

    with Jobs(orders, hire) as jobs, live(orders, tally) as show, _interrupts_noted() as interrupted:
        deadline, stopped = inf, False
        try:
            for told in jobs.messages():
                if told is not None:
                    job, message, output = told
                    tally.take(job, message)
                    report.printed(output)
                    if isinstance(message, Found) and message.final:
                        jobs.tell(message.finding)
                    if isinstance(message, Found) and not orders.keep_going and not stopped:
                        jobs.stop(but=job)  # this one shrinks its failure, and ends
                        stopped = True
                show()
                if interrupted.is_set() and deadline == inf:
                    jobs.stop()
                    deadline = time.monotonic() + Jobs.STOP_S
                if time.monotonic() > deadline:
                    break
        finally:
            tally.finish()
    return interrupted.is_set()


@contextmanager
def _interrupts_noted() -> Iterator[threading.Event]:
    """Have Ctrl-C set an event instead of raising, so that it breaks off no message between two processes."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield noted
        return
    usual = signal.signal(signal.SIGINT, lambda *_: noted.set())
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, usual)


def _replay(lines: list[str], device: str | None, plugin: list[str] | None, json_: bool) -> None:
    """Run cases in their order in one process: a worker's with plugins or on a GPU, else this one."""
    from convbench.algorithm import registry
    from convbench.crew import default_bytes
    from convbench.fuzz import FuzzCase, judge_in_order, replayed

    cases = [FuzzCase.read(line) for line in lines]
    options.load_plugins(plugin)
    for case in cases:
        registry.get(case.algorithm)  # an unknown name is told before anything is run
    chosen, told, passed = _device(device), [], True
    if plugin or chosen.is_gpu:
        results = replayed(cases, chosen.name, partial(options.load_plugins, plugin), memory=default_bytes())
    else:
        verdicts = judge_in_order(cases, registry.get, chosen, whole=True)
        results = ((case, verdict, "") for case, verdict in zip(cases, verdicts, strict=True))
    for case, verdict, output in results:
        passed &= verdict.outcome == "passed"
        told.append(
            {
                "case": str(case), "device": chosen.name, "outcome": verdict.outcome, "reason": verdict.reason,
                "cause": verdict.cause and str(verdict.cause), "fraction_of_bound": verdict.fraction,
                "samples": verdict.samples,
            }
        )  # fmt: skip
        if output:
            print(visible(output), file=sys.stderr if json_ else sys.stdout, end="", flush=True)
        if not json_:
            used = "" if verdict.fraction is None else f", {verdict.fraction:.3g} of the bound"
            if verdict.samples is not None:
                used += f", compared at {verdict.samples} elements that seed {case.seed} chose"
            print(f"{case}\n{verdict.outcome} on {chosen.name}{used}")
            if verdict.reason:
                print(message(verdict.reason))
    if json_:
        print(json.dumps(told[0] if len(told) == 1 else told))
    if not passed:
        raise typer.Exit(1)


def _exit(tally: "Tally", missing: list[str], *, interrupted: bool) -> None:
    """Say on standard error what is not all right, and exit. `missing` are the algorithms that had to have a case."""
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    for lost in tally.lost:
        print(f"convbench: {lost}", file=sys.stderr)
    if tally.findings or tally.lost:
        raise typer.Exit(1)
    if not tally.total.cases and not tally.replayed and tally.all_refused:
        print("convbench: nothing was run, for all was refused", file=sys.stderr)
        raise typer.Exit(1)
    if missing or not tally.total.cases:
        missing = missing or list(tally.without_case)
        print(
            f"convbench: {len(missing)} of {len(tally.algorithms)} algorithms had no case, so nothing is known about "
            f"them: {', '.join(missing)}. Give more with --seconds or --examples, or choose with --algorithm",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def _words(asked: list[str] | None) -> list[str]:
    return list(dict.fromkeys(",".join(asked).split(","))) if asked else []


def _device(name: str | None) -> "Device":
    """The device that was asked for; without a name, the GPU if there is one, else the checked emulator.

    The command has a GPU for itself from here on.
    """
    from convbench import devices

    claim_gpu(name)
    device = devices.select(name)
    return devices.select("emulator-checked") if name is None and not device.is_gpu else device
