"""Write records as JUnit XML for continuous integration: each record is a test case, each chapter a suite.

The XML follows the Ant schema (windyroad/JUnit-Schema, JUnit.xsd), the strictest of those in use, so that readers of
Surefire's and Jenkins' dialects accept it too. JUnit has no units. The time of a test case is the sum of all its
samples in seconds: how long it was measured, not how fast the algorithm is.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from convbench.records import FAILURES, Record
from convbench.report.chapters import Chapter, chapters
from convbench.report.frame import command_of, is_native, is_slowed
from convbench.report.units import duration

# the characters that XML 1.0 cannot represent, §2.2
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
EPOCH = "1970-01-01T00:00:00"  # stands in for a record's time that cannot be read


def to_junit(*sources: Iterable[Record], names: Sequence[str] = ()) -> str:
    """The latest record of each measurement as JUnit XML.

    With several sources, the names of suites begin with the source's name in `names`.
    """
    root = ET.Element("testsuites")
    several = names if len(sources) > 1 else [""] * len(sources)
    for name, records in zip(several, sources, strict=True):
        for chapter in chapters(records):
            root.append(_suite(chapter, f"{name}: {chapter.heading}" if name else chapter.heading, len(root)))
    ET.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n"


def _suite(chapter: Chapter, name: str, place: int) -> ET.Element:
    records = chapter.records
    outcomes = [record.outcome for record in records]
    suite = ET.Element(
        "testsuite",
        {
            "name": _token(name), "package": "convbench", "id": str(place), "hostname": "localhost",
            "timestamp": _timestamp(min(record.when for record in records)), "tests": str(len(records)),
            "failures": str(sum(outcome in FAILURES for outcome in outcomes)), "errors": "0",
            "skipped": str(outcomes.count("refused")), "time": _seconds(sum(map(_measured_us, records))),
        },
    )  # fmt: skip
    properties = ET.SubElement(suite, "properties")
    for key, value in {**records[-1].device, "commit": records[-1].environment.get("commit")}.items():
        ET.SubElement(properties, "property", {"name": _token(key), "value": _text(value)})
    for record in records:
        suite.append(_case(record))
    spoken = ET.SubElement(suite, "system-out")
    spoken.text = _text("\n".join(map(_spoken, records)))
    ET.SubElement(suite, "system-err")
    return suite


def _case(record: Record) -> ET.Element:
    name = f"{record.algorithm} {record.problem}"
    if record.direction != "forward":
        name += f" {record.direction}"
    if record.config:
        name += f" {', '.join(f'{key}={value}' for key, value in record.config.items())}"
    case = ET.Element(
        "testcase",
        {"name": _token(name), "classname": _token(f"{record.workload}.{record.layer}"),
         "time": _seconds(_measured_us(record))},
    )  # fmt: skip
    if record.outcome == "refused":
        ET.SubElement(case, "skipped", {"message": _text(record.reason)})
    elif record.outcome in FAILURES:
        failure = ET.SubElement(case, "failure", {"type": record.outcome, "message": _text(record.reason)})
        failure.text = _text(f"{record.reason}\nagain by: {command_of(record)}")
    return case


def _spoken(record: Record) -> str:
    told: str = record.outcome
    if record.timing is not None:
        clock = str(record.device["clock"])
        own = clock.rpartition(", ")[0] + ", native" if is_native(record) else clock
        told += f", median {duration(record.timing.median_us)} ({own})"
        if is_slowed(record.timing.first):
            told += "; all of its samples were taken while slowed down"
    return f"{record.workload}.{record.layer}, {record.algorithm}, {record.problem}: {told}"


def _measured_us(record: Record) -> float:
    return sum(sum(series.samples_us) for series in record.timing.series) if record.timing else 0.0


def _seconds(us: float) -> str:
    """Seconds as XML's `decimal`, which has no exponents."""
    return f"{us / 1e6:.6f}"


def _timestamp(when: str) -> str:
    """A time in UTC, without its time zone, as the schema requires."""
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return EPOCH
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _token(value: object) -> str:
    """A value as a name: on one line, and not empty."""
    return " ".join(_text(value).split()) or "unnamed"


def _text(value: object) -> str:
    return NO_XML.sub("\N{REPLACEMENT CHARACTER}", "" if value is None else str(value))
