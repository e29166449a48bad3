"""`convbench list WORKLOAD` shows what was read of a file, from which line, and what was skipped."""

import json

import pytest

from support.running import squeezed

LOG = """\
MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver conv -n 1 -c 2 -H 5 -W 5 -k 1 -y 3 -x 3 -F 4 -t 1
MIOpen(HIP): Command [LogCmdBNorm] ./bin/MIOpenDriver bnorm -n 1
n1c1h5w5-k1r3

3 n1c1h5w5-k1r3s3  # a comment
"""


@pytest.fixture
def log(here):
    (here / "mine.log").write_text(LOG)
    return "mine.log"


def test_the_layers_of_a_file_are_listed_with_line_direction_and_count(convbench, log):
    status, out, err = convbench("list", log)
    out = squeezed(out)
    assert (status, err) == (0, "")
    assert "| line 1 | – | n1c2h5w5-k1r3s3 | backward_weights | 1 |" in out
    assert "| line 5 | – | n1c1h5w5-k1r3s3 | forward | 3 |" in out
    for fact in (
        "| source | mine.log |",
        "| convolutions | backward_weights 1, forward 3 |",
        "| GMAC of all | 4.05e-07 |",
    ):
        assert fact in out
    assert "## Notes - mine.log: lines of other operations: 1 × bnorm" in " ".join(out.split())
    assert "## Skipped - mine.log, line 3: s missing" in " ".join(out.split())


def test_the_same_as_json(convbench, log):
    found = json.loads(convbench("list", log, "--json")[1])
    assert found["name"] == "mine"
    assert found["macs"] == 405
    assert found["layers"][1] == {
        "place": "line 5", "name": "n1c1h5w5-k1r3s3", "problem": "n1c1h5w5-k1r3s3", "direction": "forward", "count": 3,
    }  # fmt: skip
    assert [len(found["notes"]), len(found["skipped"])] == [1, 1]


def test_strict_makes_a_skipped_line_an_error(convbench, log):
    status, out, err = convbench("list", log, "--strict")
    assert (status, out) == (2, "")
    assert "convbench: --strict: not all could be read:\n    mine.log, line 3: s missing" in err


def test_options_of_the_cutlass_profiler_are_a_problem_when_they_are_quoted(convbench):
    found = json.loads(convbench("show", "--conv_kind=wgrad --n=8 --k=32", "--json")[1])
    assert (found["problem"], found["direction"]) == ("n8c64h16w16-k32r3s3-pad1-NHWC", "backward_weights")


def test_a_name_of_the_package_is_listed_too(convbench):
    out = squeezed(convbench("list", "lenet5")[1])
    assert "| line 2 | C1 | n1c1h28w28-k6r5s5-pad2-bias | forward | 1 |" in out


@pytest.mark.parametrize("options", [("--strict",), ("--input", "1x3x8x8")])
def test_options_of_a_workload_need_one(convbench, options):
    status, _, err = convbench("list", *options)
    assert status == 2
    assert "can be given with a WORKLOAD only" in err
