"""The command `gpu`: a survey of the GPU within a time, into one folder."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from convbench.cli import options
from convbench.cli.asked import Asked, How
from convbench.cli.measure import INTERRUPTED
from convbench.cli.output import print_markdown
from convbench.cli.progress import progress


def gpu(
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the files, at most eight; those of before are replaced.")
    ],
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="For everything. What there is no time for is named.")
    ] = 520.0,
    workload: Annotated[
        str, typer.Option("--workload", help="What is timed: a named workload, or a file as for bench.")
    ] = "standard",
    batch: options.BatchOption = None,
    where: options.WhereOption = None,
    algorithm: options.AlgorithmOption = None,
    check: Annotated[
        list[str] | None, typer.Option("--check", help="A problem to check on, instead of ours; may be repeated.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Default: cuda. The emulator is for a trial of the command itself.")
    ] = "cuda",
    database: options.DatabaseOption = None,
    seed: options.SeedOption = 0,
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Check every algorithm, time the standard layers beside cuDNN, and say how they compare. Minutes, on a GPU.

    Exit status 1 if anything is wrong or failed.
    """
    from convbench import devices
    from convbench.measurement import Effort
    from convbench.problem.notation import parse
    from convbench.survey import EFFORT, PAGE, PROBLEMS, Orders, Survey

    asked = Asked(workload=workload, batch=batch, where=where, algorithm=algorithm)
    chosen = asked.layers()
    options.load_plugins(plugin)
    names = tuple(one.name for one in asked.algorithms()) if algorithm else None
    problems = tuple(str(parse(text)) for text in check) if check else PROBLEMS
    place = devices.select(device)
    configs = How(tuned=True, database=database).configs(place)
    survey = Survey(
        place,
        Orders(
            out=out, workload=chosen, seconds=seconds, seed=seed, algorithms=names, problems=problems,
            effort=EFFORT if place.is_gpu else replace(Effort.for_device(place), maximum=6, max_seconds=0.1),
            database=configs.path if configs is not None and configs.entries else None,
            prepare=partial(options.load_plugins, plugin),
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
