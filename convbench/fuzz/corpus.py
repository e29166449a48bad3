"""The corpus: the smallest case of every failure that was found, to be run again; a text file, or a folder of them.

    mine forward n1c1h1w2-k1r1s2-stride2 integers seed=0  # mine, forward: wrong values (y)

A file has one case per line. Empty lines and comments are ignored. Lines are only added at the end, never changed, and
all of a call or none. A case that depends on calls before it has these in comments above it.

In a folder, each new case is a file of its own (.txt), whose name is a digest of its content. So campaigns on many
machines can share it, on a network file system too, without a lock: files are only added, each is complete when its
name appears, and the same failure has the same name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from convbench.errors import CaseError, ConvbenchError
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.verdicts import Finding
from convbench.records import one_writer, replaced, unwritable

ENDING = ".txt"  # of the files of a folder
WAIT_S = 60.0  # for another process that writes the file; it takes milliseconds


@dataclass(frozen=True)
class KnownCase:
    """A case of a corpus, with the comments that belong to it."""

    case: FuzzCase
    words: str = ""  # the comment behind it; of a case that the fuzzer found, the cause
    notes: tuple[str, ...] = ()  # the lines of comments above it, which begin with #

    @classmethod
    def of(cls, finding: Finding) -> "KnownCase":
        """The case of a finding, with its cause, and the calls before it."""
        before = tuple(f"# before it: {case}" for case in finding.before)
        return cls(finding.case, " ".join(str(finding.cause).split()), before)

    def __str__(self) -> str:
        """Its lines, without the last line end."""
        return "\n".join((*self.notes, f"{self.case}{f'  # {self.words}' if self.words else ''}"))


@dataclass(frozen=True)
class Corpus:
    """A file of cases, or a folder of such files; it need not exist yet, and is a file then."""

    path: Path
    is_folder: bool = field(init=False)  # decided once: a folder that goes away is made again, as a folder

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_folder", self.path.is_dir())

    def cases(self) -> list[FuzzCase]:
        """Every case once, in the order of the file, or of the names of the files.

        Raises
        ------
        CaseError
            a line is no case; the message has its file and number.
        ConvbenchError
            a file cannot be read.
        """
        known, faults = self.known()
        if faults:
            raise faults[0]
        return list(dict.fromkeys(one.case for one in known))

    def known(self) -> tuple[list[KnownCase], list[CaseError]]:
        """Every line that is a case, and the mistakes in those that are not. Raises ConvbenchError."""
        known, faults = list[KnownCase](), list[CaseError]()
        for file in self.files():
            for one in _read(file):
                if isinstance(one, CaseError):
                    faults.append(one)
                else:
                    known.append(one)
        return known, faults

    def files(self) -> list[Path]:
        """The files that there are. A folder's are those that end with .txt, in the order of their names."""
        if self.is_folder:
            return sorted(file for file in self.path.glob(f"*{ENDING}") if not file.name.startswith("."))
        return [self.path] if self.path.exists() else []

    def add(self, finding: Finding) -> None:
        """Add the case of a failure, unless it is there with the same cause.

        Raises ConvbenchError, whose message has the case, if it cannot be written.
        """
        self.extend([KnownCase.of(finding)])

    def extend(self, cases: list[KnownCase]) -> None:
        """Add cases, except those that are there with the same comments. Raises ConvbenchError as `add` does."""
        try:
            if self.is_folder:
                for one in cases:
                    self._add_file(f"{one}\n".encode())
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with one_writer(self.path, wait_s=WAIT_S):
                there = set(map(str, self.known()[0]))
                old = self.path.read_bytes() if self.path.exists() else b""
                if new := [f"{one}\n" for one in cases if str(one) not in there]:
                    with replaced(self.path) as file:
                        file.write(old + b"\n" * (old[-1:] not in (b"", b"\n")) + "".join(new).encode())
        except (ConvbenchError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            lost = "\n    ".join(line for one in cases for line in str(one).splitlines())
            raise ConvbenchError(
                f"the corpus cannot be written to {self.path}: {reason}; what is not there:\n    {lost}"
            ) from error

    def require_writable(self) -> None:
        """Raise ConvbenchError if nothing can be added, before a long campaign whose failures it is to keep."""
        if reason := unwritable(self.path):
            raise ConvbenchError(f"the corpus cannot be written to {self.path}: {reason}")

    def _add_file(self, content: bytes) -> None:
        file = self.path / f"{sha256(content).hexdigest()[:32]}{ENDING}"
        if not file.exists():
            with replaced(file) as draft:
                draft.write(content)


def _read(path: Path) -> Iterator[KnownCase | CaseError]:
    """The cases of a file, and the mistakes in lines that are none, in their order. Raises ConvbenchError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConvbenchError(f"the corpus {path} cannot be read: {error}") from error
    notes = list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            notes.append(line.strip())
            continue
        if line.strip():
            try:
                case = FuzzCase.read(line)
            except CaseError as error:
                yield CaseError(f"{path}, line {number}: {error}")
            else:
                yield KnownCase(case, _comment(line, case), tuple(notes))
        notes.clear()


def _comment(line: str, case: FuzzCase) -> str:
    """The comment behind a case: what follows the first # that stands in none of its words."""
    for position in (index for index, letter in enumerate(line) if letter == "#"):
        try:
            if FuzzCase.read(line[:position]) == case:
                return line[position + 1 :].strip()
        except CaseError:  # the # stands in a word between quotes
            continue
    return ""
