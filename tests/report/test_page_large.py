"""50,000 records make a page of less than 15 MB, in less than 30 s, whose table answers in less than a second.

Its figures are printed (`pytest -s tests/report/test_page_large.py`).
"""

import time

import numpy as np

from cases.synthetic import network
from convbench.report import to_html
from support.browser import chromium, opened

RECORDS = 50_000
SIZE = 15_000_000
RENDER_S = 30
ANSWER_MS = 1000
# from the event to the end of layout, on the page's own clock
CLICK = """button => {
    const start = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    return performance.now() - start;
}"""


def test_a_large_page_is_made_in_time_is_small_enough_and_answers_at_once(tmp_path):
    """Of processor time of this process, because other processes may hold the cores meanwhile."""
    records = list(network(np.random.default_rng(11), layers=RECORDS // 8))
    assert len(records) == RECORDS
    start = time.process_time()
    text = to_html(records, title=f"{RECORDS} records")
    seconds = time.process_time() - start
    path = tmp_path / "large.html"
    path.write_text(text, encoding="utf-8")
    print(f"\n{RECORDS:,} records: {seconds:.1f} s, {path.stat().st_size / 1e6:.1f} MB")
    assert seconds < RENDER_S
    assert path.stat().st_size < SIZE
    with chromium() as browser, opened(browser, path) as large:
        large.all_drawn()
        assert large.count() == (RECORDS, RECORDS)
        took = {}
        for key in ("median_us", "median_us", "problem", "fraction"):
            took[f"sort by {key}"] = large.page.locator(f"[data-sort={key}]").evaluate(CLICK)
        large.page.locator("[data-facet=algorithm] summary").click()
        box = large.page.locator("[data-facet=algorithm] input[type=checkbox]").first
        box.wait_for()
        took["filter by algorithm"] = box.evaluate(CLICK)
        assert large.count()[0] == RECORDS // 8
        took["next page"] = large.page.locator("[data-go=on]").evaluate(CLICK)
        start = time.monotonic()
        large.page.locator("#search").fill("conv77 r3s3")
        large.page.locator(".chip", has_text="search").wait_for()
        took["search"] = (time.monotonic() - start) * 1000
        assert 0 < large.count()[0] < RECORDS // 8
        large.page.locator("[data-facet=layer] summary").click()
        large.page.locator("[data-facet=layer] label").first.wait_for()
        assert large.page.locator("[data-facet=layer] label").count() <= 200
        print("\n" + ", ".join(f"{what}: {ms:.0f} ms" for what, ms in took.items()))
        assert max(took.values()) < ANSWER_MS, took
