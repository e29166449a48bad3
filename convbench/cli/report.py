"""The command that renders records again: `report`."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import options
from convbench.cli.output import encoded, markdown_files, print_markdown, write_files
from convbench.cli.progress import progress
from convbench.errors import ConvbenchError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from convbench.records import Record

    Source = tuple[Path, list[Record]]

ENDINGS = {"markdown": ".md", "html": ".html", "csv": ".csv", "parquet": ".parquet", "junit": ".xml"}
EXTRA = "altair", "vl_convert", "jinja2"  # what the page needs
COMPARISON = "comparison"  # the name of the page of several files


def report(
    records: Annotated[
        list[Path], typer.Argument(help="A records file (.jsonl); or several, to be put side by side on one page.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the pages; default: beside the first file.")
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"{', '.join(ENDINGS)}; with commas or repeated. Default: markdown, and html with the extra `report`.",
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw PNGs beside the Markdown page too; needs the extra `report`.")
    ] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="With several files: a GPU's times against others' all the same.")
    ] = False,
    json_: options.JsonOption = False,
) -> None:
    """Render records again. Lines that are no records are named and skipped, and the exit status is then 2.

    Several files make one page, `comparison`, with their results side by side: devices, commits, algorithms, or files.
    """
    from convbench.records import read_records

    formats = _formats(format_)
    folder = records[0].parent if out is None else out
    stem = records[0].stem if len(records) == 1 else COMPARISON
    pages = {name: folder / f"{stem}{ENDINGS[name]}" for name in formats}
    if clash := {page for page in pages.values() if page in records}:
        raise ConvbenchError(f"{', '.join(map(str, clash))} would be written over; records have other names than pages")
    found = [(path, *read_records(path)) for path in records]
    for line in (line for _, _, bad in found for line in bad):
        print(f"convbench: {line}", file=sys.stderr)
    # no page of a file that holds something else
    sources = [(path, good) for path, good, bad in found if good or not bad]
    if json_:
        print(_frame(sources).to_json(orient="records", indent=1))
    elif sources:
        _write(sources, pages, picture=picture, mixed=mixed)
    if any(bad for _, _, bad in found):
        raise typer.Exit(2)


def _formats(asked: list[str] | None) -> list[str]:
    """Those asked for, each once; raises UnknownNameError."""
    if not asked:
        return ["markdown", "html"] if all(map(find_spec, EXTRA)) else ["markdown"]
    names = list(dict.fromkeys(name.strip() for text in asked for name in text.split(",")))
    if unknown := [name for name in names if name not in ENDINGS]:
        raise UnknownNameError(f"format {unknown[0]!r} is unknown; there are {', '.join(ENDINGS)}")
    return names


def _write(sources: "Sequence[Source]", pages: dict[str, Path], *, picture: bool, mixed: bool) -> None:
    """Render everything, then write everything, then say what there is."""
    if picture and "markdown" not in pages:
        raise ConvbenchError("--picture draws the pictures of a Markdown page; add --format markdown, or leave it out")
    files: dict[Path, bytes] = {}
    with progress(pages.items(), "rendering", len(pages)) as each:
        for name, page in each:
            if len(sources) > 1:
                files |= _compared(sources, name, page, picture=picture, mixed=mixed)
            else:
                files |= _single(sources[0][1], name, page, picture=picture)
    write_files(files)
    if "markdown" in pages:
        print_markdown(files[pages["markdown"]].decode())
    for page in pages.values():
        print(f"Report: {page}")


def _single(records: "list[Record]", name: str, page: Path, *, picture: bool) -> dict[Path, bytes]:
    """The files of one format."""
    if name == "markdown":
        return markdown_files(records, page, picture=picture)
    if name == "html":
        from convbench.report import to_html

        return {page: encoded(to_html(records, title=f"convbench: {page.stem}"))}
    return {page: _data([(page, records)], name)}


def _compared(sources: "Sequence[Source]", name: str, page: Path, *, picture: bool, mixed: bool) -> dict[Path, bytes]:
    """The files of one format for several sources."""
    if name not in ("markdown", "html"):
        return {page: _data(sources, name)}
    from convbench.report.side_by_side import markdown, side_by_side

    sides = side_by_side(sources, mixed=mixed)
    title = f"convbench: {', '.join(sides.names[1:])} against {sides.names[0]}"
    if name == "html":
        from convbench.report.side_by_side import html

        return {page: encoded(html.to_html(sides, title=title))}
    if not picture:
        return {page: encoded(markdown.to_markdown(sides, title=title))}
    from convbench.report import pictures

    shown = pictures.beside(page.stem, markdown.figures(sides))
    drawn = {page.with_name(file): pictures.to_png(figure) for figure, file in shown.values()}
    return {**drawn, page: encoded(markdown.to_markdown(sides, title=title, pictures=shown))}


def _data(sources: "Sequence[Source]", name: str) -> bytes:
    """What other programs read."""
    from convbench.report import to_csv, to_junit, to_parquet

    if name == "junit":
        return encoded(to_junit(*(records for _, records in sources), names=[str(path) for path, _ in sources]))
    frame = _frame(sources)
    return to_parquet(frame) if name == "parquet" else encoded(to_csv(frame))


def _frame(sources: "Sequence[Source]") -> "pd.DataFrame":
    """The rows of every source, with its name before them where there are several."""
    import pandas as pd

    from convbench.report import to_frame

    frames = [to_frame(records) for _, records in sources]
    if len(frames) == 1:
        return frames[0]
    named = [(str(path), frame) for (path, _), frame in zip(sources, frames, strict=True)]
    for name, frame in named:
        frame.insert(0, "source", name)
    return pd.concat([frame for _, frame in named], ignore_index=True) if named else to_frame([])
