"""The command `profile`: what an algorithm's kernels do on a GPU, counted without one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import completion, options
from convbench.cli.inspect import ARCHITECTURES
from convbench.cli.output import encoded, print_markdown, require_extra, write_files
from convbench.errors import ConvbenchError

MOST_DIGITS = 9  # of a number of blocks

if TYPE_CHECKING:
    from convbench.profiling import Blocks


def profile(
    algorithm: Annotated[str, typer.Argument(help="Name of an algorithm.", autocompletion=completion.algorithms)],
    problem: Annotated[str, typer.Argument(help=options.ONE_PROBLEM)],
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            help=f"GPU whose time is predicted: one of {', '.join(options.GPUS)}, or a TOML file with its figures. "
            "Default: h200.",
            autocompletion=completion.one_of(options.GPUS),
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch",
            help=f"Architecture to compile for, if no time is to be predicted: one of {', '.join(ARCHITECTURES)}. "
            "Default: that of the GPU.",
            autocompletion=completion.one_of(ARCHITECTURES),
        ),
    ] = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="About how many blocks of each grid are run and counted, or all.")
    ] = "32",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the choice of blocks, and of the operands.")] = 0,
    direction: options.DirectionOption = None,
    config: Annotated[
        str, typer.Option("--config", help="Fields that differ from the default config, such as tile=8,splits=4.")
    ] = "",
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write a table by line to this CSV file.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page with counters beside each line of the source (extra `report`)."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="Show the counts beside those of a CSV file of Nsight Compute (ncu --csv)."),
    ] = None,
    sass: Annotated[
        bool, typer.Option("--sass", help="Check the counts of the hot loop against the machine code.")
    ] = False,
    plugin: options.PluginOption = None,
    cache_size: options.CacheSizeOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Profile an algorithm's kernels, without a GPU.

    It counts, for each line, the instructions of warps, the wavefronts of shared memory and the sectors of global
    memory, and marks bank conflicts and uncoalesced accesses. It predicts the time on a GPU, and what limits it.
    """
    from convbench import profiling
    from convbench.algorithm import registry
    from convbench.fuzz import FuzzCase, config_of
    from convbench.inspection import architecture

    wanted = _blocks(blocks)
    if html is not None:
        require_extra()
    if arch is not None and gpu is not None:
        raise ConvbenchError(f"--arch {arch} and --gpu {gpu} exclude each other: a GPU has its own architecture")
    chip = None if arch is not None else profiling.chip(gpu or "h200")
    chosen = architecture.get(arch or (chip.architecture if chip else ""))
    what, asked = options.one_problem(problem, direction)
    if seed < 0:
        raise ConvbenchError(f"--seed {seed} is negative; it is a whole number, at least 0")
    options.keep_cache_within(cache_size)
    options.load_plugins(plugin)
    by = registry.get(algorithm)
    case = FuzzCase(algorithm=by.name, direction=asked, problem=what, kind="uniform", seed=0, config=config)
    given = config_of(by, case) if config and by.refuses(what, asked) is None else None
    theirs = None if compare is None else profiling.read_profile(compare)  # a wrong file is told before the profile
    found = profiling.profile_plan(by, what, asked, chosen, given, blocks=wanted, seed=seed, chip=chip)
    times = None if chip is None else profiling.predict_plan(found, chip)
    checked = profiling.machine_code.check(found) if sass else None
    beside = "" if compare is None else profiling.compared(profiling.counts_by_kernel(found), compare)
    if csv is not None:
        write_files({csv: encoded(profiling.to_csv(found))})
    if html is not None:
        from convbench.profiling.web import html as pages

        write_files({html: encoded(pages.to_html(found, times))})
    if json_:
        told = profiling.to_json(found, times)
        if theirs is not None:
            told["counts_of_nsight_compute"] = theirs
        if checked is not None:
            told["machine_code"] = [asdict(row) for row in checked]
        print(json.dumps(told, indent=1))
    else:
        print_markdown(profiling.to_markdown(found, times))
        if checked is not None:
            print_markdown(profiling.machine_code.to_markdown(checked))
        if beside:
            print_markdown(f"## Beside {compare}\n\n{beside}")


def _blocks(text: str) -> "Blocks":
    if text == "all":
        return "all"
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise ConvbenchError(f"--blocks {text!r} is neither a whole number, at least 1, nor all")
    if len(text) > MOST_DIGITS:
        raise ConvbenchError(f"--blocks {text} is more than any profile can run: write all, which runs every block")
    return int(text)
