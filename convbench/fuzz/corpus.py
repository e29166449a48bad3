"""The corpus: a text file with the smallest case of every failure that was found, one per line, to be run again.

    mine forward n1c1h1w2-k1r1s2-stride2 integers seed=0  # mine, forward: wrong values (y)

Empty lines and comments are ignored. Lines are only appended, never changed. A case that depends on calls before it
has these in comments above it.
"""

from dataclasses import dataclass
from pathlib import Path

from convbench.errors import CaseError, ConvbenchError
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.verdicts import Finding


@dataclass(frozen=True)
class Corpus:
    """A file of cases, which need not exist yet."""

    path: Path

    def cases(self) -> list[FuzzCase]:
        """Every case once, in the order of the file.

        Raises
        ------
        CaseError
            a line is no case; the message has its number.
        ConvbenchError
            the file cannot be read.
        """
        found = []
        for number, line in enumerate(self._text().splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    found.append(FuzzCase.read(line))
                except CaseError as error:
                    raise CaseError(f"{self.path}, line {number}: {error}") from error
        return list(dict.fromkeys(found))

    def add(self, finding: Finding) -> None:
        """Append the case of a failure. Raises ConvbenchError if the file cannot be written."""
        text = self._text()
        end = "" if not text or text.endswith("\n") else "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(end + "".join(f"# before it: {case}\n" for case in finding.before))
                file.write(f"{finding.case}  # {' '.join(str(finding.cause).split())}\n")
        except OSError as error:
            raise ConvbenchError(f"the corpus cannot be written to {self.path}: {error.strerror}") from error

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConvbenchError(f"the corpus {self.path} cannot be read: {error}") from error
