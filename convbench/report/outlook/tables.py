"""The tables of predicted times, as columns, which Markdown and the HTML page render. They have no measured time."""

from collections.abc import Iterable

from convbench.report.chapters import LAYER, Chapter
from convbench.report.outlook.outlook import Outlook
from convbench.report.units import NOTHING, duration, durations, interval, missing, number

Columns = dict[str, Iterable[object]]


def tables(chapter: Chapter, outlook: Outlook) -> list[tuple[str, Columns]]:
    """The tables of an outlook with their headings, which say that the times are predicted."""
    caption = outlook.caption
    found = []
    if outlook.timed.algorithm.nunique() > 1:
        found.append((f"Best of each layer, {caption}", _best(outlook)))
    found.append((f"Every layer and algorithm, {caption}", _results(outlook)))
    found.append((f"Totals, {caption}, each layer as often as it occurs", _totals(chapter, outlook)))
    return found


def _best(outlook: Outlook) -> Columns:
    won = outlook.winners
    return {
        "layer": won.layer,
        "count": won["count"],
        "best": won.algorithm,
        "predicted": won.us.map(duration),
        "ahead of the second by": [NOTHING if missing(each) else f"{each:.2f} times" for each in won.lead],
        "bound by": won.bound,
    }


def _results(outlook: Outlook) -> Columns:
    place = outlook.frame.groupby(LAYER, sort=False).ngroup()
    order = outlook.frame.assign(place=place).sort_values(["place", "us"], kind="stable")
    verified = zip(order.fraction, order.exact, strict=True)
    return {
        "layer": order.layer,
        "algorithm": order.algorithm,
        "predicted": order.us.map(durations),
        "bounds of the model": [interval(*each) for each in zip(order.low_us, order.high_us, strict=True)],
        "of best": [NOTHING if missing(each) else f"{each:.2f}" for each in order.speed],
        "verified, of bound": [f"{number(share)}{', exact' if exact else ''}" for share, exact in verified],
        "what holds it back": [
            f"{lacks}" if missing(us) else f"{kernel}: {told}"
            for us, kernel, told, lacks in zip(order.us, order.kernel, order.bottleneck, order.lacks, strict=True)
        ],
    }


def _totals(chapter: Chapter, outlook: Outlook) -> Columns:
    """Sums over layers. A sum leaves out the layers on which its algorithm has no predicted time, and says so."""
    timed, everything = outlook.timed, chapter.frame.groupby(LAYER).ngroups
    single = timed.sort_values("us", kind="stable").drop_duplicates([*LAYER, "algorithm"])
    weighted = single.assign(total=single.us * single["count"])
    best = single.drop_duplicates(LAYER)
    rows = [("the best of each layer", len(best), float((best.us * best["count"]).sum()))]
    rows += [(str(name), len(group), float(group.total.sum())) for name, group in weighted.groupby("algorithm")]
    rows.sort(key=lambda row: (-row[1], row[2]))
    return {
        "algorithm": [name for name, _, _ in rows],
        "layers": [f"{count} of {everything}" for _, count, _ in rows],
        "total, predicted": [duration(total) for _, _, total in rows],
    }
