"""Defines the known facts about a tensor of an ONNX model: its sizes and its dtype."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload.layer import printable

BATCH = 1  # the size that replaces an open batch

Size = int | str  # a dimension, or the name of one that is open
Given = Mapping[str, tuple[int, ...]]  # sizes of tensors that the user gives, by name


@dataclass(frozen=True)
class Tensor:
    """The known facts about a tensor; its sizes are None if the number of its axes is unknown."""

    sizes: tuple[Size, ...] | None
    dtype: str  # as ONNX calls it

    @property
    def known(self) -> bool:
        """Whether each size is known."""
        return self.sizes is not None and all(isinstance(size, int) for size in self.sizes)


class NoProblemError(Exception):
    """A node is a convolution that a problem cannot describe; it is skipped."""


class UnknownSizeError(ConvbenchError):
    """The inference did not find a size."""


def facts(value: Any) -> tuple[tuple[Size, ...] | None, str]:
    """The sizes of a ValueInfoProto, and its dtype."""
    kind = value.type.tensor_type
    return _sizes(kind.shape) if kind.HasField("shape") else None, dtype_of(kind.elem_type)


def size_of(dimension: Any) -> int:
    """The size of a dimension; 0 if it is open, which some converters write as 0 or −1."""
    return max(0, int(dimension.dim_value))


def dtype_of(number: int) -> str:
    """The name of a dtype that a model gives as a number."""
    import onnx  # an optional package

    names = onnx.TensorProto.DataType
    return str(names.Name(number)) if number in names.values() else "UNDEFINED"


def _sizes(shape: Any) -> tuple[Size, ...]:
    return tuple(size_of(size) or _shown(size.dim_param) for size in shape.dim)


def _shown(name: str) -> str:
    """The name of an open dimension; "?" for one that the inference has made up."""
    return "?" if not name or name.startswith("unk__") else printable(name)
