"""The command `inspect`: what an algorithm's kernels cost on a GPU, read from their machine code without a GPU."""

import json
from pathlib import Path
from typing import Annotated

import typer

from convbench.cli import completion, options
from convbench.cli.output import encoded, print_markdown, write_files
from convbench.cli.progress import progress

# the names in `convbench.inspection.architecture`, repeated here so that completion need not import it
ARCHITECTURES = (
    "sm_75", "sm_80", "sm_86", "sm_87", "sm_88", "sm_89", "sm_90", "sm_100", "sm_103", "sm_110", "sm_120", "sm_121",
)  # fmt: skip


def inspect(
    algorithm: Annotated[str, typer.Argument(help="Name of an algorithm.", autocompletion=completion.algorithms)],
    problem: Annotated[str, typer.Argument(help=options.ONE_PROBLEM)],
    arch: Annotated[
        str,
        typer.Option(
            "--arch",
            help=f"Architecture to compile for: one of {', '.join(ARCHITECTURES)}.",
            autocompletion=completion.one_of(ARCHITECTURES),
        ),
    ] = "sm_90",
    direction: options.DirectionOption = None,
    config: Annotated[
        str, typer.Option("--config", help="Fields that differ from the default config, such as tile=8,splits=4.")
    ] = "",
    sass: Annotated[Path | None, typer.Option("--sass", help="Also write the machine code to this file.")] = None,
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Inspect an algorithm's machine code, without a GPU.

    It shows each kernel's registers, spills and hot loop, and predicts what limits it and the least time it takes.
    """
    from convbench.algorithm import registry
    from convbench.fuzz import FuzzCase, config_of
    from convbench.inspection import architecture, inspector, page

    chosen, (what, asked) = architecture.get(arch), options.one_problem(problem, direction)
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
