"""The commands that print information: `list`, `show` and `doctor`."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbench.cli import completion, options
from convbench.cli.output import print_markdown
from convbench.cli.progress import progress
from convbench.errors import ContractError, ConvbenchError
from convbench.report import markdown_list, markdown_table

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm
    from convbench.problem import ConvProblem, Direction
    from convbench.workload import Workload


def list_(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKLOAD",
            help="A workload's name or a file. Its layers are listed, each with the line that it was read from.",
            autocompletion=completion.workloads,
            show_default=False,
        ),
    ] = None,
    input_: options.InputOption = None,
    strict: options.StrictOption = False,
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """List the algorithms and the workloads; or the layers of one workload.

    Of a file, also list what was read in another way, and the lines that cannot be read.
    """
    from convbench import workload

    if source is not None:
        _list_layers(workload.load(source, options.inputs(input_)), strict=strict, json_=json_)
        return
    if input_ or strict:
        raise ConvbenchError("--input and --strict can be given with a WORKLOAD only")
    options.load_plugins(plugin)
    algorithms = options.available_algorithms()
    workloads = [workload.load(name) for name in workload.names()]
    if json_:
        found = {
            "algorithms": [
                {
                    "name": a.name,
                    "family": a.family,
                    "directions": list(a.plans),
                    "dtypes": a.dtypes,
                    "what": _first_line(a),
                }
                for a in algorithms
            ],
            "workloads": [
                {"name": w.name, "layers": len(w.layers), "macs": w.macs, "source": w.source} for w in workloads
            ],
        }
        print(json.dumps(found, indent=1))
        return
    rows = [(a.name, a.family, _first_line(a), ", ".join(a.plans), ", ".join(a.dtypes)) for a in algorithms]
    known = markdown_table(["name", "family", "what", "directions", "dtypes"], rows)
    lists = markdown_table(
        ["name", "layers", "GMAC at its own batch"], [(w.name, len(w.layers), f"{w.macs / 1e9:.4g}") for w in workloads]
    )
    print_markdown(f"# Algorithms\n\n{known}\n\n# Workloads\n\n{lists}")


def _list_layers(chosen: "Workload", *, strict: bool, json_: bool) -> None:
    """Print the layers of a workload, its notes, and what was skipped; with --strict the latter is an error."""
    if strict:
        options.refuse_skipped(chosen)
    if json_:
        layers = [
            {
                "place": layer.place, "name": layer.name, "problem": str(layer.problem),
                "direction": layer.direction, "count": layer.count,
            }
            for layer in chosen.layers
        ]  # fmt: skip
        found = {
            "name": chosen.name, "source": chosen.source, "macs": chosen.macs, "layers": layers,
            "notes": list(chosen.notes), "skipped": list(chosen.skipped),
        }  # fmt: skip
        print(json.dumps(found, indent=1))
        return
    directions = ", ".join(f"{direction} {count:,}" for direction, count in chosen.directions().items())
    rows = [
        (
            layer.place or "–", "–" if layer.name == str(layer.problem) else layer.name, layer.problem,
            layer.direction, layer.count,
        )
        for layer in chosen.layers
    ]  # fmt: skip
    parts = [
        f"# {chosen.name}",
        markdown_table(
            ["", ""],
            [("source", chosen.source), ("convolutions", directions), ("GMAC of all", f"{chosen.macs / 1e9:.4g}")],
        ),
        markdown_table(["place", "name", "problem", "direction", "count"], rows),
    ]
    for heading, told in (("Notes", chosen.notes), ("Skipped", chosen.skipped)):
        if told:
            parts.append(f"## {heading}\n\n" + markdown_list(told))
    print_markdown("\n\n".join(parts))


def _first_line(thing: object) -> str:
    return (type(thing).__doc__ or "").strip().partition("\n")[0]


def show(
    problem: Annotated[str, typer.Argument(help=options.ONE_PROBLEM)],
    image: Annotated[
        Path | None, typer.Argument(help="With --maps: the picture file. Default: a bundled picture.")
    ] = None,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps",
            help="Convolve a picture, resized to h × w, and draw what each channel adds, instead of printing facts.",
        ),
    ] = False,
    algorithm: Annotated[
        str | None,
        typer.Option("--algorithm", help="With --maps: the algorithm that computes the parts. Default: auto."),
    ] = None,
    device: options.DeviceOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --maps: the PNG file to write. Default: maps-PROBLEM.png.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="With --maps: seed of the random weights. Default: 0.")
    ] = None,
    direction: options.DirectionOption = None,
    plugin: options.PluginOption = None,
    json_: options.JsonOption = False,
) -> None:
    """Show one problem: its shapes, FLOPs, bytes and least times.

    Also show which algorithms can compute it, and why the others refuse it. With --maps, draw a picture instead.
    """
    if maps:
        options.load_plugins(plugin)
        _show_maps(problem, image, algorithm or "auto", device, out, seed or 0, direction, json_=json_)
        return
    told = {"IMAGE": image, "--algorithm": algorithm, "--device": device, "--out": out, "--seed": seed}
    if extra := [name for name, value in told.items() if value is not None]:
        raise ConvbenchError(f"{', '.join(extra)} can be given with --maps only")
    from convbench.problem import roofline
    from convbench.report import duration

    what, chosen = options.one_problem(problem, direction)
    options.load_plugins(plugin)
    able = {algorithm.name: _refusal(algorithm, what, chosen) for algorithm in options.available_algorithms()}
    facts = {
        "problem": str(what), "direction": chosen, "x": what.x_shape, "w": what.w_shape, "y": what.y_shape,
        "macs": what.macs, "flops": what.flops, "min_bytes": what.min_bytes,
        "arithmetic_intensity": what.arithmetic_intensity,
    }  # fmt: skip
    roofs = roofline.KNOWN if what.dtype == "float32" else ()  # the known ceilings are those of float32
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
    parts = [f"# {what}" if chosen == "forward" else f"# {what} {chosen}", markdown_table(["", ""], sizes)]
    if roofs:
        rows = [(roof.name, duration(roof.floor_us(what)), roof.limit(what)) for roof in roofs]
        parts.append(markdown_table(["device", "least time of a direct method", "bound by"], rows))
    verdicts = [(name, "yes" if reason is None else f"no: {reason}") for name, reason in able.items()]
    parts.append(markdown_table(["algorithm", "can compute it"], verdicts))
    print_markdown("\n\n".join(parts))


def _show_maps(
    problem: str, image: Path | None, algorithm: str, device: str | None, out: Path | None, seed: int,
    direction: str | None, *, json_: bool,
) -> None:  # fmt: skip
    from convbench.layer import decompose, maps_picture, read_picture

    what, chosen = options.one_problem(problem, direction)
    if chosen != "forward":
        raise ConvbenchError(f"maps are of the direction forward, not {chosen}")
    file = Path(f"maps-{what}.png") if out is None else out
    picture = read_picture(image, what)
    with progress(("compute", "draw"), "maps", 2) as steps:
        for step in steps:
            if step == "compute":
                found = decompose(what, picture, algorithm=algorithm, device=device, seed=seed)
            else:
                maps_picture.save_maps(found, file)
    facts = {
        "problem": str(what), "picture": "bundled" if image is None else str(image), "x": what.x_shape,
        "w": what.w_shape, "bias": (what.k,) if what.bias else None, "y": what.y_shape, "parts": found.grouped.y_shape,
        "parts_problem": str(found.grouped), "parts_algorithm": found.parts_algorithm,
        "layer_algorithm": found.layer_algorithm, "mean_error": found.mean_error,
        "largest_error": found.largest_error, "fraction_of_bound": found.comparison.fraction,
        "within_bound": found.comparison.passed, "file": str(file),
    }  # fmt: skip
    if json_:
        print(json.dumps(facts, indent=1))
    else:
        print_markdown(_maps_page(facts, found.refusal))
    if not found.comparison.passed:
        raise typer.Exit(1)


def _maps_page(facts: dict[str, Any], refusal: str | None) -> str:
    layer = f"by {facts['layer_algorithm']}" + ("" if refusal is None else f", for the other refuses it: {refusal}")
    verdict = "within the derived bound" if facts["within_bound"] else "BEYOND the derived bound"
    rows = [
        ("x (N, C, H, W)", facts["x"]), ("w (K, C/G, R, S)", facts["w"]), ("bias (K)", facts["bias"] or "none"),
        ("output maps (N, K, P, Q)", f"{facts['y']} {layer}"),
        ("parts, in one grouped convolution", f"{facts['parts']} by {facts['parts_algorithm']}"),
        ("mean error of their sums", f"{facts['mean_error']:.3g}"),
        ("largest error", f"{facts['largest_error']:.3g}: {verdict}, {facts['fraction_of_bound']:.3g} of it"),
    ]  # fmt: skip
    return f"# {facts['problem']}\n\n{markdown_table(['', ''], rows)}\n\nPicture: {facts['file']}"


def _refusal(algorithm: "Algorithm", problem: "ConvProblem", direction: "Direction") -> str | None:
    """The reason why an algorithm refuses a problem, or the error that its own code raised; None if it accepts it."""
    try:
        return algorithm.refuses(problem, direction)
    except ContractError as error:
        return f"it fails: {error}"


def doctor(json_: options.JsonOption = False) -> None:
    """Check what this machine has, what is missing, and how to get it. Exit status 1 if something is broken."""
    from convbench.cli.doctor import examine

    with ExitStack() as bars:
        findings = examine(lambda checks: bars.enter_context(progress(checks, "examining", len(checks))))
    if json_:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        rows = [(f.what, f.state, f.found, f.remedy or "–") for f in findings]
        print_markdown(markdown_table(["what", "state", "found", "how to mend it"], rows))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
