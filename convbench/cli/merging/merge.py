"""The command `merge`: make one file of several with results, of other machines or of shards."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbench.cli import options
from convbench.cli.merging.kinds import Kind, common_kind, files_of
from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.records import Merged

MOST_TOLD = 10  # conflicts that are told one by one


def merge(
    out: Annotated[
        Path,
        typer.Argument(help="File for the result. If it is there, it is merged, too. Failing cases: or a folder."),
    ],
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="IN…", help="Files to merge, or folders of them. They stay as they are."),
    ],
    json_: options.JsonOption = False,
) -> None:
    """Merge files of records, databases of tuned configs, or corpora of failing cases. The content tells which.

    What is there several times is kept once. All records are kept, in the order in which they were measured; of tuned
    configs those measured last; of failing cases the smallest of each bug. Lines that are no results are named, and the
    exit status is then 2.
    """
    sources = dict.fromkeys(file.resolve() for path in inputs for file in files_of(path))
    names = {file.resolve(): file for path in (*inputs, *_there(out)) for file in files_of(path)}
    paths = list(names.values())
    kind = common_kind(paths)
    if kind != "failing cases" and out.is_dir():
        raise ConvbenchError(f"{out} is a folder; {kind} are merged into a file")
    try:
        told = _merged(kind, paths, [names[place] for place in sources], out)
    except OSError as error:
        raise ConvbenchError(f"{out} cannot be written: {error.strerror}; it is as it was") from error
    _print(told, kind, len(paths), out, json_=json_)
    if told["bad_lines"]:
        raise typer.Exit(2)


def _there(out: Path) -> list[Path]:
    """The result of an earlier call, if there is one."""
    if out.is_dir():
        return [out] if any(out.glob("*.txt")) else []
    return [out] if out.exists() else []


def _merged(kind: Kind, paths: Sequence[Path], sources: Sequence[Path], out: Path) -> dict[str, Any]:
    """Merge, and tell what became of the lines. Raises ConvbenchError, and OSError if `out` cannot be written."""
    if kind == "failing cases":
        return _merged_corpora([path for path in sources if path.resolve() != out.resolve()], out)
    from convbench.records import merge_records, one_writer
    from convbench.tuning import database, merge_entries

    out.parent.mkdir(parents=True, exist_ok=True)
    with one_writer(out, wait_s=0.0 if kind == "records" else database.WAIT_S):
        done: Merged = (merge_records if kind == "records" else merge_entries)(paths, out)
    return {
        "kept": done.kept, "doubled": done.doubled, "explained": 0, "conflicts": done.conflicts,
        "bad_lines": list(map(str, done.bad)),
    }  # fmt: skip


def _merged_corpora(sources: Sequence[Path], out: Path) -> dict[str, Any]:
    from convbench.fuzz import Corpus, KnownCase, distilled

    result = Corpus(out)
    there, faults = result.known()
    cases = list[KnownCase]()
    for path in sources:
        known, wrong = Corpus(path).known()
        cases, faults = cases + known, faults + wrong
    found = distilled(cases, there)
    result.extend(found.new)
    return {
        "kept": len(there) + len(found.new), "doubled": found.doubled, "explained": found.explained, "conflicts": [],
        "bad_lines": list(map(str, faults)),
    }  # fmt: skip


def _print(told: dict[str, Any], kind: Kind, files: int, out: Path, *, json_: bool) -> None:
    for line in told["bad_lines"]:
        print(f"convbench: {line}", file=sys.stderr)
    conflicts = told["conflicts"]
    for sentence in conflicts[:MOST_TOLD]:
        print(f"convbench: {sentence}", file=sys.stderr)
    if len(conflicts) > MOST_TOLD:
        print(f"convbench: and {len(conflicts) - MOST_TOLD} more measurements with several results", file=sys.stderr)
    if json_:
        print(json.dumps({"out": str(out), "kind": kind, "files": files, **told}, indent=1))
        return
    left_out = [
        f"{told['doubled']:,} that say the same as another" if told["doubled"] else "",
        f"{told['explained']:,} of a bug with a smaller case" if told["explained"] else "",
    ]
    print(f"Merged:   {kind} of {files} file{'s' * (files != 1)} into {out}")
    print(f"Kept:     {told['kept']:,}")
    print(f"Left out: {' and '.join(filter(None, left_out)) or 'none'}")
