"""Every reader of text from outside gives a value or raises an error that it documents, whatever the text is."""

import random

import pytest

from cases.parsers import parsers

ODD = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"\x1b[31m",
    b'"',
    b"{",
    b"-1",
    b"1" * 5000,
    b"\xed\xa0\x80",
    "\u202e²".encode(),
    b"nan",
)
DAMAGED = 24  # texts of each reader


def damaged(text: bytes, draw: random.Random) -> bytes:
    """The text with a part cut out, doubled, or replaced by something odd."""
    first, last = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
    last = min(last, first + 12)
    new = draw.choice((b"", text[first:last] * 2, *ODD))
    return text[:first] + new + text[last:]


@pytest.fixture(params=parsers().values(), ids=parsers())
def parser(request):
    return request.param


def test_a_reader_reads_its_own_texts(parser):
    for text in parser.texts:
        parser.read(text)


def test_a_damaged_text_is_read_or_refused(parser):
    draw = random.Random(parser.name)
    for number in range(DAMAGED):
        text = damaged(parser.texts[number % len(parser.texts)], draw)
        fault = parser.fault(text)
        assert fault is None, (text, fault)


@pytest.mark.parametrize("text", ODD)
def test_an_odd_text_is_read_or_refused(parser, text):
    assert parser.fault(text) is None
