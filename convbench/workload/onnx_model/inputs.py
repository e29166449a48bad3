"""Checks the sizes that a user gives for tensors of an ONNX model, and proposes sizes where none are given."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from numbers import Integral
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload.layer import printable
from convbench.workload.onnx_model.tensor import BATCH, Given, Size, Tensor

# Sizes to propose. 224 is the usual height and width of an image; the others are for models that need more, less, or a
# multiple of another number, and for sound.
_SPATIAL = (224, 512, 32, 640, 16000)
_CHANNELS = (3, 1)
_MOST_CHANNELS_OF_IMAGES = 4
_TRIED = 4  # so many proposals are compared, from the first that helps on; each takes an inference


def checked(inputs: Any) -> dict[str, tuple[int, ...]]:
    """The sizes by name, as tuples. Raises ConvbenchError if they are not whole numbers of at least 1."""
    if not isinstance(inputs, Mapping):
        raise ConvbenchError(f'inputs is {inputs!r}; it must be sizes by name, such as {{"x": (1, 3, 224, 224)}}')
    found: dict[str, tuple[int, ...]] = {}
    for name, sizes in inputs.items():
        if not isinstance(sizes, Sequence) or not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
            raise ConvbenchError(f"the sizes of input {name!r} are {sizes!r}; they must be whole numbers, at least 1")
        if any(int(size) >= 2**63 for size in sizes):
            raise ConvbenchError(f"a size of input {name!r} does not fit into 64 bits, which ONNX has for one")
        found[str(name)] = tuple(map(int, sizes))
    return found


def as_text(given: Given) -> str:
    """Given sizes as they are written after `--input`."""
    return ", ".join(f"{printable(name)}={'x'.join(map(str, sizes))}".lstrip("=") for name, sizes in given.items())


def remedy(
    inputs: Mapping[str, tuple[Size, ...] | None],
    operands: Sequence[tuple[str, Tensor | None]],
    helps: Callable[[Given], tuple[int, bool]],
) -> str:
    """The end of a message about an unknown size: the options that give it, and the inputs that have open sizes.

    Parameters
    ----------
    inputs : the sizes of the model's inputs
    operands : the input and the weight of the node whose size is unknown, each with its name
    helps : how many convolutions of the model have a problem with these sizes, 0 if the node has none, and whether all
        have one; sizes for which the node has none are not proposed
    """
    opened = {name: sizes for name, sizes in inputs.items() if sizes is None or not _known(sizes)}
    told = f"; open are {', '.join(f'{name!r} ({_listed(sizes)})' for name, sizes in opened.items())}" if opened else ""
    best, most, tried = None, 0, 0
    for proposed in (*_of_inputs(opened), *_of_operands(operands)):
        count, complete = helps(proposed)
        best, most = (proposed, count) if count > most else (best, most)
        tried += best is not None
        if complete or tried == _TRIED:
            break
    if best is None:
        return told
    options = " ".join(f"--input {shlex.quote(as_text({name: sizes}))}" for name, sizes in best.items())
    return f"; give its sizes, such as {options}, in Python inputs={best!r}{told}"


def _of_inputs(opened: Mapping[str, tuple[Size, ...] | None]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Sizes for all open inputs."""
    if opened and all(sizes is not None for sizes in opened.values()):
        for channels, spatial in product(_CHANNELS, _SPATIAL):
            yield {name: _filled(sizes or (), channels, spatial) for name, sizes in opened.items()}


def _of_operands(operands: Sequence[tuple[str, Tensor | None]]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Sizes for the node's own input."""
    (name, tensor), (_, weight) = operands
    if tensor is not None and tensor.sizes is not None:
        if not tensor.known:
            yield from ({name: _filled(tensor.sizes, _CHANNELS[0], spatial)} for spatial in _SPATIAL)
    elif weight is not None and weight.sizes is not None and weight.known:
        for spatial in _SPATIAL:
            yield {name: (BATCH, int(weight.sizes[1]), *(spatial for _ in weight.sizes[2:]))}


def _filled(sizes: tuple[Size, ...], channels: int, spatial: int) -> tuple[int, ...]:
    """Sizes without an open one.

    The axes are N C H W, or N H W C if the last is so small, or N and a length; or those of a state, with N second.
    """
    last = sizes[-1] if len(sizes) == 4 else None
    channels_last = isinstance(last, int) and last <= _MOST_CHANNELS_OF_IMAGES
    is_state = len(sizes) == 3 and isinstance(sizes[0], int) and sizes[0] > BATCH  # layers, N and features of an RNN
    otherwise = (BATCH, BATCH if is_state else channels) if len(sizes) > 2 and not channels_last else (BATCH,)
    return tuple(
        size if isinstance(size, int) else (otherwise[axis] if axis < len(otherwise) else spatial)
        for axis, size in enumerate(sizes)
    )


def _known(sizes: tuple[Size, ...]) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _listed(sizes: tuple[Size, ...] | None) -> str:
    return "of an unknown number of axes" if sizes is None else ", ".join(map(str, sizes))
