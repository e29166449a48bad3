"""The command line. `main` is the entry point; each command imports what it needs when it runs, so that `--help`
answers at once.
"""

import io
import os
import sys
from collections.abc import Sequence

import typer

from convbench.cli import fuzz, inform, measure
from convbench.errors import ConvbenchError
from convbench.notation import benchdnn, miopen

app = typer.Typer(
    name="convbench",
    help="Compare, verify and time algorithms for 2-D convolution that are written as Numba CUDA kernels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(inform.list_)
app.command("show")(inform.show)
app.command("verify")(measure.verify)
app.command("fuzz")(fuzz.fuzz)
app.command("bench")(measure.bench)
app.command("report")(inform.report)
app.command("doctor")(inform.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 all is well, 1 something is wrong, 2 the call makes no sense, 130 interrupted."""
    words = [_quoted_flags(word) for word in (sys.argv[1:] if arguments is None else arguments)]
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


def _quoted_flags(word: str) -> str:
    """A driver's flags, one quoted word that starts with a dash, made into one that is no option of ours."""
    if word.startswith("-") and " " in word:
        for program, notation in (("conv", miopen), ("benchdnn", benchdnn)):
            if notation.looks_like(word):
                return f"{program} {word}"
    return word
