"""`convbench inspect`: its output as text and as JSON, and its message for each mistake."""

import json
import re

import pytest

from convbench.cli import app
from convbench.cli.inspect import ARCHITECTURES
from convbench.inspection import architecture, compiler, inspector
from convbench.problem.notation import parse
from support.command_line import assert_refused

LAYER = "n2c8h16w16-k8r3s3-pad1"


def test_inspect_prints_what_the_kernels_take(convbench, here):
    status, out, err = convbench(
        "inspect", "direct", LAYER, "--direction", "backward_data", "--sass", here / "code.sass"
    )
    assert (status, err) == (0, "")
    assert out.startswith(f"# direct backward_data of {LAYER} on sm_90, config Config(threads=256)\n")
    for word in ("turn_filters (transform, once)", "direct (multiply)", "registers", "resident blocks", "FFMA"):
        assert word in out
    assert "A prediction from the machine code by a static model, not a measurement." in out
    assert "NVIDIA H200 SXM: 132 multiprocessors, 66.9 TFLOP/s" in out
    text = (here / "code.sass").read_text()
    assert text.count("Function : ") == 2
    assert "FFMA" in text


def test_a_rate_that_follows_from_a_least_time_is_a_limit(convbench):
    """A method that saves products can seem to exceed the peak; the rate of the products that it makes cannot."""
    _, out, _ = convbench("inspect", "winograd_4x4_3x3", "n32c256h28w28-k256r3s3-pad1")
    of_definition, share, made = re.search(
        r"at most (\S+) TFLOP/s of the definition\. The kernels make (\d+)% of its products: at most (\S+) TFLOP/s", out
    ).groups()
    assert float(made) == pytest.approx(float(of_definition) * int(share) / 100, rel=0.03)
    assert int(share) == 25
    assert float(made) < 66.9
    assert "The kernels make" not in convbench("inspect", "direct", LAYER)[1]


def test_inspect_tells_machines_everything(convbench):
    words = ("inspect", "im2col_gemm", LAYER, "--arch", "sm_80", "--config", "tile=8", "--direction", "backward_data")
    status, out, _ = convbench(*words, "--json")
    assert status == 0
    told = json.loads(out)
    assert (told["architecture"], told["chip"]["name"]) == ("sm_80", "NVIDIA A100 80GB SXM")
    assert told["config"].startswith("Config(tile=8")
    product, gather = told["kernels"]
    assert (product["kernel"], product["block"], product["compiled_for"]) == ("gemm", [8, 8, 1], "sm_80")
    assert product["bound"]["products"] == parse(LAYER).macs
    assert product["spill_store_bytes"] == product["spill_load_bytes"] == 0
    assert product["hot"]["ffma_share"] == product["hot"]["counts"]["FFMA"] / product["hot"]["instructions"]
    assert product["hot_loop"] in product["loops"]
    assert gather["kernel"] == "col2im"
    assert gather["argument_types"][0] == "array(float32, 3d, C)"
    run = sum(kernel["bound"]["predicted_least_us"] for kernel in told["kernels"])
    assert told["predicted_least_us"] == pytest.approx(run)


@pytest.mark.parametrize(("words", "told"), [
    (("nothing", LAYER), "algorithm 'nothing' is unknown; there are"),
    (("direct", "n1c1"), "n1c1"),
    (("direct", LAYER, "--arch", "sm_70"), "architecture 'sm_70' is unknown; there are sm_75"),
    (("direct", LAYER, "--direction", "sideways"), "direction 'sideways' is unknown"),
    (("winograd_2x2_3x3", "n1c1h4w4-k1r2s2"), "winograd_2x2_3x3 refuses forward of n1c1h4w4-k1r2s2"),
    (("winograd_2x2_3x3", "n1c1h4w4-k1r2s2", "--config", "tile=4"), "winograd_2x2_3x3 refuses forward of"),
    (("im2col_gemm", LAYER, "--config", "speed=9"), "config 'speed=9' is none of im2col_gemm, such as Config("),
    (("im2col_gemm", LAYER, "--config", "tile=33"), "tile is 1 to 32"),
    (("direct", LAYER, "--sass", "/"), "cannot be written to /"),
    (("direct", f"{LAYER}-bfloat16", "--arch", "sm_75"), "bfloat16 needs compute capability 8.0"),
    (("numpy", LAYER), "it runs on the processor; arrays of device blueprint are elsewhere"),
])  # fmt: skip
def test_a_mistake_is_told_in_a_sentence(convbench, words, told):
    assert_refused(convbench("inspect", *words), told)


def test_the_architectures_of_the_option_are_those_that_there_are():
    assert tuple(architecture.KNOWN) == ARCHITECTURES
    assert architecture.DEFAULT in ARCHITECTURES
    assert "inspect" in app.COMMANDS


def test_the_warnings_of_the_assembler_are_printed(convbench, monkeypatch):
    monkeypatch.setattr(inspector, "_made", {})
    read = compiler.read_log
    monkeypatch.setattr(compiler, "read_log", lambda log, entry: read(f"ptxas warning : it is slow\n{log}", entry))
    _, out, _ = convbench("inspect", "direct", LAYER)
    assert "What the assembler warns of:\n\n- direct: it is slow\n" in out
