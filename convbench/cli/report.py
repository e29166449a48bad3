"""The command `report`: render pages and files for other programs from records."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbench.cli import options
from convbench.cli.output import EXTRA, encoded, markdown_files, print_markdown, write_files
from convbench.cli.progress import progress
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from convbench.records import Record

    Source = tuple[Path, list[Record]]

ENDINGS = {"markdown": ".md", "html": ".html", "csv": ".csv", "parquet": ".parquet", "junit": ".xml"}
COMPARISON = "comparison"  # name of the page that compares several files


def report(
    records: Annotated[
        list[Path],
        typer.Argument(help="Records file (.jsonl), or a folder of them. Several are put side by side on one page."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the pages. Default: the first folder, or the folder of the first file."),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"Formats to write: {', '.join(ENDINGS)}. Separate them with commas, or repeat the option. Default: "
            "markdown, and html if the extra `report` is installed.",
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Also draw PNGs for the Markdown page. This needs the extra `report`.")
    ] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="With several files: compare a GPU's times even with times of a CPU.")
    ] = False,
    json_: options.JsonOption = False,
) -> None:
    """Render pages from records. A folder stands for all records files in it and below it.

    Lines that are not records are named and skipped; the exit status is then 2.

    Several files make one page, `comparison`, which shows their results side by side: by device, commit, algorithm or
    file. Its ratios are NEW / OLD, as those of `convbench compare`: the first file is OLD.
    """
    from convbench.records import files_of, read_all

    formats = _formats(format_)
    first = records[0]
    folder = out or (first if first.is_dir() else first.parent)
    stem = (first.resolve().name if first.is_dir() else first.stem) if len(records) == 1 else COMPARISON
    pages = {name: folder / f"{stem}{ENDINGS[name]}" for name in formats}
    if clash := {page for page in pages.values() if any(page in files_of(path) for path in records)}:
        raise ConvbenchError(f"{', '.join(map(str, clash))} would be written over; records have other names than pages")
    found = [(path, *read_all(path)) for path in records]
    for line in (line for _, _, bad in found for line in bad):
        print(f"convbench: {line}", file=sys.stderr)
    # a file that holds only other lines gets no page
    sources = [(path, good) for path, good, bad in found if good or not bad]
    if json_:
        print(_frame(sources).to_json(orient="records", indent=1))
    elif sources:
        _write(sources, pages, picture=picture, mixed=mixed)
    if any(bad for _, _, bad in found):
        raise typer.Exit(2)


def _formats(asked: list[str] | None) -> list[str]:
    """The formats asked for, each once. Raises UnknownNameError for one that is unknown."""
    if not asked:
        return ["markdown", "html"] if all(map(find_spec, EXTRA)) else ["markdown"]
    names = list(dict.fromkeys(name.strip() for text in asked for name in text.split(",")))
    if unknown := [name for name in names if name not in ENDINGS]:
        like = did_you_mean(unknown[0], ENDINGS)
        raise UnknownNameError(f"format {unknown[0]!r} is unknown; there are {', '.join(ENDINGS)}{like}")
    return names


def _write(sources: "Sequence[Source]", pages: dict[str, Path], *, picture: bool, mixed: bool) -> None:
    """Render everything, then write everything, then print where the pages are."""
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
    """The files of one format for one source."""
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
    """The content of a file for other programs: JUnit XML, Parquet or CSV."""
    from convbench.report import to_csv, to_junit, to_parquet

    if name == "junit":
        return encoded(to_junit(*(records for _, records in sources), names=[str(path) for path, _ in sources]))
    frame = _frame(sources)
    return to_parquet(frame) if name == "parquet" else encoded(to_csv(frame))


def _frame(sources: "Sequence[Source]") -> "pd.DataFrame":
    """The rows of every source in one table. If there are several, the first column is the name of the source."""
    import pandas as pd

    from convbench.report import to_frame

    frames = [to_frame(records) for _, records in sources]
    if len(frames) == 1:
        return frames[0]
    named = [(str(path), frame) for (path, _), frame in zip(sources, frames, strict=True)]
    for name, frame in named:
        frame.insert(0, "source", name)
    return pd.concat([frame for _, frame in named], ignore_index=True) if named else to_frame([])
