"""The page of a profile: counters stand beside their lines, faults are marked, and it is read on a phone."""

import numpy as np
import pytest
from numba import cuda, float32, typeof

from convbench import profiling
from convbench.algorithm import registry
from convbench.emulator import profile
from convbench.inspection import architecture
from convbench.problem.notation import parse
from convbench.profiling.web import to_html
from support.browser import chromium

AXE = pytest.importorskip("axe_playwright_python.sync_playwright").Axe


@cuda.jit
def transpose_with_faults(x, y):
    tile = cuda.shared.array((32, 32), float32)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    for k in range(j, 32, 8):
        tile[k, i] = x[i * 32, k]
    cuda.syncthreads()
    for k in range(j, 32, 8):
        y[k, i] = tile[i, k] * float32(2) + float32(1)


@pytest.fixture(scope="module")
def plan():
    x, y = np.zeros((1024, 32), np.float32), np.zeros((32, 32), np.float32)
    types = typeof(x), typeof(y)
    counted = profile(transpose_with_faults, 1, (32, 8), x, y, types=types, blocks="all")
    launch = profiling.ProfiledLaunch("run", "multiply", counted, transpose_with_faults, types, x.nbytes + y.nbytes)
    problem = parse("n1c1h5w5-k2r3s3")
    return profiling.ProfiledPlan(
        registry.get("direct"), problem, "forward", "<i>", architecture.get("sm_90"), (launch,)
    )


@pytest.fixture(scope="module")
def page(plan):
    return to_html(plan, profiling.predict_plan(plan, profiling.chip("h200")))


def test_the_last_request_of_each_instruction_is_kept(plan):
    by_text = {
        (i.is_store, i.array.startswith("_cudapy")): i for i in plan.launches[0].profile.instructions if i.pattern
    }
    column = by_text[False, True].pattern
    assert column.space == "shared"
    assert np.diff(column.lanes).tolist() == [128] * 31
    assert np.diff(by_text[True, False].pattern.lanes).tolist() == [4] * 31
    assert np.diff(by_text[False, False].pattern.lanes).tolist() == [4096] * 31
    assert by_text[False, False].pattern.space == "global"


def test_text_is_escaped_and_nothing_runs(page):
    assert "config &lt;i&gt;" in page
    assert "<script" not in page
    assert "predicted for NVIDIA H200 SXM, not measured" in page


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_it_is_read_on_a_phone_and_on_a_screen(page, tmp_path, width, scheme):
    file = tmp_path / "profile.html"
    file.write_text(page, encoding="utf-8")
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme, bypass_csp=True)
        complaints: list[str] = []
        opened.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        opened.goto(file.as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        marked = opened.locator("tr.marked")
        told = [" ".join(text.split()) for text in marked.all_inner_texts()]
        assert any("tile[i, k]" in text and "bank conflict, 32-way: 32.0 times the wavefronts" in text for text in told)
        assert any("x[i * 32, k]" in text and "uncoalesced: 8.0 times the sectors" in text for text in told)
        assert len(told) == 2
        counters = marked.locator('[data-name="wavefronts"]').all_inner_texts()
        assert "1,024 / 32" in [text.strip() for text in counters]
        assert opened.locator(".source").bounding_box()["width"] <= width
        opened.locator(".marks a").first.click()
        assert opened.evaluate("document.querySelector(':target').className") == "counted marked"
        titles = opened.locator("figure h3").all_inner_texts()
        assert any("reads shared memory over the banks" in title for title in titles)
        assert opened.locator("figure").first.locator("rect.again, rect.moved").count() > 20
        assert opened.locator("svg .dot").count() == 2
        for box in opened.locator(".box").all():
            assert box.bounding_box()["width"] <= width
        found = AXE().run(opened).response
        bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in bad] == []
        assert complaints == []
