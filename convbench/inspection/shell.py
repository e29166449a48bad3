"""An array without elements: it has the shape, strides, dtype and views of a device array, but no memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.cuda import types
from numba.cuda.np import numpy_support

from convbench.errors import DeviceError


@dataclass(frozen=True, eq=False)
class Allocation:
    """One allocated piece of memory. Views of the same memory share this object."""

    nbytes: int


@dataclass(frozen=True)
class Shell:
    """Shape, strides and dtype of a device array, with the methods by which plans take views of one.

    If a view would need a copy, the method raises DeviceError, as that of a device array does.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in bytes
    dtype: np.dtype[Any]
    allocation: Allocation
    offset: int = field(default=0)  # of the first element within the allocation, in bytes

    @classmethod
    def contiguous(cls, shape: int | Sequence[int], dtype: npt.DTypeLike) -> "Shell":
        """A new contiguous array of the given shape, the last axis fastest."""
        sizes, kind = (shape,) if isinstance(shape, int) else tuple(map(int, shape)), np.dtype(dtype)
        return cls(sizes, _packed(sizes, kind.itemsize), kind, Allocation(prod(sizes) * kind.itemsize))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements follow each other, the last axis fastest."""
        return _same_places(self.shape, self.strides, _packed(self.shape, self.dtype.itemsize))

    @cached_property
    def _numba_type_(self) -> Any:
        """The Numba type of the array, found as `DeviceNDArray._numba_type_` of numba-cuda finds it."""
        layout = "A"
        if self.size == 0 or 0 not in self.strides:
            turned = _packed(self.shape[::-1], self.dtype.itemsize)[::-1]
            layout = "C" if self.is_contiguous else "F" if _same_places(self.shape, self.strides, turned) else "A"
        return types.Array(numpy_support.from_dtype(self.dtype), self.ndim, layout)

    def reshape(self, *shape: Any) -> "Shell":
        """A view with another shape of as many elements. One size may be −1."""
        sizes = list(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else list(shape)
        if -1 in sizes:
            known = -prod(sizes)
            sizes[sizes.index(-1)] = self.size // known if known else 0
        if prod(sizes) != self.size:
            raise DeviceError(f"an array of shape {self.shape} cannot be seen as one of shape {tuple(shape)}")
        if tuple(sizes) == self.shape:
            return self
        if not self.is_contiguous:
            raise DeviceError(f"an array of shape {self.shape} and strides {self.strides} has no view of shape {sizes}")
        return replace(self, shape=tuple(sizes), strides=_packed(tuple(sizes), self.dtype.itemsize))

    def ravel(self) -> "Shell":
        """A view with all elements along one axis."""
        return self.reshape(-1)

    def view(self, dtype: npt.DTypeLike) -> "Shell":
        """A view of the same bytes as another dtype."""
        other = np.dtype(dtype)
        if other.itemsize == self.dtype.itemsize:
            return replace(self, dtype=other)
        last = self.shape[-1] * self.dtype.itemsize if self.shape else 0
        if not last or last % other.itemsize or not self.is_contiguous:
            raise DeviceError(f"an array of {self.dtype} of shape {self.shape} cannot be seen as {other}")
        shape = (*self.shape[:-1], last // other.itemsize)
        return replace(self, shape=shape, strides=_packed(shape, other.itemsize), dtype=other)

    def transpose(self, *axes: Any) -> "Shell":
        """A view with the axes in another order; reversed if no order is given."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], Sequence) else axes or range(self.ndim)[::-1]
        if sorted(order) != list(range(self.ndim)):
            raise DeviceError(f"{tuple(order)} is no order of the axes of an array of shape {self.shape}")
        shape, strides = (tuple(sizes[axis] for axis in order) for sizes in (self.shape, self.strides))
        return replace(self, shape=shape, strides=strides)

    @property
    def T(self) -> "Shell":  # noqa: N802  (NumPy's name)
        return self.transpose()

    def __getitem__(self, item: Any) -> "Shell":
        """A view by slices and indices of the first axes."""
        items = item if isinstance(item, tuple) else (item,)
        if len(items) > self.ndim or not all(isinstance(each, slice | int | np.integer) for each in items):
            raise DeviceError(f"an array of shape {self.shape} takes slices and indices of its axes, not {item}")
        shape, strides, offset = [], [], self.offset
        for size, stride, each in zip(self.shape, self.strides, items, strict=False):
            if isinstance(each, slice):
                kept = range(size)[each]
                shape.append(len(kept))
                strides.append(stride * kept.step)
                offset += stride * kept.start if kept else 0
            elif -size <= each < size:
                offset += stride * (int(each) % size)
            else:
                raise DeviceError(f"index {each} is out of bounds of an array of shape {self.shape}")
        taken = len(items)
        return replace(
            self, shape=(*shape, *self.shape[taken:]), strides=(*strides, *self.strides[taken:]), offset=offset
        )


def bytes_touched(arrays: Sequence[Shell]) -> int:
    """Bytes of memory behind all these views. No allocation counts for more bytes than it has."""
    views: dict[Allocation, set[tuple[int, int]]] = {}
    for array in arrays:
        views.setdefault(array.allocation, set()).add((array.offset, array.nbytes))
    return sum(min(whole.nbytes, sum(size for _, size in parts)) for whole, parts in views.items())


def _packed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of a contiguous array."""
    return tuple(itemsize * prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _same_places(shape: tuple[int, ...], strides: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Whether both strides lead to the same places. The stride of an axis with one element does not matter."""
    return 0 in shape or all(size == 1 or a == b for size, a, b in zip(shape, strides, others, strict=True))
