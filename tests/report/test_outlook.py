"""Predicted times lead a report where no GPU was measured, are named as such, and meet no measured time in a table."""

import re
from itertools import takewhile

import pytest

from cases.handmade import failed, predicted, timed, unpredicted
from cases.synthetic import EMULATOR, GPU
from convbench.report import to_html, to_markdown
from convbench.report.chapters import chapters
from convbench.report.figures import figures
from convbench.report.outlook import differences, outlooks
from convbench.report.summary import summary

SAID = "predicted for NVIDIA H200 SXM, not measured"


def layers(device, *, is_device=False):
    """Three layers by two or three algorithms; the order of the measured times is the reverse of the predicted one."""
    times = {
        ("conv1", "direct"): 10.0, ("conv1", "fft_tiled"): 30.0, ("conv1", "winograd_2x2_3x3"): 90.0,
        ("conv2", "direct"): 10.0, ("conv2", "fft_tiled"): 11.0, ("conv3", "fft_tiled"): 4.0,
    }  # fmt: skip
    return [
        timed(
            1000.0 / us, algorithm=algorithm, layer=layer, device=device, count=2,
            predicted=predicted(us, is_device=is_device),
        )
        for (layer, algorithm), us in times.items()
    ]  # fmt: skip


LACKING = timed(
    3.0, algorithm="implicit_gemm_f16", layer="conv1", device=EMULATOR, predicted=unpredicted("wmma is not counted")
)
EMULATED = [*layers(EMULATOR), LACKING, failed("refused", algorithm="depthwise", layer="conv1", device=EMULATOR)]
MEASURED = layers(GPU, is_device=True)


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the third level, in order."""
    parts = page.split("\n### ")
    return {"": parts[0]} | {heading: text for heading, _, text in (part.partition("\n") for part in parts[1:])}


def heads(text: str) -> list[str]:
    return next((line for line in text.splitlines() if line.startswith("|")), "").split("|")


def test_a_report_without_a_gpu_leads_with_predicted_times_and_ends_with_those_of_the_emulator():
    found = sections(to_markdown(EMULATED, title="t"))
    names = list(found)
    assert found[""].index(f"{SAID[0].upper()}{SAID[1:]}: direct is the fastest in 2 of 3 layers") > 0
    assert "CPU wall clock" not in found[""]
    assert names[1] == f"Best of each layer, {SAID}"
    predicted_until = names.index("Environment")
    assert [name for name in names[:predicted_until] if SAID in name] == names[1:4]
    assert names[predicted_until + 1] == "How long the emulator took"
    assert "say how long it took here, and nothing about a GPU" in found["How long the emulator took"]
    assert names.index("Every layer and algorithm") > predicted_until


@pytest.mark.parametrize("records", [EMULATED, MEASURED], ids=["emulated", "measured"])
def test_no_table_has_both_kinds_of_times(records):
    for heading, text in sections(to_markdown(records, title="t")).items():
        told = " ".join(heads(text))
        assert not ("predicted" in told and ("cache" in told or "median" in told or "emulated" in told)), heading
        if "predicted" in told:
            assert SAID in heading


def test_the_winner_and_its_lead_are_those_of_the_prediction_and_a_close_second_is_counted():
    page = to_markdown(EMULATED, title="t")
    assert "direct is the fastest in 2 of 3 layers; fft_tiled in 1. In 1 the second is closer than the model's" in page
    assert "the median error of the model is 20% (reports/predicted/published_times.md)" in page
    mean = (3.0 * 1.1) ** 0.5
    assert f"direct is predicted to be {mean:.2f} times as fast as the best of the others" in page
    assert "The predicted winners are bound by the memory in 3 layers." in page
    best = sections(page)[f"Best of each layer, {SAID}"]
    assert re.search(r"\| conv1 +\| 2 +\| direct +\| 10.0 µs +\| 3.00 times", best)
    totals = sections(page)[f"Totals, {SAID}, each layer as often as it occurs"]
    assert re.search(r"\| the best of each layer \| 3 of 3 +\| 48.0 µs", totals)


def test_a_result_without_a_predicted_time_says_why():
    page = to_markdown(EMULATED, title="t")
    assert "1 result without a predicted time: implicit_gemm_f16 (wmma is not counted)." in page
    rows = sections(page)[f"Every layer and algorithm, {SAID}"]
    assert re.search(r"\| implicit_gemm_f16 \| – +\| – +\| – +\| 0.25, exact +\| wmma is not counted", rows)
    alone = to_markdown([LACKING], title="t")
    assert "No time is predicted for NVIDIA H200 SXM: implicit_gemm_f16 (wmma is not counted)." in alone
    assert alone.index("No time is predicted") < alone.index("How long the emulator took") < alone.index("3.00 µs")
    assert "| implicit_gemm_f16 | wmma" not in alone  # a table of no times is left out


def test_a_report_of_records_without_predictions_is_as_before():
    page = to_markdown([timed(5.0, device=EMULATOR)], title="t")
    assert "predicted" not in page
    assert "How long the emulator took" not in page


def test_predictions_for_two_gpus_have_tables_of_their_own():
    other = timed(5.0, algorithm="direct", layer="conv4", device=EMULATOR, predicted=predicted(7.0, gpu="NVIDIA T4"))
    (chapter,) = chapters([*EMULATED, other])
    assert [one.gpu for one in outlooks(chapter)] == ["NVIDIA H200 SXM", "NVIDIA T4"]
    page = to_markdown([*EMULATED, other], title="t")
    assert "Every layer and algorithm, predicted for NVIDIA T4, not measured" in page
    assert "conv4" not in sections(page)[f"Every layer and algorithm, {SAID}"]


def test_on_a_gpu_measured_times_lead_and_differences_beyond_the_models_error_are_named():
    page = to_markdown(MEASURED, title="t")
    names = list(sections(page))
    assert names.index("Every layer and algorithm") < names.index(f"Every layer and algorithm, {SAID}")
    (chapter,) = chapters(MEASURED)
    told = differences(chapter, outlooks(chapter)[0])
    # measured 100, 33.3, 11.1, 100, 90.9 and 250 µs where 10, 30, 90, 10, 11 and 4 µs were predicted
    assert told in page
    assert told.startswith("5 of 6 results that were measured and predicted on NVIDIA H200 SXM lie outside")
    assert "fft_tiled on conv3 took 250 µs, 62.5 times as long as predicted (4.00 µs; bound by the memory)" in told
    assert "winograd_2x2_3x3 on conv1 took 11.1 µs, 8.1 times as short as predicted" in told
    assert "fft_tiled on conv1" not in told
    alike = [timed(10.0, device=GPU, predicted=predicted(11.0, is_device=True))]
    assert "No measured time of 1 result" in to_markdown(alike, title="t")


def test_times_of_another_gpu_or_of_the_emulator_are_never_set_against_predictions():
    for records in (layers(GPU), layers(EMULATOR)):
        (chapter,) = chapters(records)
        assert differences(chapter, outlooks(chapter)[0]) is None


def test_the_first_picture_is_of_predicted_times_alone():
    drawn = figures(EMULATED)
    assert drawn[0].is_predicted
    assert not any(figure.is_predicted for figure in drawn[1:])
    told = drawn[0].chart.to_json()
    assert SAID in told
    assert "emulated" not in told
    assert "median" not in told.replace("the median error", "")
    assert drawn[0].reading.startswith("Predicted for NVIDIA H200 SXM, not measured")
    assert not any(figure.is_predicted for figure in figures([timed(5.0, device=EMULATOR)]))
    assert [figure.is_predicted for figure in figures(MEASURED)][-1]


def test_the_html_page_has_the_tables_and_keeps_the_emulators_times_behind_the_environment():
    page = to_html(EMULATED, title="t")
    environment = page.index('id="environments-heading"')
    assert page.index(f"Every layer and algorithm, {SAID}") < environment < page.index("How long the emulator took")
    top = page[: page.index("<noscript>")]
    assert "Predicted for NVIDIA H200 SXM, not measured: direct is the fastest" in top
    assert "nothing about a GPU" not in top
    assert 'class="warning"' not in top


def test_the_sentences_that_a_run_ends_with_are_of_the_prediction():
    kinds = [one.kind for one in summary(chapters(EMULATED))]
    assert list(takewhile(lambda kind: kind != "what", kinds)) == [
        "predicted", "predicted lead", "bottlenecks", "lacking", "verified",
    ]  # fmt: skip
    assert "clock" not in kinds
