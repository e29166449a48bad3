"""`convbench profile`: its output as text, JSON and CSV, the comparison with Nsight Compute, and its mistakes."""

import csv
import json

import pytest

from convbench.cli.options import GPUS
from convbench.profiling import known_chips
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
    assert out.count("predicted for NVIDIA H200 SXM, not measured") == 3  # of the run and of both kernels
    assert "Bound by " in out


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


def test_counts_agree_with_the_machine_code_of_the_hot_loop(convbench):
    status, out, _ = convbench("profile", "implicit_gemm", WIDE, "--sass")
    assert status == 0
    assert "## Accesses of the hot loop, and its machine code" in out
    _, out, _ = convbench("profile", "implicit_gemm", WIDE, "--sass", "--json")
    rows = {(row["kind"], row["width"]): row for row in json.loads(out)["machine_code"]}
    for kind in (("shared load", 16), ("copy", 4)):
        assert rows[kind]["counted"] == pytest.approx(rows[kind]["machine"], rel=0.01)
        assert rows[kind]["counted"] > 0
        assert rows[kind]["why"] == ""
    assert all(row["why"] for row in rows.values() if abs(row["counted"] - row["machine"]) > 0.01 * row["machine"])


def test_a_gpu_of_the_table_or_of_a_file_is_predicted_for(convbench, here):
    _, out, _ = convbench("profile", "direct", LAYER, "--gpu", "gtx1650", "--json")
    told = json.loads(out)
    assert told["architecture"] == "sm_75"
    assert told["prediction"]["note"] == "predicted for NVIDIA GeForce GTX 1650, not measured"
    (here / "mine.toml").write_text(MINE)
    _, out, _ = convbench("profile", "direct", LAYER, "--gpu", "mine.toml", "--json")
    mine = json.loads(out)
    assert mine["prediction"]["gpu"] == "Mine"
    assert mine["prediction"]["predicted_run_us"] > told["prediction"]["predicted_run_us"]
    times = mine["kernels"][-1]["prediction"]
    assert times["low_us"] < times["predicted_us"] < times["high_us"]
    status, out, _ = convbench("profile", "direct", LAYER, "--arch", "sm_88")
    assert status == 0
    assert "predicted" not in out


def test_the_gpus_of_the_option_are_those_that_there_are():
    assert tuple(known_chips()) == GPUS


MINE = """[mine]
name = "Mine"
architecture = "sm_75"
multiprocessors = 1
clock_mhz = 500
dram_gbytes = 20.5
l2_kib = 512
source = "a guess"
"""
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
        (("direct", LAYER, "--blocks", "1" + "0" * 9), "--blocks 1000000000 is more than any profile can run"),
        (("direct", LAYER, "--seed", "-1"), "--seed -1 is negative"),
        (("direct", LAYER, "--gpu", "h20"), "GPU 'h20' is unknown; there are h200, h100"),
        (("direct", LAYER, "--gpu", "h200", "--arch", "sm_90"), "--arch sm_90 and --gpu h200 exclude each other"),
        (("direct", LAYER, "--gpu", "missing.toml"), "missing.toml cannot be read"),
        (("direct", LAYER, "--gpu", "bad.toml"), "bad.toml, [mine]: a chip has the fields architecture, clock_mhz"),
        (("direct", LAYER, "--gpu", "slow.toml"), "slow.toml, [mine]: clock_mhz is 0; it is a positive number"),
        (("direct", LAYER, "--arch", "sm_91"), "architecture 'sm_91' is unknown"),
        (("nothing", LAYER), "nothing"),
        (("direct", LAYER, "--compare", "missing.csv"), "missing.csv"),
        (("direct", LAYER, "--compare", "empty.csv"), "empty.csv has no counter of Nsight Compute that is known here"),
        (("direct", LAYER, "--compare", "other.csv"), "other.csv has no kernel of this profile: it has gemm"),
    ],
)
def test_a_mistake_gets_one_message(convbench, here, words, told):
    (here / "empty.csv").write_text("a,b\n1,2\n")
    (here / "bad.toml").write_text("[mine]\nname = 'x'\n")
    (here / "slow.toml").write_text(MINE.replace("500", "0"))
    (here / "other.csv").write_text('"Kernel Name","inst_executed"\n"gemm","1"\n')
    assert_refused(convbench("profile", *words), told)


def test_a_profile_of_all_blocks_simulates_the_caches_of_the_gpu(convbench):
    status, out, err = convbench("profile", "direct", LAYER, "--blocks", "all", "--gpu", "l4")
    assert (status, err) == (0, "")
    assert "the L1 cache has" in out
    assert "of those that go there, and the memory moves" in out
    _, sampled, _ = convbench("profile", "direct", LAYER, "--gpu", "l4")
    assert "the L2 cache" not in sampled
