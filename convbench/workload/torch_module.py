"""Finds the convolutions that a PyTorch module runs, by running it once on tensors that need not have values.

Hooks tell which submodule is running. A dispatch mode sees every operator that is called, including convolutions that
are not called by a convolution module (https://docs.pytorch.org/docs/main/torch.utils.html, "TorchDispatchMode"). The
problem of a Conv1d or Conv2d is taken from the module's attributes and its input, not from the operator's arguments:
for `padding_mode` and for the padding "same" of an even filter, PyTorch pads the input before it calls the operator.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from convbench.errors import ConvbenchError
from convbench.problem import DTYPES, ConvProblem, problem_of
from convbench.workload.layer import Layer
from convbench.workload.workload import Workload

try:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError as error:
    raise ConvbenchError(
        f'a torch.nn.Module is read with PyTorch, which cannot be imported ({error}): pip install "convbench[torch]"'
    ) from error


class _Call(NamedTuple):
    """A submodule that is running."""

    name: str  # inside the module that is read; the class name for that module itself
    module: Any
    inputs: tuple[Any, ...]


def read(module: Any, input_shape: Any, *, dtype: str | None, device: str, name: str | None) -> Workload:
    """The workload of a module; the parameters and errors are those of `convbench.workload.from_torch`."""
    if not isinstance(module, torch.nn.Module):
        raise ConvbenchError(f"a module is a torch.nn.Module, and not a {type(module).__name__}")
    shapes = _shapes(input_shape)
    kind = _dtype(module, dtype)
    seen, what = _Seen(), f"{type(module).__module__}.{type(module).__qualname__}"
    try:
        state = {name: _copied(tensor, device, kind if dtype else None) for name, tensor in _state(module)}
        with torch.no_grad(), torch.device(device), _evaluating(module), seen.watching(module):
            torch.func.functional_call(module, state, tuple(torch.zeros(shape, dtype=kind) for shape in shapes))
    except ConvbenchError:
        raise
    except Exception as error:  # a user's module may raise anything
        remedy = '; a module whose control flow depends on values needs device="cpu"' if device == "meta" else ""
        given = " and ".join(map(str, shapes))
        fault = f"{type(error).__name__}: {error}"
        raise ConvbenchError(f"{what} does not run on {device!r} with an input of {given}: {fault}{remedy}") from error
    if not seen.found:
        told = "".join(f"\n    {line}" for line in seen.skipped)
        raise ConvbenchError(f"{what}: it runs no convolution that can be computed{told and f'; it has{told}'}")
    layers = tuple(Layer(name=at, problem=problem, count=count) for (at, problem), count in seen.found.items())
    source = f"{what}, input {' and '.join(map(str, shapes))}"
    return Workload(name=name or type(module).__name__, source=source, layers=layers, skipped=tuple(seen.skipped))


class _Seen(TorchDispatchMode):
    """Counts the convolutions that are called while this mode is active."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ConvProblem]] = Counter()
        self.skipped: dict[str, None] = {}  # used as an ordered set
        self.running: list[_Call] = []

    @contextmanager
    def watching(self, module: Any) -> Iterator[None]:
        """Watch what the module runs inside this context; the hooks on its parts are removed at the end."""
        hooks = []
        try:
            for name, part in module.named_modules():
                hooks.append(
                    part.register_forward_pre_hook(self._entering(name or type(module).__name__), with_kwargs=True)
                )
                hooks.append(part.register_forward_hook(self._leaving, always_call=True))
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _entering(self, name: str) -> Callable[..., None]:
        def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.running.append(_Call(name, module, (*args, *kwargs.values())))

        return enter

    def _leaving(self, *_: object) -> None:
        self.running.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self._convolution(*args, **(kwargs or {}))
        elif re.search("conv(?!er)", str(func)):  # but not aten._convert_indices_from_coo_to_csr
            self._skip(str(func), "another operator than aten.convolution")
        return func(*args, **(kwargs or {}))

    def _convolution(
        self, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, _: Any,
        groups: int,
    ) -> None:  # fmt: skip
        if transposed:
            return self._skip("transposed convolution", "the direction backward_data of its convolution computes it")
        axes = weight.ndim - 2
        if axes not in (1, 2):
            return self._skip("convolution", f"it has {axes} spatial axes, and a problem one or two")
        dtype = str(x.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            return self._skip("convolution", f"its numbers are {dtype}, and a problem's {', '.join(DTYPES)}")
        name, module, inputs = self.running[-1]
        options: dict[str, Any]
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d) and _is_stock(module):
            (given,) = inputs
            shape = (*x.shape[:2], *given.shape[-axes:])  # sizes before padding; x always has a batch, `given` may not
            own = ("stride", "padding", "dilation", "groups", "padding_mode")
            options = {option: getattr(module, option) for option in own}
        else:
            shape = tuple(x.shape)
            options = {
                "stride": tuple(stride),
                "padding": tuple(padding),
                "dilation": tuple(dilation),
                "groups": groups,
            }
        biases = None if bias is None else tuple(bias.shape)
        try:
            problem = problem_of(shape, tuple(weight.shape), biases, dtype=dtype, **options)
        except ConvbenchError as error:  # raised here, because PyTorch's message would not have the shapes
            raise ConvbenchError(f"convolution in {name!r}: {error}") from error
        self.found[name, problem] += 1
        return None

    def _skip(self, what: str, reason: str) -> None:
        self.skipped[f"{what} in {self.running[-1].name!r}: {reason}"] = None


def _is_stock(module: Any) -> bool:
    """Whether a convolution module computes what PyTorch's class does; a subclass may override that."""
    return any(
        type(module).forward is kind.forward and type(module)._conv_forward is kind._conv_forward  # noqa: SLF001
        for kind in (torch.nn.Conv1d, torch.nn.Conv2d)
    )


def _state(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Put the module into evaluation mode inside this context, and restore the mode of each part at the end."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _shapes(given: Any) -> list[tuple[int, ...]]:
    """The shapes of all inputs, from one shape or from several."""
    try:
        shapes = [tuple(given)] if all(isinstance(size, int) for size in given) else [tuple(one) for one in given]
        if shapes[0] and all(isinstance(size, int) and size > 0 for shape in shapes for size in shape):
            return shapes
    except (TypeError, IndexError):
        pass
    raise ConvbenchError(
        f"input_shape is {given!r}; it must be sizes, at least 1, like (1, 3, 224, 224), or a list of such"
    )


def _dtype(module: Any, asked: Any) -> Any:
    if asked is None:
        return next((parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()), None)
    if (name := str(asked).removeprefix("torch.")) not in DTYPES:
        raise ConvbenchError(f"dtype is {asked!r}; it must be one of {', '.join(DTYPES)}")
    return getattr(torch, name)


def _copied(tensor: Any, device: str, dtype: Any) -> Any:
    """A copy of a tensor, which the module may change; on "meta" no values are copied."""
    return tensor.detach().to(device, dtype=dtype if tensor.is_floating_point() else None, copy=True)
