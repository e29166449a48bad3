"""The program: its commands by name, and what becomes of their errors."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import typer

from convbench.cli import compare, fuzz, gpu, inform, inspect, measure, report, tune
from convbench.cli.examples import epilog
from convbench.errors import ConvbenchError
from convbench.problem.notation import benchdnn, miopen

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
    "fuzz": fuzz.fuzz,
    "bench": measure.bench,
    "tune": tune.tune,
    "gpu": gpu.gpu,
    "report": report.report,
    "compare": compare.compare,
    "inspect": inspect.inspect,
    "doctor": inform.doctor,
}
for name, command in COMMANDS.items():
    app.command(name, epilog=epilog(name))(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 all is well, 1 something is wrong, 2 the call makes no sense, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    words = [word if before == "--where" else _quoted_flags(word) for before, word in pairwise(["", *given])]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no × shows a ?, and not a traceback
    try:
        try:
            app(words, prog_name="convbench")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where its failure can be told
    except ConvbenchError as error:
        print(f"convbench: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush, at exit
        if not isinstance(error, BrokenPipeError):  # whoever reads has read enough
            print(f"convbench: {error}", file=sys.stderr)
        sys.exit(2)


# options of ours whose text may have a space
_TEXTS = (
    "--where=",
    "--workload=",
    "--out=",
    "--plugin=",
    "--corpus=",
    "--replay=",
    "--database=",
    "--sass=",
    "--config=",
)


def _quoted_flags(word: str) -> str:
    """A driver's flags, one quoted word that starts with a dash, made into one that is no option of ours."""
    if word.startswith("-") and " " in word and not word.startswith(_TEXTS):
        for program, notation in (("conv", miopen), ("benchdnn", benchdnn)):
            if notation.looks_like(word):
                return f"{program} {word}"
    return word
