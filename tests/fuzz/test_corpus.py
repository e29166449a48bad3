"""Every case of the corpus passes, and the corpus file keeps the findings that are added to it."""

from pathlib import Path

import pytest

from convbench.algorithm import registry
from convbench.errors import CaseError, ConvbenchError
from convbench.fuzz import Cause, Corpus, Finding, FuzzCase, judge
from convbench.problem import DIRECTIONS, DTYPES, LAYOUTS, PADDING_MODES
from convbench.reference import KINDS

CASES = Corpus(Path(__file__).parents[1] / "cases" / "fuzz_corpus.txt").cases()
LINE = "direct forward n1c1h3w3-k1r2s2-stride2 integers seed=7"
FINDING = Finding(
    case=FuzzCase.read(LINE),
    cause=Cause("direct", "forward", "crash", "Oops:  it's\nnot # there"),
    reason="it's\nnot 3",
)


def test_every_case_of_the_corpus_passes(algorithm, device):
    mine = [case for case in CASES if case.algorithm == algorithm.name]
    assert len(mine) > 15
    verdicts = {str(case): judge(case, algorithm, device) for case in mine}
    assert {line: verdict for line, verdict in verdicts.items() if verdict.outcome != "passed"} == {}


def test_the_corpus_has_every_algorithm_and_every_word():
    assert {case.algorithm for case in CASES} == set(registry.names())
    assert {case.direction for case in CASES} == set(DIRECTIONS)
    assert {case.kind for case in CASES} == set(KINDS)
    for field, words in (("dtype", DTYPES), ("layout", LAYOUTS), ("padding_mode", PADDING_MODES)):
        assert {getattr(case.problem, field) for case in CASES} == set(words)


# ---- the file


def test_a_file_that_is_not_there_has_no_cases_and_is_made_when_needed(tmp_path):
    corpus = Corpus(tmp_path / "new" / "corpus.txt")
    assert corpus.cases() == []
    assert not corpus.path.exists()
    corpus.add(FINDING)
    assert corpus.cases() == [FINDING.case]


def test_a_case_is_a_line_with_its_cause_and_what_was_there_stays(tmp_path):
    corpus = Corpus(tmp_path / "corpus.txt")
    corpus.path.write_text(f"# mine\n\n{LINE.replace('seed=7', 'seed=8')}")  # with no end of its last line
    before = corpus.path.read_text()
    corpus.add(FINDING)
    added = f"\n{LINE}  # direct, forward: crash (Oops: it's not # there)\n"
    assert corpus.path.read_text() == before + added
    assert [case.seed for case in corpus.cases()] == [8, 7]


def test_a_case_that_is_there_twice_is_run_once(tmp_path):
    corpus = Corpus(tmp_path / "corpus.txt")
    corpus.add(FINDING)
    corpus.add(FINDING)
    assert corpus.path.read_text().count("\n") == 2
    assert corpus.cases() == [FINDING.case]


def test_a_line_that_is_no_case_is_named(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(f"{LINE}\n\nmilk\n")
    with pytest.raises(CaseError, match=r"corpus.txt, line 3: 1 words"):
        Corpus(path).cases()


def test_what_cannot_be_read_or_written_is_an_error(tmp_path):
    with pytest.raises(ConvbenchError, match="cannot be read"):
        Corpus(tmp_path).cases()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConvbenchError, match="cannot be read"):
        Corpus(tmp_path / "binary").cases()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvbenchError, match="cannot be written"):
        Corpus(tmp_path / "file" / "corpus.txt").add(FINDING)
