"""`convbench profile`: its output as text, JSON and CSV, the comparison with Nsight Compute, and its mistakes."""

import csv
import json

import pytest

from support.command_line import assert_refused

LAYER, WIDE = "n1c4h12w12-k4r3s3-pad1", "n1c32h16w16-k64r3s3-pad1"


def test_a_profile_shows_lines_with_counts(convbench):
    status, out, err = convbench("profile", "implicit_gemm", WIDE)
    assert (status, err) == (0, "")
    assert out.startswith(f"# implicit_gemm forward of {WIDE} on sm_90, config TiledConfig(")
    for words in (
        "## pack_filters (pack, once)",
        "## implicit_gemm_tiled (multiply)",
        "blocks were counted.",
        "requests to global memory move",
        "uncoalesced",
    ):
        assert words in out
    assert "nothing was measured" in out


def test_a_profile_tells_machines_everything(convbench, here):
    status, out, _ = convbench("profile", "direct", LAYER, "--json", "--csv", here / "lines.csv", "--blocks", "1")
    assert status == 0
    told = json.loads(out)
    kernel = told["kernels"][-1]
    assert kernel["kernel"] == "direct"
    assert kernel["counted_blocks"] <= kernel["blocks"]
    for name in ("instructions", "sectors", "wavefronts", "lanes"):
        total = kernel["total"][name]
        assert sum(line[name] for line in kernel["by_line"]) == pytest.approx(total)
        assert sum(i[name] for i in kernel["instructions"]) == pytest.approx(total)
    assert kernel["by_array"]["target"]["sectors"] >= kernel["by_array"]["target"]["ideal_sectors"] > 0
    assert told["names_of_nsight_compute"]["wavefronts"] == ["memory_l1_wavefronts_shared"]
    rows = list(csv.DictReader((here / "lines.csv").read_text().splitlines()))
    assert {row["sectors"] == row["memory_l2_theoretical_sectors_global"] for row in rows} == {True}
    total = sum(launch["total"]["sectors"] for launch in told["kernels"])
    assert sum(float(row["sectors"]) for row in rows) == pytest.approx(total)


RAW = """==PROF== Connected to process 1
"ID","Kernel Name","memory_l2_theoretical_sectors_global","smsp__inst_executed.sum"
"","","sector","inst"
"0","direct(Array<float>)","1,000","{instructions}"
"""


def test_a_profile_stands_beside_one_of_nsight_compute(convbench, here):
    _, out, _ = convbench("profile", "direct", LAYER, "--json", "--blocks", "all")
    (total,) = [k["total"] for k in json.loads(out)["kernels"] if k["kernel"] == "direct"]
    (here / "ncu.csv").write_text(RAW.format(instructions=total["instructions"]))
    status, out, _ = convbench("profile", "direct", LAYER, "--blocks", "all", "--compare", here / "ncu.csv")
    assert status == 0
    assert f"| direct | instructions | {total['instructions']:,} | {total['instructions']:,} | 1.000 |" in out
    assert f"| direct | sectors | {total['sectors']:,} | 1,000 | {total['sectors'] / 1000:.3f} |" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("direct", LAYER, "--blocks", "0"), "--blocks '0' is neither a whole number, at least 1, nor all"),
        (("direct", LAYER, "--blocks", "some"), "--blocks 'some'"),
        (("direct", LAYER, "--seed", "-1"), "--seed -1 is negative"),
        (("direct", LAYER, "--arch", "sm_91"), "architecture 'sm_91' is unknown"),
        (("nothing", LAYER), "nothing"),
        (("direct", LAYER, "--compare", "missing.csv"), "missing.csv"),
        (("direct", LAYER, "--compare", "empty.csv"), "empty.csv has no counter of Nsight Compute that is known here"),
        (("direct", LAYER, "--compare", "other.csv"), "other.csv has no kernel of this profile: it has gemm"),
    ],
)
def test_a_mistake_gets_one_message(convbench, here, words, told):
    (here / "empty.csv").write_text("a,b\n1,2\n")
    (here / "other.csv").write_text('"Kernel Name","inst_executed"\n"gemm","1"\n')
    assert_refused(convbench("profile", *words), told)
