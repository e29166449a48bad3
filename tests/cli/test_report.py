"""`convbench report` writes the right files, and either all of them completely or none."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cases import synthetic
from convbench.cli import output
from convbench.cli.output import write_files
from convbench.errors import ConvbenchError
from report.test_junit import check
from support.command_line import assert_refused


def write(path: Path, records) -> Path:
    path.write_text("".join(f"{record.to_json()}\n" for record in records))
    return path


@pytest.fixture
def records(here):
    return write(here / "mine.jsonl", synthetic.network(np.random.default_rng(0), layers=2))


def test_every_format_is_written_beside_the_records(convbench, here, records):
    formats = ("--format", "markdown,csv", "--format", "parquet", "--format", "junit", "--format", "html")
    status, out, err = convbench("report", records, *formats)
    assert (status, err) == (0, "")
    assert {path.name for path in here.iterdir()} == {
        "mine.jsonl", "mine.md", "mine.csv", "mine.parquet", "mine.xml", "mine.html",
    }  # fmt: skip
    for ending in (".md", ".csv", ".parquet", ".xml", ".html"):
        assert f"Report: {here / 'mine'}{ending}" in out
    frame = pd.read_parquet(here / "mine.parquet")
    assert len(pd.read_csv(here / "mine.csv")) == len(frame) == 16
    check((here / "mine.xml").read_text())
    assert (here / "mine.html").read_text().startswith("<!doctype html>")


def test_by_default_there_is_markdown_and_a_page(convbench, here, records):
    status, out, _ = convbench("report", records, "--out", "pages")
    assert status == 0
    assert {path.name for path in (here / "pages").iterdir()} == {"mine.md", "mine.html"}
    assert (here / "pages" / "mine.md").read_text() in out


def test_without_the_extra_there_is_markdown(convbench, here, records, monkeypatch):
    monkeypatch.setattr("convbench.cli.report.find_spec", lambda name: None if name == "jinja2" else object())
    assert convbench("report", records)[0] == 0
    assert {path.name for path in here.iterdir()} == {"mine.jsonl", "mine.md"}


def test_pictures_are_drawn_when_asked_for(convbench, here, records):
    assert convbench("report", records, "--picture", "--format", "markdown")[0] == 0
    pictures = {path.name for path in here.glob("*.png")}
    assert "mine.png" in pictures
    assert len(pictures) == 10
    page = (here / "mine.md").read_text()
    assert all(f"({name})" in page for name in pictures)
    assert all((here / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--format", "pdf"), "format 'pdf' is unknown; there are markdown, html, csv, parquet, junit"),
        (("--format", "csv", "--picture"), "add --format markdown"),
        (("--out", "/dev/null/x"), "cannot be written"),
    ],
)
def test_a_call_that_makes_no_sense_writes_nothing(convbench, here, records, words, told):
    assert_refused(convbench("report", records, *words), told)
    assert [path.name for path in here.iterdir()] == ["mine.jsonl"]


def test_records_are_never_written_over(convbench, here, records):
    odd = records.rename(here / "mine.csv")
    content = odd.read_bytes()
    status, _, err = convbench("report", odd, "--format", "csv")
    assert status == 2
    assert "would be written over" in err
    assert odd.read_bytes() == content


def test_two_files_make_one_page_side_by_side(convbench, here, records):
    other = write(here / "other.jsonl", synthetic.network(np.random.default_rng(1), layers=2, scale=1.5))
    status, out, _ = convbench("report", records, other, "--picture", "--format", "markdown,html,csv,junit")
    assert status == 0
    made = {path.name for path in here.iterdir()} - {"mine.jsonl", "other.jsonl"}
    assert made == {"comparison.md", "comparison.html", "comparison.csv", "comparison.xml", "comparison.png"}
    assert "# convbench: other against mine" in out
    assert "(comparison.png)" in out
    table = pd.read_csv(io.StringIO((here / "comparison.csv").read_text()))
    assert list(table.source.unique()) == [str(records), str(other)]
    assert len(check((here / "comparison.xml").read_text())) == 2
    status, out, _ = convbench("report", records, other, "--json")
    assert (status, len(json.loads(out))) == (0, 32)


def test_gpu_and_emulated_records_are_not_put_side_by_side_unasked(convbench, here, records):
    emulated = synthetic.network(np.random.default_rng(1), layers=2, device=synthetic.EMULATOR)
    other = write(here / "other.jsonl", emulated)
    status, _, err = convbench("report", records, other)
    assert status == 2
    assert "--mixed" in err
    assert not (here / "comparison.md").exists()
    assert convbench("report", records, other, "--mixed", "--format", "markdown")[0] == 0
    assert "emulated on CPU" in (here / "comparison.md").read_text()


def test_a_foreign_file_among_several_is_named_and_the_rest_rendered(convbench, here, records):
    (here / "list.jsonl").write_text("milk\n")
    other = write(here / "other.jsonl", synthetic.network(np.random.default_rng(1), layers=2))
    status, out, err = convbench("report", records, "list.jsonl", other, "--format", "markdown")
    assert status == 2
    assert "list.jsonl, line 1" in err
    assert "# convbench: other against mine" in out


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))
from convbench.cli import main
main(["report", {path!r}, "--format", "markdown,csv"])
"""


def test_a_full_disk_leaves_the_old_report_as_it_was(convbench, here, records):
    """The kernel refuses every byte behind the first thousand of a file, and there is no signal handler for it."""
    for name in ("mine.md", "mine.csv"):
        (here / name).write_text("old\n")
    code = FULL_DISK.format(bytes=1000, path=str(records))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == f"convbench: the report cannot be written to {here / 'mine.md'}: File too large\n"
    assert {path.name: path.read_text() for path in here.iterdir() if path.suffix != ".jsonl"} == {
        "mine.md": "old\n", "mine.csv": "old\n",
    }  # fmt: skip


def test_files_are_written_together_or_not_at_all(tmp_path, monkeypatch):
    """If the second file cannot be written, the first is not written either, and no partial file stays."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConvbenchError, match="folder: a folder is in its place"):
        write_files({tmp_path / "a": b"new", tmp_path / "folder": b"new"})
    assert (tmp_path / "a").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "folder"}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, "fsync", full)
    with pytest.raises(ConvbenchError, match=r"b: No space left|a: No space left"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert {path.name: path.is_file() and path.read_text() for path in tmp_path.iterdir()} == {
        "a": "old",
        "folder": False,
    }


def test_a_link_goes_on_pointing_where_it_did(tmp_path):
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "link.md").symlink_to("real.md")
    write_files({tmp_path / "link.md": b"new"})
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "new"


def test_folders_are_read_with_what_is_below_them(convbench, here):
    for seed, folder in enumerate(("v1.0", "v1.1")):
        (here / folder / "h200").mkdir(parents=True)
        found = list(synthetic.network(np.random.default_rng(seed), layers=2))
        write(here / folder / "a.jsonl", found[:8])
        write(here / folder / "h200" / "b.jsonl", found[8:])
    status, out, _ = convbench("report", "v1.0", "--format", "csv")
    assert status == 0
    assert len(pd.read_csv(here / "v1.0" / "v1.0.csv")) == 16
    status, out, _ = convbench("report", "v1.0", "v1.1", "--format", "markdown")
    assert status == 0
    assert "# convbench: v1.1 against v1.0" in out
    assert "NEW / OLD" in (here / "v1.0" / "comparison.md").read_text()
    (here / "empty").mkdir()
    assert_refused(convbench("report", "empty"), "folder empty has no records file (.jsonl)")
