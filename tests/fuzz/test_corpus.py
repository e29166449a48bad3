"""Every case of the corpus passes, and the corpus file keeps the findings that are added to it."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.algorithm import registry
from convbench.errors import CaseError, ConvbenchError
from convbench.fuzz import Cause, Corpus, Finding, FuzzCase, KnownCase, distilled, judge
from convbench.problem import DIRECTIONS, DTYPES, LAYOUTS, PADDING_MODES
from convbench.reference import KINDS
from support.disk import files_up_to

CASES = Corpus(Path(__file__).parents[1] / "cases" / "fuzz_corpus.txt").cases()
PROBLEM = "n1c1h3w3-k1r2s2-stride2"
LINE = f"direct forward {PROBLEM} integers seed=7"
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


def test_a_failure_is_there_once_and_its_case_is_run_once(tmp_path):
    for corpus in (Corpus(tmp_path / "corpus.txt"), Corpus(tmp_path)):
        corpus.add(FINDING)
        corpus.add(FINDING)
        assert [str(one) for one in corpus.known()[0]] == [f"{LINE}  # direct, forward: crash (Oops: it's not # there)"]
        (tmp_path / "corpus.txt").write_text(f"{LINE}\n{LINE}  # again\n")
        assert corpus.cases() == [FINDING.case]
        (tmp_path / "corpus.txt").unlink()


@pytest.mark.parametrize("name", [".", "corpus.txt"])
def test_campaigns_side_by_side_lose_and_double_no_failure(tmp_path, name):
    """Each of four processes adds failures that another adds too, and some of its own."""
    fork = multiprocessing.get_context("fork")
    corpus, barrier = Corpus(tmp_path / name), fork.Barrier(4)

    def add_some(first: int) -> None:
        barrier.wait()
        for seed in range(first, first + 10):
            corpus.add(replace(FINDING, case=replace(FINDING.case, seed=seed)))

    processes = [fork.Process(target=add_some, args=(5 * n,)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    known, faults = corpus.known()
    assert (sorted(one.case.seed for one in known), faults) == ([*range(25)], [])
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_folder_that_goes_away_is_made_again(tmp_path):
    (tmp_path / "corpus").mkdir()
    corpus = Corpus(tmp_path / "corpus")
    (tmp_path / "corpus").rmdir()
    corpus.add(FINDING)
    assert corpus.cases() == Corpus(tmp_path / "corpus").cases() == [FINDING.case]


@pytest.mark.parametrize("name", ["corpus.txt", "."])
def test_a_failure_that_cannot_be_saved_is_told(tmp_path, name):
    """A limit on the sizes of files acts like a full disk."""
    corpus = Corpus(tmp_path / name)
    with files_up_to(20), pytest.raises(ConvbenchError, match="cannot be written to") as told:
        corpus.add(FINDING)
    assert f"not there:\n    {LINE}  # direct, forward: crash" in str(told.value)
    assert corpus.known() == ([], [])
    assert [file.name for file in tmp_path.iterdir()] in ([], ["corpus.txt"])


def test_a_case_keeps_the_comments_that_belong_to_it(tmp_path):
    finding = replace(FINDING, before=(FINDING.case,))
    corpus = Corpus(tmp_path / "corpus.txt")
    corpus.path.write_text(
        f"# a file of mine\n\n'direct' forward '{PROBLEM}' integers seed=1 config='name=\"#\"' # one\n"
    )
    corpus.add(finding)
    first, second = corpus.known()[0]
    assert (first.words, first.notes, first.case.config) == ("one", (), 'name="#"')
    assert second == KnownCase.of(finding)
    assert second.notes == (f"# before it: {LINE}",)


# ---- distilling


def known(line: str, words: str = "direct, forward: crash (Oops)") -> KnownCase:
    return KnownCase(FuzzCase.read(line), words)


SMALL, LARGE, STRIDED, PADDED = (
    known(f"direct forward {problem} integers seed=1")
    for problem in ("n1c1h1w1-k1r1s1", "n1c9h9w9-k1r1s1", "n1c1h3w3-k1r1s1-stride2", "n1c1h3w3-k1r1s1-pad1")
)


@given(st.permutations([SMALL, LARGE, STRIDED, PADDED, SMALL]))
def test_of_one_bug_the_smallest_case_stays_in_whatever_order(order):
    assert distilled(order).new == [SMALL]
    assert distilled([one for one in order if one != SMALL]).new == [LARGE]
    assert distilled([one for one in order if one not in (SMALL, LARGE)]).new == [STRIDED, PADDED]


def test_other_causes_and_cases_that_a_person_wrote_stay():
    other = replace(LARGE, words="direct, forward: crash (Help)")
    mine = [replace(SMALL, words="mine"), replace(LARGE, words="mine"), replace(PADDED, words="")]
    found = distilled([SMALL, LARGE, other, *mine, *mine])
    assert {*found.new} == {SMALL, other, *mine}
    assert (found.doubled, found.explained) == (3, 1)


def test_what_is_there_stays_and_explains_what_is_new():
    found = distilled([SMALL, STRIDED, LARGE, replace(LARGE, words="")], there=[LARGE])
    assert (found.new, found.doubled, found.explained) == ([], 2, 2)


def test_a_line_that_is_no_case_is_named(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(f"{LINE}\n\nmilk\n")
    with pytest.raises(CaseError, match=r"corpus.txt, line 3: 1 words"):
        Corpus(path).cases()


def test_what_cannot_be_read_or_written_is_an_error(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConvbenchError, match="cannot be read"):
        Corpus(tmp_path / "binary").cases()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvbenchError, match="cannot be written"):
        Corpus(tmp_path / "file" / "corpus.txt").add(FINDING)
    with pytest.raises(ConvbenchError, match="cannot be written"):
        Corpus(tmp_path / "file" / "corpus.txt").require_writable()
