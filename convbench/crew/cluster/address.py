"""Where a cluster is: `local:4`, `tcp://scheduler:8786`, or the file that a scheduler has written."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from convbench.errors import ConvbenchError

FORMS = "local:4, tcp://HOST:PORT, tls://HOST:PORT, or the path of a scheduler's file.json"
MOST_LOCAL = 1024


@dataclass(frozen=True)
class Address:
    """The address of a cluster: a number of workers to start here, or that of a scheduler."""

    text: str
    workers: int = 0  # to start on this machine; 0: there is a scheduler
    scheduler: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the cluster is started here, for this call alone."""
        return self.workers > 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that a text names. A scheduler's file is read. Raises ConvbenchError."""
        if (local := re.fullmatch("local:([0-9]{1,9})", text, re.ASCII)) is not None:
            workers = int(local[1])
            if not 1 <= workers <= MOST_LOCAL:
                raise ConvbenchError(f"--cluster {text}: the number of workers must be from 1 to {MOST_LOCAL:,}")
            return cls(text, workers=workers)
        if re.fullmatch(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}", text, re.ASCII):
            return cls(text, scheduler=text)
        if text.endswith(".json"):
            return cls(text, scheduler=_of_file(Path(text)))
        raise ConvbenchError(f"--cluster {text!r} is no address of a cluster; give {FORMS}")


def _of_file(path: Path) -> str:
    """The address in a file that `dask scheduler --scheduler-file` has written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["address"]
    except OSError as error:
        raise ConvbenchError(f"--cluster {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):  # no JSON, no object, or one without an address
        found = None
    if not isinstance(found, str):
        raise ConvbenchError(f"--cluster {path} is no scheduler's file: it names no address")
    return found
