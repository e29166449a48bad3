"""The page works when it is opened from disk, in a browser without a network."""

import re

import numpy as np
import pytest

from cases.handmade import predicted
from cases.hostile import HOSTILE
from cases.synthetic import EMULATOR, network, record, timed
from convbench.report import to_frame, to_html
from support.browser import chromium, opened

AXE = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
RANDOM = np.random.default_rng(7)
GPU = [*network(RANDOM, layers=8), record(outcome="wrong", reason="3 elements differ", algorithm="bad", layer="conv9")]
FRAME = to_frame(GPU)
BOTH = [*GPU, *network(RANDOM, layers=2, device=EMULATOR, scale=300)]

PREDICTED = [
    timed(RANDOM, 900.0, cold=None, device=EMULATOR, layer=f"conv{number}", algorithm=name, predicted=predicted(us))
    for number in range(3)
    for name, us in (("direct", 30.0), ("fft_tiled", 12.0), ("implicit_gemm", 15.0))
]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of three pages: of one device, of two clocks, and of hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = [timed(RANDOM, 10.0, layer=name, algorithm=f"by {name}", workload=name) for name in HOSTILE]
    hostile += [record(outcome="crashed", reason=name, layer=name, algorithm=f"bad {name}") for name in HOSTILE]
    pages = {"gpu": GPU, "both": BOTH, "hostile": hostile}
    for name, records in pages.items():
        (folder / f"{name}.html").write_text(to_html(records, title=name), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture
def gpu(browser, files):
    with opened(browser, files["gpu"]) as page:
        page.all_drawn()  # so that nothing moves any more
        yield page


def test_it_loads_without_a_network_and_draws_every_figure(gpu):
    assert gpu.page.locator(".drawing svg").count() == gpu.page.locator("[data-figure]").count() > 5
    assert gpu.count() == (len(GPU), len(GPU))


@pytest.mark.parametrize("key", ["median_us", "algorithm", "fraction", "rms_error_ulp"])
def test_a_column_sorts_both_ways_and_what_is_missing_comes_last(gpu, key):
    gpu.page.locator("#size").select_option("250")
    head = gpu.page.locator(f"thead th:has([data-sort={key}])")
    known = FRAME[key].dropna().sort_values(kind="stable")
    for press, state in enumerate(("ascending", "descending")):
        head.locator("button").click()
        gpu.page.locator(f"thead [aria-sort={state}] [data-sort={key}]").wait_for()
        shown = [text for text in gpu.column(key) if text != "–"]
        if key == "algorithm":
            assert shown == sorted(shown, key=str.casefold, reverse=press == 1)
        else:
            scale = 100 if key == "fraction" else 1
            expected = known.to_numpy()[:: -1 if press else 1] * scale
            assert [float(text.replace(",", "")) for text in shown] == pytest.approx(expected, rel=6e-3)
            assert gpu.column(key)[: len(shown)] == shown
    assert gpu.page.locator("thead [aria-sort=none]").count() == gpu.page.locator("thead th").count() - 1


def test_a_filter_shows_its_rows_alone_with_a_chip_that_takes_it_back(gpu):
    gpu.page.locator("[data-facet=outcome] summary").click()
    gpu.page.locator("[data-facet=outcome] label", has_text="refused").click()
    refused = int((FRAME.outcome == "refused").sum())
    assert gpu.count() == (refused, len(GPU))
    assert set(gpu.page.locator("#table .mark").all_inner_texts()) == {"refused"}
    gpu.page.locator("[data-facet=algorithm] summary").click()
    assert gpu.page.locator("[data-facet=outcome][open]").count() == 0
    gpu.page.locator("[data-facet=algorithm] .count").first.wait_for()  # the list is filled after the click
    # its counts are those of the rows that the other filters leave
    assert set(gpu.page.locator("[data-facet=algorithm] .count").all_inner_texts()) == {str(refused // 2)}
    gpu.page.keyboard.press("Escape")
    gpu.page.get_by_role("button", name="Remove filter outcome: refused").click()
    assert gpu.count() == (len(GPU), len(GPU))


def test_a_search_finds_all_of_its_words_anywhere(gpu):
    gpu.page.locator("#search").fill("CONV1 winograd")
    gpu.page.locator(".chip", has_text="search: CONV1 winograd").wait_for()
    assert gpu.count()[0] == 2
    gpu.page.locator("#search").fill("elements differ")
    gpu.page.locator(".chip", has_text="differ").wait_for()
    assert gpu.column("algorithm") == ["bad"]
    gpu.page.locator("#search").fill("no such thing")
    gpu.page.locator(".chip", has_text="no such").wait_for()
    assert gpu.count()[0] == 0


def mark(page, figure: str, number: int):
    """A point of a figure, where a mouse can be put on it."""
    found = page.page.locator(f"[id$={figure}] .drawing .mark-symbol.role-mark path").nth(number)
    found.scroll_into_view_if_needed()
    box = found.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_hovering_shows_the_problem_the_algorithm_all_figures_and_the_command(gpu):
    gpu.page.mouse.move(*mark(gpu, "roofline", 3))
    tip = gpu.page.locator("#tip")
    tip.wait_for(state="visible")
    said = " ".join(tip.inner_text().split())
    [row] = [
        row for row in FRAME.itertuples() if row.command in said and said.startswith(f"{row.algorithm} · {row.layer} ")
    ]
    assert row.problem in said
    for word in ("median, warm cache", "95 %", "median, cold cache", "rate", "error bound", "workspace", "multiply"):
        assert word in said
    gpu.page.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_a_selection_in_a_chart_filters_the_table_until_it_is_taken_back(gpu):
    gpu.page.mouse.click(*mark(gpu, "roofline", 3))
    bar = gpu.page.locator("#picked")
    bar.wait_for(state="visible")
    assert "1 result: chosen in “Roofline”" in bar.inner_text()
    assert gpu.count() == (1, len(GPU))
    gpu.page.keyboard.down("Shift")
    gpu.page.mouse.click(*mark(gpu, "roofline", 12))
    gpu.page.keyboard.up("Shift")
    gpu.page.locator("#picked", has_text="2 results").wait_for()
    gpu.page.locator(".chip", has_text="chosen in “Roofline”").click()
    assert gpu.count() == (len(GPU), len(GPU))
    assert bar.is_hidden()
    gpu.page.mouse.click(*mark(gpu, "roofline", 3))  # what was taken back can be chosen again
    bar.wait_for(state="visible")


def test_a_mark_of_many_results_chooses_those_it_shows(gpu):
    bar = gpu.page.locator("[id$=compile] .drawing .mark-rect.role-mark path").first
    bar.scroll_into_view_if_needed()
    bar.click()
    gpu.page.locator("#picked").wait_for(state="visible")
    assert len(set(gpu.column("algorithm"))) == 1


def test_details_have_the_samples_the_phases_and_a_command_that_can_be_copied(gpu):
    gpu.context.grant_permissions(["clipboard-read", "clipboard-write"])
    gpu.page.locator("#table .opener").first.click()
    details = gpu.page.locator(".details")
    assert details.locator("circle").count() == 60
    assert "30 samples" in details.locator("svg").get_attribute("aria-label")
    assert "multiply" in details.inner_text()
    assert "0.1.0" in details.inner_text()
    details.get_by_role("button", name="Copy").click()
    details.get_by_text("Copied").wait_for()
    assert gpu.page.evaluate("navigator.clipboard.readText()") == FRAME.command[0]
    gpu.page.locator("#table .opener").first.click()
    assert details.count() == 0


def test_a_command_can_be_copied_where_the_clipboard_is_forbidden(gpu):
    gpu.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    gpu.page.locator("#table .opener").first.click()
    gpu.page.get_by_role("button", name="Copy").click()
    gpu.page.locator(".said").filter(has_text=re.compile("Copied|Ctrl")).wait_for()
    assert gpu.page.evaluate("getSelection().toString()") == FRAME.command[0]


def paper(page) -> str:
    return page.page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_the_systems_until_another_is_chosen(browser, files):
    grounds = {}
    for scheme in ("light", "dark"):
        with opened(browser, files["gpu"], color_scheme=scheme) as page:
            grounds[scheme] = paper(page)
    assert grounds["light"] != grounds["dark"]
    with opened(browser, files["gpu"], color_scheme="light") as page:
        page.page.get_by_role("button", name="Dark").click()
        assert paper(page) == grounds["dark"]
        page.page.reload()
        page.page.locator("#table tbody tr").first.wait_for()
        assert paper(page) == grounds["dark"]
        assert page.page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
        page.page.get_by_role("button", name="Auto").click()
        assert paper(page) == grounds["light"]


@pytest.mark.parametrize("name", ["both", "hostile"])
def test_nothing_is_wider_than_a_small_phone(browser, files, name):
    with opened(browser, files[name], viewport={"width": 320, "height": 640}) as page:
        page.all_drawn()
        page.page.locator("#table .opener").first.click()
        assert page.page.evaluate("document.documentElement.scrollWidth") == 320
        box = page.page.locator(".box")
        assert box.evaluate("box => box.scrollWidth > box.clientWidth")
        assert page.page.locator(".details").bounding_box()["width"] <= 320


def test_paper_is_light_has_all_rows_and_no_controls(browser, files):
    with opened(browser, files["gpu"], color_scheme="dark") as page:
        page.page.locator("#size").select_option("25")
        page.page.emulate_media(media="print")
        page.page.locator(f"#table tbody tr:nth-child({len(GPU)})").wait_for()
        assert paper(page) == "rgb(255, 255, 255)"
        for selector in (".controls", ".pages", ".themes", ".skip", ".contents"):
            assert page.page.locator(selector).is_hidden()
        assert page.page.locator(".box").evaluate("box => box.scrollHeight <= box.clientHeight + 1")
        page.page.emulate_media(media="screen")
        page.page.locator("#table tbody tr:nth-child(26)").wait_for(state="detached")


def test_everything_can_be_done_with_the_keyboard(gpu):
    focused = "document.activeElement"
    press = gpu.page.keyboard.press
    press("Tab")
    assert gpu.page.evaluate(f"{focused}.textContent") == "Skip to the table of results"
    press("Enter")
    assert gpu.page.evaluate(f"{focused}.id") == "results-heading"
    press("Tab")
    assert gpu.page.evaluate(f"{focused}.id") == "search"
    gpu.page.keyboard.type("conv1 ")
    gpu.page.locator(".chip").wait_for()
    seen = []
    while gpu.page.evaluate(f"{focused}.dataset.sort") != "median_us":
        press("Tab")
        seen.append(gpu.page.evaluate(f"{focused}.outerHTML.slice(0, 40)"))
        assert gpu.page.evaluate(f"{focused}.matches(':focus-visible')"), seen
        assert len(seen) < 60, seen
    press("Enter")
    press("Enter")  # the focus stays in the head though it was drawn again
    assert gpu.page.locator("thead th:has([data-sort=median_us])").get_attribute("aria-sort") == "descending"
    while not gpu.page.evaluate(f"{focused}.matches('.opener')"):
        press("Tab")
    press("Enter")
    assert gpu.page.locator(".details").count() == 1
    assert gpu.page.evaluate(f"{focused}.getAttribute('aria-expanded')") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, files, scheme):
    with opened(browser, files["both"], color_scheme=scheme, bypass_csp=True) as page:  # axe is a script of its own
        page.all_drawn()
        page.page.locator("#table .opener").first.click()
        page.page.locator("[data-facet=algorithm] summary").click()
        page.page.locator("[data-facet=algorithm] label").first.click()
        found = AXE().run(page.page).response
        assert len(found["passes"]) > 20
        bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in bad] == []


def test_two_clocks_are_shown_one_at_a_time_and_named_in_the_heads(browser, files):
    with opened(browser, files["both"]) as page:
        page.all_drawn()
        assert page.count()[1] == len(GPU)
        assert "emulated" not in page.page.locator("thead").inner_text()
        page.page.locator("#clock").select_option(label="CPU wall clock, emulated on CPU")
        assert page.count()[1] == len(BOTH) - len(GPU)
        heads = page.page.locator("thead th:has(.unit)").all_inner_texts()
        timed_heads = [head for head in heads if ("%" not in head and "ulp" not in head) or "best" in head]
        assert len(timed_heads) >= 6
        assert all("emulated on CPU" in head for head in timed_heads)


def test_hostile_names_are_shown_and_do_nothing(browser, files):
    with opened(browser, files["hostile"]) as page:
        page.all_drawn()
        names = page.page.locator("#table .opener").evaluate_all("all => all.map(button => button.textContent)")
        assert set(names) == set(HOSTILE)
        page.page.locator("#table .opener").first.click()
        page.page.locator("[data-facet=layer] summary").click()
        page.page.mouse.move(*mark(page, "roofline", 0))
        page.page.locator("#tip").wait_for(state="visible")
        assert page.page.locator("img, iframe, object, embed, a[href^=javascript]").count() == 0
        assert page.page.locator("script").count() == 4


def test_the_policy_forbids_what_it_says(browser, files):
    with opened(browser, files["gpu"]) as page:
        refused = page.page.evaluate(
            """async () => {
                const found = [];
                const note = ({effectiveDirective}) => found.push(effectiveDirective);
                document.addEventListener("securitypolicyviolation", note);
                await fetch("https://example.org/").catch(() => 0);
                document.body.append(Object.assign(new Image(), {src: "https://example.org/a.png"}));
                document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = 1"}));
                await new Promise((done) => setTimeout(done, 300));
                return [found.sort(), window.ran];
            }"""
        )
        assert refused == [["connect-src", "img-src", "script-src-elem"], None]
        page.complaints.clear()  # the browser names each that it stopped
        page.requests = [url for url in page.requests if "example.org" not in url]


@pytest.mark.parametrize(("required", "ends"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_a_missing_browser_fails_where_it_is_required_and_else_skips(monkeypatch, required, ends):
    monkeypatch.setattr("support.browser.shutil.which", lambda name: None)
    monkeypatch.setattr("support.browser.REQUIRED", required)
    with pytest.raises(ends, match="apt-get install chromium"), chromium():
        pass


def test_the_tables_of_predicted_times_are_read_on_a_phone_and_the_emulators_charts_come_last(browser, tmp_path):
    file = tmp_path / "predicted.html"
    file.write_text(to_html(PREDICTED, title="predicted"), encoding="utf-8")
    with opened(browser, file, viewport={"width": 320, "height": 640}, bypass_csp=True) as page:
        page.all_drawn()
        assert page.page.evaluate("document.documentElement.scrollWidth") == 320
        tables = page.page.locator(".plain")
        assert tables.count() == 3
        shown = " ".join(tables.nth(1).inner_text().split())
        assert "what holds it back" in shown
        assert "12.0 µs" in shown
        rows = page.page.locator(".plain tbody tr").evaluate_all("all => all.map(row => row.offsetHeight)")
        assert max(rows) < 90
        order = page.page.locator("[data-figure]").evaluate_all("all => all.map(one => one.dataset.figure)")
        assert order[0] == "emulator-predicted"
        assert page.page.locator(".environments [data-figure]").count() == len(order) - 1
        found = AXE().run(page.page).response
        bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in bad] == []
