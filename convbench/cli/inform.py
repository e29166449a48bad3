"""The commands that tell: `list`, `show`, `report`, `doctor`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import options
from convbench.cli.output import print_markdown, write_page
from convbench.tables import markdown_table

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm
    from convbench.problem import ConvProblem, Direction


def list_(plugin: options.PluginOption = None, json_: options.JsonOption = False) -> None:
    """The algorithms and the workloads that there are."""
    from convbench import workload

    options.load_plugins(plugin)
    algorithms = options.available_algorithms()
    workloads = [workload.load(name) for name in workload.names()]
    if json_:
        found = {
            "algorithms": [
                {"name": a.name, "family": a.family, "dtypes": a.dtypes, "what": _first_line(a)} for a in algorithms
            ],
            "workloads": [
                {"name": w.name, "layers": len(w.layers), "macs": w.macs, "source": w.source} for w in workloads
            ],
        }
        print(json.dumps(found, indent=1))
        return
    known = markdown_table(["name", "family", "what"], [(a.name, a.family, _first_line(a)) for a in algorithms])
    lists = markdown_table(
        ["name", "layers", "GMAC at its own batch"], [(w.name, len(w.layers), f"{w.macs / 1e9:.4g}") for w in workloads]
    )
    print_markdown(f"# Algorithms\n\n{known}\n\n# Workloads\n\n{lists}")


def _first_line(thing: object) -> str:
    return (type(thing).__doc__ or "").strip().partition("\n")[0]


def show(
    problem: Annotated[str, typer.Argument(help="A problem, in any of the three notations.")],
    direction: options.DirectionOption = "forward",
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """One problem: shapes, FLOPs, bytes, roofline; who can compute it, and who refuses and why."""
    from convbench.notation import parse
    from convbench.report import duration
    from convbench.roofline import KNOWN

    asked, what = options.direction(direction), parse(problem)
    options.load_plugins(plugin)
    able = {algorithm.name: _refusal(algorithm, what, asked) for algorithm in options.available_algorithms()}
    facts = {
        "problem": str(what), "x": what.x_shape, "w": what.w_shape, "y": what.y_shape, "macs": what.macs,
        "flops": what.flops, "min_bytes": what.min_bytes, "arithmetic_intensity": what.arithmetic_intensity,
    }  # fmt: skip
    roofs = KNOWN if what.dtype == "float32" else ()  # the ceilings of the other dtypes are others
    if json_:
        floors = [{"device": r.name, "floor_us": r.floor_us(what), "bound_by": r.limit(what)} for r in roofs]
        print(json.dumps({**facts, "floors": floors, "refusals": able}, indent=1))
        return
    sizes = [
        ("x (N, C, H, W)", what.x_shape),
        ("w (K, C/G, R, S)", what.w_shape),
        ("y (N, K, P, Q)", what.y_shape),
        ("multiply-accumulates", f"{what.macs:,}"),
        ("FLOPs", f"{what.flops:,}"),
        ("fewest bytes", f"{what.min_bytes:,}"),
        ("arithmetic intensity", f"{what.arithmetic_intensity:.3g} FLOP/byte"),
    ]
    parts = [f"# {what}", markdown_table(["", ""], sizes)]
    if roofs:
        rows = [(roof.name, duration(roof.floor_us(what)), roof.limit(what)) for roof in roofs]
        parts.append(markdown_table(["device", "least time of a direct method", "bound by"], rows))
    verdicts = [(name, "yes" if reason is None else f"no: {reason}") for name, reason in able.items()]
    parts.append(markdown_table(["algorithm", "can compute it"], verdicts))
    print_markdown("\n\n".join(parts))


def _refusal(algorithm: "Algorithm", problem: "ConvProblem", direction: "Direction") -> str | None:
    """Why an algorithm will not compute a problem, or what its own code raised when it was asked."""
    try:
        return algorithm.refuses(problem, direction)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
        return f"it fails: {type(error).__name__}: {error}"


def report(
    records: Annotated[list[Path], typer.Argument(help="Records files (.jsonl).")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the pages; default: beside each file.")] = None,
    picture: Annotated[bool, typer.Option("--picture", help="Draw a PNG too; needs the extra `report`.")] = False,
    json_: options.JsonOption = False,
) -> None:
    """Render records again. Lines that are no records are named and skipped, and the exit status is then 2."""
    from convbench.errors import ConvbenchError
    from convbench.record import read_records
    from convbench.report import to_frame

    pages = [(path.parent if out is None else out) / f"{path.stem}.md" for path in records]
    if clash := {page for page in pages if page in records or pages.count(page) > 1}:
        raise ConvbenchError(f"{', '.join(map(str, clash))} would be written over; records have other names than pages")
    found = [(path, *read_records(path)) for path in records]
    for line in (line for _, _, bad in found for line in bad):
        print(f"convbench: {line}", file=sys.stderr)
    if json_:
        print(to_frame([record for _, good, _ in found for record in good]).to_json(orient="records", indent=1))
    else:
        for page, (_, good, bad) in zip(pages, found, strict=True):
            if bad and not good:
                continue  # no page of a file that holds something else
            write_page(good, page, picture=picture)
            print_markdown(page.read_text(encoding="utf-8"))
            print(f"Report: {page}")
    if any(bad for _, _, bad in found):
        raise typer.Exit(2)


def doctor(json_: options.JsonOption = False) -> None:
    """What this machine has, what is missing, and how to get it. Exit status 1 if something is broken."""
    from convbench.doctor import examine

    findings = examine()
    if json_:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        rows = [(f.what, f.state, f.found, f.remedy or "–") for f in findings]
        print_markdown(markdown_table(["what", "state", "found", "how to mend it"], rows))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
