"""The command `inspect`: kernels judged without a GPU."""

import json
from pathlib import Path
from typing import Annotated

import typer

from convbench.cli import completion, options
from convbench.cli.output import encoded, print_markdown, write_files
from convbench.cli.progress import progress

# of `convbench.inspection.architecture`, which a shell's completion need not import
ARCHITECTURES = "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"


def inspect(
    algorithm: Annotated[str, typer.Argument(help="An algorithm by name.", autocompletion=completion.algorithms)],
    problem: Annotated[str, typer.Argument(help="A problem, in any of the three notations.")],
    arch: Annotated[
        str,
        typer.Option(
            "--arch",
            help=f"What to compile for: {', '.join(ARCHITECTURES)}.",
            autocompletion=completion.one_of(ARCHITECTURES),
        ),
    ] = "sm_90",
    direction: options.DirectionOption = "forward",
    config: Annotated[
        str, typer.Option("--config", help="The fields that differ from the default config's: tile=8,splits=4.")
    ] = "",
    sass: Annotated[Path | None, typer.Option("--sass", help="Write the machine code to this file as well.")] = None,
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """An algorithm's kernels as machine code, without a GPU: registers, spills, hot loop, predicted bound and time."""
    from convbench.algorithm import registry
    from convbench.fuzz import FuzzCase, config_of
    from convbench.inspection import architecture, inspector, page
    from convbench.problem.notation import parse

    chosen, asked, what = architecture.get(arch), options.direction(direction), parse(problem)
    options.load_plugins(plugin)
    by = registry.get(algorithm)
    case = FuzzCase(algorithm=by.name, direction=asked, problem=what, kind="uniform", seed=0, config=config)
    given = config_of(by, case) if config and by.refuses(what, asked) is None else None
    groups = inspector.planned(by, what, asked, chosen, given)
    with progress(groups, "compiling", len(groups)) as steps:
        found = inspector.inspect(by, what, asked, chosen, given, steps)
    if sass is not None:
        write_files({sass: encoded("\n".join(kernel.text for kernel in found.kernels))})
    if json_:
        print(json.dumps(page.to_json(found), indent=1))
    else:
        print_markdown(page.to_markdown(found))
