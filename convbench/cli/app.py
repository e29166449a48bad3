"""The program `convbench`: its commands by name, and how their errors are reported."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NoReturn

import typer

from convbench.cli import (
    cache,
    claims,
    compare,
    fuzzing,
    gpu,
    inform,
    inspect,
    measure,
    merging,
    profile,
    report,
    run,
    streams,
    tune,
)
from convbench.cli.examples import epilog
from convbench.errors import ConvbenchError, message_of
from convbench.interrupts import CLOSED_PIPE, as_ctrl_c
from convbench.problem.notation import benchdnn, cutlass, miopen

app = typer.Typer(
    name="convbench",
    help="Compare, verify and time algorithms for 2-D convolution that are written as Numba CUDA kernels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "list": inform.list_,
    "show": inform.show,
    "verify": measure.verify,
    "fuzz": fuzzing.fuzz,
    "bench": measure.bench,
    "tune": tune.tune,
    "gpu": gpu.gpu,
    "report": report.report,
    "compare": compare.compare,
    "merge": merging.merge,
    "inspect": inspect.inspect,
    "profile": profile.profile,
    "doctor": inform.doctor,
    "cache": cache.cache,
    "run": run.run,
}
for name, command in COMMANDS.items():
    # what follows the script of `run` belongs to the script
    settings = {"allow_interspersed_args": False} if name == "run" else None
    app.command(name, epilog=epilog(name), context_settings=settings)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status.

    The status is 0 if all is well, 1 if something is wrong, 2 if the call makes no sense, 130 after an interruption,
    and 141 if nobody reads the output any more.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["run"]:
        _run_program(run.separated(given))
        return
    words = [word if before == "--where" else _quoted_flags(word) for before, word in pairwise(["", *given])]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal whose encoding lacks × shows ?, not a traceback
    with streams.guarded(only_json="--json" in words):
        _run(words)


def _run_program(words: list[str]) -> None:
    """The command `run`: the program runs outside of the guards around messages, because its streams are its own."""
    try:
        with streams.guarded(only_json=False):
            _run(words)
    except run.Chosen as chosen:
        program, options = chosen.program, chosen.options
    from convbench.emulator import program as programs

    programs.run(program, options)


def _run(words: list[str]) -> None:
    """Run a command, and show an error that a user caused as a message."""
    try:
        with as_ctrl_c(), claims.until_the_end():
            try:
                app(words, prog_name="convbench")
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # at exit, an error could no longer be reported
    except ConvbenchError as error:
        print(f"convbench: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # Typer makes it an exit with status 1
            _end_without_output(ended.__context__)
        raise
    except OSError as error:
        _end_without_output(error)


def _end_without_output(error: OSError) -> NoReturn:
    """Exit after an output could not be written. A closed pipe is no error: its reader has read enough."""
    closed = isinstance(error, BrokenPipeError)
    with suppress(OSError):  # a terminal that is gone takes no message, either
        if not closed:
            print(f"convbench: {error}", file=sys.stderr)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if closed else (sys.stdout,):
        with suppress(OSError, AttributeError):
            os.dup2(nowhere, stream.fileno())  # so that the flush at exit succeeds
    sys.exit(CLOSED_PIPE if closed else 2)


# options whose value may contain a space: a word that starts with one of them is never a driver's flags
_TEXTS = (
    "--where=",
    "--workload=",
    "--shard=",
    "--out=",
    "--plugin=",
    "--corpus=",
    "--replay=",
    "--database=",
    "--sass=",
    "--csv=",
    "--compare=",
    "--config=",
)


def _quoted_flags(word: str) -> str:
    """Put the driver's name before its quoted flags; return any other word as it is.

    Quoted flags are one word that starts with a dash. Without the name, the parser would take them for an option.
    """
    if word.startswith("-") and " " in word and not word.startswith(_TEXTS):
        for program, notation in (("cutlass_profiler", cutlass), ("conv", miopen), ("benchdnn", benchdnn)):
            if notation.looks_like(word):
                return f"{program} {word}"
    return word
