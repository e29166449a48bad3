"""The command `gpu`: survey a GPU within a given time, and write the results into one folder."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from convbench.cli import options
from convbench.cli.asked import Asked, How, Isolation
from convbench.cli.claims import claim_gpu
from convbench.cli.output import print_markdown
from convbench.cli.progress import progress
from convbench.interrupts import INTERRUPTED


def gpu(
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for the results, at most eight files. Older results there are replaced."),
    ],
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", min=1.0, help="Time for the whole survey. Work that does not fit is left out and named."
        ),
    ] = 520.0,
    workload: Annotated[
        str, typer.Option("--workload", help="Layers to time: a named workload, or a file as for bench.")
    ] = "standard",
    input_: options.InputOption = None,
    batch: options.BatchOption = None,
    where: options.WhereOption = None,
    strict: options.StrictOption = False,
    algorithm: options.AlgorithmOption = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", help="Check the algorithms on this problem, not on the usual ones. May be repeated."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Device to survey. Use the emulator only to try the command itself.")
    ] = "cuda",
    database: options.DatabaseOption = None,
    seed: options.SeedOption = 0,
    plugin: options.PluginOption = None,
    cache_size: options.CacheSizeOption = None,
    isolation: options.IsolationOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Check every algorithm, then time the standard layers and compare the algorithms with cuDNN.

    On a GPU this takes minutes. Exit status 1 if anything is wrong or failed.
    """
    from convbench import devices
    from convbench.measurement import Effort
    from convbench.problem.notation import parse
    from convbench.survey import EFFORT, PAGE, PROBLEMS, RUN_S, Orders, Survey

    asked = Asked(workload=workload, input_=input_, batch=batch, where=where, strict=strict, algorithm=algorithm)
    chosen = asked.layers()
    options.keep_cache_within(cache_size)
    options.load_plugins(plugin)
    names = tuple(one.name for one in asked.algorithms()) if algorithm else None
    problems = tuple(str(parse(text)) for text in check) if check else PROBLEMS
    claim_gpu(device)
    place = devices.select(device)
    configs = How(tuned=True, database=database).configs(place)
    survey = Survey(
        place,
        Orders(
            out=out, workload=chosen, seconds=seconds, seed=seed, algorithms=names, problems=problems,
            effort=EFFORT if place.is_gpu else replace(Effort.for_device(place), maximum=6, max_seconds=0.1),
            database=configs.path if configs is not None and configs.entries else None,
            prepare=partial(options.load_plugins, plugin),
            isolated=Isolation(mode=isolation, plugins=bool(plugin)).limits(place, chosen, RUN_S) is not None,
        ),
    )  # fmt: skip
    try:
        with progress(survey.run(), f"survey of {survey.description['name']}", len(survey.tasks()), place) as each:
            for _ in each:
                pass
    except KeyboardInterrupt:
        print(f"convbench: interrupted; what was found is in {out}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if json_:
        print((out / "environment.json").read_text(encoding="utf-8"), end="")
    else:
        print_markdown((out / PAGE).read_text(encoding="utf-8"))
    if survey.failures:
        print(f"convbench: {survey.failures} results are wrong or failed", file=sys.stderr)
        raise typer.Exit(1)
