"""The output of `convbench fuzz`: each finding as it comes, a progress bar, and a summary at the end."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from convbench.cli.output import print_markdown
from convbench.cli.streams import message, visible
from convbench.errors import ConvbenchError
from convbench.report import markdown_table

if TYPE_CHECKING:
    from convbench.fuzz import Corpus, Finding, FuzzCase, Orders, Tally

UNSEEN = 4  # pairs of axes that no case covered: how many of them the summary names


class Report:
    """The report of one call on standard output: text while it runs or, with `quiet`, only JSON at its end."""

    def __init__(
        self, orders: "Orders", corpus: "Corpus", plugins: Sequence[str], tally: "Tally", *, quiet: bool
    ) -> None:
        self.orders, self.corpus, self.plugins, self.tally, self.quiet = orders, corpus, plugins, tally, quiet
        self.from_corpus: set[FuzzCase] = set()

    def found(self, finding: "Finding", from_corpus: bool) -> None:
        """Save a finding, unless it came from the corpus, and print it. Raises ConvbenchError if it is not saved."""
        known, unsaved = "in the corpus", None
        if from_corpus:
            self.from_corpus.add(finding.case)
        else:
            known = f"saved in {self.corpus.path}"
            try:
                self.corpus.add(finding)
            except ConvbenchError as error:  # the finding is shown all the same
                known, unsaved = "not saved", error
        if not self.quiet:
            small = "" if finding.shrunk or from_corpus else ", not shrunk to the end"
            explanation = f"\n  {message(finding.explanation)}" if finding.explanation else ""
            calls = len(finding.before)
            before = f"\n  after   {calls} other call{'s' * (calls != 1)}, which the command repeats" if calls else ""
            print(
                f"FAILED {visible(str(finding.cause))}\n  {message(finding.reason)}{explanation}\n"
                f"  case    {finding.case}{before}\n"
                f"  repeat  {self.command(finding)}\n  {known}{small}\n",
                flush=True,
            )
        if unsaved is not None:
            raise unsaved

    def printed(self, text: str) -> None:
        """Print what an algorithm has printed in its process; with `quiet`, on standard error."""
        if text:
            print(visible(text), file=sys.stderr if self.quiet else sys.stdout, end="", flush=True)

    def command(self, finding: "Finding") -> str:
        """The command that repeats a finding."""
        if finding.cause.fault == "depends on calls before it" and not finding.before:
            return self._whole_command(finding.cause.algorithm)
        return repeat_command([*finding.before, finding.case], self.orders.device, self.plugins)

    def _whole_command(self, algorithm: str) -> str:
        """The command that draws the same cases of an algorithm in the same order."""
        orders = self.orders
        words = ["--algorithm", algorithm, "--seed", orders.seed, "--jobs", orders.jobs]
        words += ["--examples", max(1, self.tally.total.cases * orders.jobs)]
        return shlex.join([*_command(orders.device, self.plugins), *map(str, words)])

    def finish(self, *, interrupted: bool) -> None:
        """Print the summary."""
        if self.quiet:
            print(json.dumps(self._as_json(interrupted=interrupted), indent=1))
            return
        tally, orders = self.tally, self.orders
        seen, possible = tally.covered
        total = tally.total
        rows = [
            (
                name, f"{one.cases:,}", f"{one.refused:,}",
                str(sum(finding.cause.algorithm == name for finding in tally.findings)),
                "–" if one.fraction is None else f"{one.fraction:.3g}",
            )
            for name, one in tally.figures.items()
        ]  # fmt: skip
        if rows:
            print_markdown(markdown_table(["algorithm", "cases", "refused", "failures", "largest of bound"], rows))
            print()
        print(f"Cases:    {total.cases:,} of seed {orders.seed} on {orders.device}, in {tally.elapsed_s:.0f} s", end="")
        print(f"; {tally.replayed} of the corpus first" if tally.replayed else "")
        print(
            f"Speed:    {tally.rate:.1f} a second and job; compiling took {total.compile_s:.1f} s more"
            f", {orders.jobs} job{'s' * (orders.jobs > 1)}"
        )
        print(f"Coverage: {seen:,} of {possible:,} pairs of axes ({seen / max(1, possible):.1%})")
        for axis, value, other, its in tally.unseen(UNSEEN):
            print(f"          not seen: {axis} {value} with {other} {its}")
        without = tally.without_case
        for reason in dict.fromkeys(without.values()):
            names = ", ".join(name for name, its in without.items() if its == reason)
            print(f"No case:  {names} ({reason})")
        failures = len(tally.findings)
        print(f"Failures: {failures or 'none'}{', of distinct causes' * (failures > 1)}")
        if interrupted:
            print("convbench: interrupted; what was found is kept", file=sys.stderr)

    def _as_json(self, *, interrupted: bool) -> dict[str, Any]:
        tally, orders, total = self.tally, self.orders, self.tally.total
        seen, possible = tally.covered
        return {
            "seed": orders.seed, "jobs": orders.jobs, "device": orders.device, "directions": orders.directions,
            "cases": total.cases, "refused": total.refused, "replayed": tally.replayed, "seconds": tally.elapsed_s,
            "compile_s": total.compile_s, "cases_per_second_and_job": tally.rate, "interrupted": interrupted,
            "lost": tally.lost, "corpus": str(self.corpus.path),
            "coverage": {"seen": seen, "possible": possible, "unseen": tally.unseen(UNSEEN)},
            "algorithms": {
                name: {"cases": one.cases, "refused": one.refused, "largest_fraction_of_bound": one.fraction}
                for name, one in tally.figures.items()
            },
            "without_case": tally.without_case,
            "failures": [
                {
                    "cause": finding.cause._asdict(), "reason": finding.reason,
                    "explanation": finding.explanation, "case": str(finding.case),
                    "before": list(map(str, finding.before)),
                    "from_corpus": finding.case in self.from_corpus,
                    "shrunk": finding.shrunk or finding.case in self.from_corpus,
                    "repeat": self.command(finding),
                }
                for finding in tally.findings
            ],
        }  # fmt: skip


def repeat_command(cases: "Sequence[FuzzCase]", device: str, plugins: Sequence[str]) -> str:
    """The command that runs cases again, in their order."""
    replays = (word for case in cases for word in ("--replay", str(case)))
    return shlex.join([*_command(device, plugins), *replays])


def _command(device: str, plugins: Sequence[str]) -> list[str]:
    return ["convbench", "fuzz", *(word for plugin in plugins for word in ("--plugin", plugin)), "--device", device]


@contextmanager
def live(orders: "Orders", tally: "Tally") -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal, and yield the function that updates it. Elsewhere nothing is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as progress:  # fmt: skip
        task = progress.add_task(f"fuzzing on {orders.device}", total=1.0, told="")

        def show() -> None:
            seen, possible = tally.covered
            total, failures = tally.total, len(tally.findings)
            parts = (
                tally.elapsed_s / orders.seconds if orders.seconds else 0.0,
                total.cases / orders.examples if orders.examples else 0.0,
            )
            told = f"{total.cases:,} cases, {tally.rate * orders.jobs:.0f}/s ({total.compile_s:.0f} s compiling)"
            told += f", {seen / max(1, possible):.0%} of pairs, {failures} failure{'s' * (failures != 1)}"
            progress.update(task, completed=max(parts), told=told + ", shrinking" * (tally.shrinking > 0))

        yield show
