"""The command `run`: a Numba CUDA program of anybody's, on the emulator."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbench.cli import completion, options
from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.emulator import program

ORDERS = "forward", "reverse", "random"
WITH_VALUE = {
    "--only", "--orders", "--budget", "--compute-capability", "--memory", "--code", "--json", "--junit", "--cache-size",
}  # fmt: skip


class Chosen(BaseException):
    """The program to run. `main` runs it, outside of what surrounds other commands: its streams are its own."""

    def __init__(self, chosen: "program.Program", options: dict[str, Any]) -> None:
        super().__init__()
        self.program, self.options = chosen, options


def run(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="SCRIPT…", help="A script and its arguments.", show_default=False)
    ] = None,
    module: Annotated[str | None, typer.Option("-m", help="Run this module, as `python -m` does.")] = None,
    checked: Annotated[bool, typer.Option("--checked", help="Check every access and every barrier.")] = False,
    strict_index: Annotated[
        bool, typer.Option("--strict-index", help="Take a negative index for a fault. Default: it is a note.")
    ] = False,
    strict_return: Annotated[
        bool,
        typer.Option(
            "--strict-return", help="Take a thread that returns before a barrier for a fault. Default: it is a note."
        ),
    ] = False,
    strict_store: Annotated[
        bool,
        typer.Option(
            "--strict-store", help="Take it for a race that several threads store one value. Default: it is a note."
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on after a fault, and tell all faults at the end.")
    ] = False,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="KERNEL:N", help="Check (or profile) only the N-th launch of a kernel."),
    ] = None,
    orders: Annotated[
        str | None,
        typer.Option(
            "--orders",
            help=f"Orders of threads and blocks in which each launch runs, with commas: {', '.join(ORDERS)}.",
            autocompletion=completion.one_of(ORDERS),
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Steps of loops that a thread may take in one block.")
    ] = None,
    compute_capability: Annotated[
        str | None, typer.Option("--compute-capability", help="Compute capability of the device. Default: 9.0.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory of the device, such as 512MiB. Default: 8GiB.")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            "--code",
            help="What runs: ptx or llvm. Default: ptx where NVIDIA's compiler is installed.",
            autocompletion=completion.one_of(("ptx", "llvm")),
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Count what the warps of each kernel do in its first launch (with --only: in that one), and tell it "
            "at the end.",
        ),
    ] = False,
    cache_size: options.CacheSizeOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write what was found to this file, as JSON.")] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write what was found to this file, as JUnit's XML.")
    ] = None,
) -> None:
    """Run a Numba CUDA program on the emulator, which is the device that it sees.

    The program is a script or a module. Its own arguments follow it, and its exit status and traceback come through.
    """
    from convbench.emulator import program

    given = [*([module] if module is not None else []), *(words or [])]
    if not given:
        raise ConvbenchError("run: name a script, or a module with -m")
    if module is not None and module.startswith("-"):
        raise ConvbenchError(f"run: -m is followed by the name of a module, not by {module}; options come before -m")
    options.keep_cache_within(cache_size)
    how = {
        "checked": checked or None, "strict_index": strict_index or None,
        "strict_return": strict_return or None, "strict_store": strict_store or None, "keep_going": keep_going or None,
        "only": only, "orders": orders, "budget": budget, "compute_capability": compute_capability,
        "memory": memory, "code": code, "profile": profile or None,
    }  # fmt: skip
    raise Chosen(program.Program(given[0], given[1:], is_module=module is not None, json=json, junit=junit), how)


def separated(words: Sequence[str]) -> list[str]:
    """The words of `run`, with `--` before the arguments of a module, which are none of ours."""
    place = 1
    while place < len(words):
        if words[place] == "-m":
            if place + 1 == len(words):
                return list(words[:place])  # no module is named, which `run` tells
            return [*words[: place + 2], "--", *words[place + 2 :]]
        if not words[place].startswith("-"):
            break
        place += 2 if words[place] in WITH_VALUE else 1
    return list(words)
