"""Keep linked kernels on disk, so that the next process need not spend most of a compilation's time again.

A file holds one `Linked`: text and tables, nothing that belongs to a process. Its name is a digest of the `identity` of
the kernel, the types of its arguments and everything else that went into it. The folder's name is a digest of the
emulator's own sources, the packages that compile, and the processor. A file is written completely or not at all. A
file that cannot be read is made again. A kernel without an identity is compiled in every process, and so is every
kernel if the folder cannot be written.

A linked kernel is code, so whoever writes one here could run it as the user. Reading a file executes nothing (`codec`),
and its content is authenticated by a key that the user alone can read (HMAC, RFC 2104). A folder that others own or may
write is not used, with a warning.
"""

import hashlib
import hmac
import os
import platform
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convbench.emulator import cache_folder, codec
from convbench.emulator.building import Linked, bind
from convbench.emulator.identity import identity
from convbench.emulator.machine import Machine

_PACKAGES = ("numba-cuda", "numba", "llvmlite", "numpy")
_switched_off: list[bool] = []
_bound = cache_folder.Bound()
_KEY_BYTES, _SEAL = 32, "sha256"  # a seal has as many bytes as the key


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Compile without reading or writing files: for kernels that nobody will ask for again."""
    _switched_off.append(True)
    try:
        yield
    finally:
        _switched_off.pop()


def linked(kernel: Any, key: tuple[Any, ...], machine: Machine, make: Callable[[], Linked]) -> Linked:
    """The result of `make`, now or in an earlier process, for the same kernel and a `key` with the same text."""
    # an address in the text of the key means nothing to another process
    digest = None if _switched_off or " at 0x" in repr(key) else identity(kernel)
    folder = None if digest is None else _folder(machine.cpu + machine.features)
    if folder is None:
        return make()
    file = folder / hashlib.sha256(f"{digest} {key!r}".encode()).hexdigest()
    try:
        key_of_user = _key(folder.parent)
    except OSError:  # somebody has removed the folder meanwhile
        return make()
    found = _read(file, key_of_user)
    if found is None:
        found = make()
        _write(file, found, key_of_user)
    else:
        bind(found.symbols)
    return found


def _read(file: Path, key: bytes) -> Linked | None:
    """The kernel of a file; None if it is not there, incomplete, or not sealed with the key."""
    try:
        sealed = file.read_bytes()
    except OSError:
        return None
    seal, content = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
    if not hmac.compare_digest(seal, _seal(key, file.name, content)):
        return None
    with suppress(OSError):
        os.utime(file)  # the files that were not used for the longest time go first
    return codec.decoded(zlib.decompress(content))


def _write(file: Path, made: Linked, key: bytes) -> None:
    new = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # on a full disk, the next process only compiles again
        content = zlib.compress(codec.encoded(made), 1)
        _write_own(new, _seal(key, file.name, content) + content)
        new.replace(file)
        _bound.wrote(_KEY_BYTES + len(content))


def _seal(key: bytes, name: str, content: bytes) -> bytes:
    """What only the user can compute of a file: of its name too, so that no other kernel's file can take its place."""
    return hmac.digest(key, name.encode() + content, _SEAL)


def _write_own(file: Path, content: bytes) -> None:
    """Write a new file that nobody else may read. Raises OSError."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)


def _key(root: Path) -> bytes:
    """The key of the user, which the first process makes."""
    file = root / "key"
    for _ in range(2):
        with suppress(FileNotFoundError):
            key = file.read_bytes()
            if len(key) == _KEY_BYTES and cache_folder.is_own(file, others_may=0):
                return key
            file.unlink()
        new = file.with_suffix(f".{os.getpid()}")
        _write_own(new, secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):  # another process was faster
            os.link(new, file)
        new.unlink()
    return file.read_bytes()


@cache
def _folder(processor: str) -> Path | None:
    """The folder for this version and processor; None if it cannot be written."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    words = [processor, platform.python_version(), *(f"{name} {version(name)}" for name in _PACKAGES)]
    digest = hashlib.sha256("\n".join(words).encode() + b"".join(source.read_bytes() for source in sources))
    try:
        folder = cache_folder.made(digest.hexdigest()[:16])
        if folder is None:
            return None
        _key(folder.parent)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None
