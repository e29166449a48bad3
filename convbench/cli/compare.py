"""The command `compare`: which measurements of two sets of records got faster, slower or wrong."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import options
from convbench.cli.output import print_markdown
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean
from convbench.problem import DIRECTIONS
from convbench.records import CACHES, Cache

if TYPE_CHECKING:
    from convbench.records import Record

UNDECIDED = 3  # the exit status with --strict

OldArgument = Annotated[Path, typer.Argument(metavar="OLD", help="Old records: a .jsonl file, or a folder of them.")]
NewArgument = Annotated[Path, typer.Argument(metavar="NEW", help="New records: a .jsonl file, or a folder of them.")]
ThresholdOption = Annotated[
    str, typer.Option("--threshold", metavar="PERCENT", help="Smallest change that counts, such as 3% or 0.03.")
]
DirectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--direction",
        help=f"Only these of {', '.join(DIRECTIONS)}. Separate them with commas, or repeat the option. Default: all.",
    ),
]
CacheOption = Annotated[
    str | None, typer.Option("--cache", help="Only samples taken with a warm or a cold cache. Default: both.")
]
AcrossOption = Annotated[
    bool,
    typer.Option(
        "--across-devices", help="Compare different devices with each other, even emulated times with real ones."
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help=f"Exit with status {UNDECIDED} if something is undecided and nothing got worse."),
]


def compare(
    old: OldArgument,
    new: NewArgument,
    threshold: ThresholdOption = "3%",
    algorithm: options.AlgorithmOption = None,
    direction: DirectionsOption = None,
    cache: CacheOption = None,
    across_devices: AcrossOption = False,
    strict: StrictOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Compare two sets of records. Each measurement is faster, slower, the same or undecided.

    A measurement is faster or slower if its median changed by at least the threshold and noise does not explain the
    change, however many comparisons there are. It is the same if the change lies within the threshold for certain. A
    result is broken if it passed in OLD, and is wrong or crashes in NEW.

    To compare two commits, measure one with `convbench bench --workload resnet50 --out before` and the other with
    `--out after`. Then run `convbench compare before after`.

    Exit status: 0 if nothing got worse; 1 if something is slower or broken; 2 if the call makes no sense or a file has
    lines that are not records; 3 if something is undecided, with --strict.
    """
    asked = _fraction(threshold)
    caches = CACHES if cache is None else (_cache(cache),)
    directions = [options.direction(name) for name in ",".join(direction).split(",")] if direction else None

    from convbench.records import comparison, read_all
    from convbench.report import comparison_page

    (before, bad_before), (after, bad_after) = read_all(old), read_all(new)
    for line in (bad := [*bad_before, *bad_after]):
        print(f"convbench: {line}", file=sys.stderr)
    names = _known_algorithms(algorithm, [*before, *after])
    sides = [
        [
            record
            for record in records
            if record.algorithm in names and (directions is None or record.direction in directions)
        ]
        for records in (before, after)
    ]
    compared = comparison.compare(*sides, threshold=asked, across_devices=across_devices, caches=caches)
    if json_:
        print(json.dumps(comparison_page.to_data(compared), indent=1, ensure_ascii=False))
    else:
        print_markdown(comparison_page.to_markdown(compared, old=str(old), new=str(new)))
    if not compared.comparisons and not compared.outcomes:
        raise ConvbenchError("nothing was compared: no measurement has times, or another outcome, on both sides")
    if bad:
        raise typer.Exit(2)
    if compared.has_regression:
        raise typer.Exit(1)
    if strict and compared.counts["undecided"]:
        raise typer.Exit(UNDECIDED)


def _fraction(text: str) -> float:
    """Read a threshold, such as 3% or 0.03."""
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(%?)\s*", text, re.ASCII)
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value < 1:
        raise ConvbenchError(f"threshold {text!r} is not above 0 and below 100 %; write 3% or 0.03, for example")
    return value


def _cache(text: str) -> Cache:
    for known in CACHES:
        if text == known:
            return known
    raise UnknownNameError(f"cache {text!r} is unknown; there are {', '.join(CACHES)}{did_you_mean(text, CACHES)}")


def _known_algorithms(asked: list[str] | None, records: "Sequence[Record]") -> set[str]:
    """The algorithms that were asked for, or all. Raises UnknownNameError for one that no record has."""
    known = {record.algorithm for record in records}
    wanted = set(",".join(asked).split(",")) if asked else known
    if unknown := sorted(wanted - known):
        like, present = did_you_mean(unknown[0], known), ", ".join(sorted(known)) or "none"
        raise UnknownNameError(f"no record is of {', '.join(unknown)}; there are {present}{like}")
    return wanted
