"""Sees the convolutions that PyTorch calls while a module runs.

Hooks tell which submodule is running. A dispatch mode sees every operator that is called, including convolutions that
are not called by a convolution module (https://docs.pytorch.org/docs/main/torch.utils.html, "TorchDispatchMode"). The
problem of a Conv1d or Conv2d is taken from the module's attributes and its input, not from the operator's arguments:
for `padding_mode` and for the padding "same" of an even filter, PyTorch pads the input before it calls the operator.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from convbench.errors import ConvbenchError
from convbench.problem import DTYPES, ConvProblem, problem_of
from convbench.workload.torch_autocast import Autocast

aten = torch.ops.aten
CONVOLUTIONS = aten.convolution.default, aten._convolution.default  # noqa: SLF001  (traced modules call the second)


class _Call(NamedTuple):
    """A submodule that is running."""

    name: str  # inside the module that is read; the class name for that module itself
    module: Any
    inputs: tuple[Any, ...]


class Seen(TorchDispatchMode):
    """Counts the convolutions that are called while this mode is active.

    Parameters
    ----------
    name : the name of the whole module
    """

    def __init__(self, name: str, autocast: Autocast) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ConvProblem]] = Counter()
        self.skipped: dict[str, None] = {}  # used as an ordered set
        self.fault: ConvbenchError | None = None  # TorchScript replaces an error that passes it by one of its own
        self.running: list[_Call] = []
        self._name, self._autocast = name, autocast
        self._weights: dict[int, tuple[str, Any]] = {}  # by identity; the tensors are kept, and so the identities

    @contextmanager
    def watching(self, module: Any, state: Mapping[str, Any]) -> Iterator[None]:
        """Watch what the module runs inside this context; the hooks on its parts are removed at the end.

        Parameters
        ----------
        state : the tensors that stand for its parameters and buffers, by their names; empty if it runs with its own
        """
        if isinstance(module, torch.fx.GraphModule):
            self._know(state)
        hooks = []
        try:
            for path, part in module.named_modules():
                name = path.replace("_orig_mod.", "")  # what torch.compile puts around a module
                if isinstance(part, torch.jit.ScriptModule):  # it has no hooks
                    self._know(dict(part.named_parameters(name, recurse=False)))
                    continue
                hooks.append(part.register_forward_pre_hook(self._entering(name or self._name), with_kwargs=True))
                hooks.append(part.register_forward_hook(self._leaving, always_call=True))
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _know(self, weights: Mapping[str, Any]) -> None:
        """Tell parts by their weights where their calls cannot be seen: in scripts, and in graphs without modules."""
        self._weights |= {id(weight): (name.rpartition(".")[0], weight) for name, weight in weights.items()}

    def _entering(self, name: str) -> Callable[..., None]:
        def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._autocast.look()
            self.running.append(_Call(name, module, (*args, *kwargs.values())))

        return enter

    def _leaving(self, *_: object) -> None:
        self.running.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is aten._local_scalar_dense.default and not isinstance(args[0], torch.Tensor):  # noqa: SLF001
            return args[0]  # a constant of a traced module, such as 1 in x + 1: PyTorch gives a mode the number itself
        if func in CONVOLUTIONS:
            try:
                self._convolution(*args[:9], **kwargs)
            except ConvbenchError as error:
                self.fault = error
                raise
        elif re.search("conv(?!er)", str(func)):  # but not aten._convert_indices_from_coo_to_csr
            if isinstance(func, torch._ops.OpOverload):  # noqa: SLF001
                with self:  # in inference mode, aten.conv2d comes here, and calls aten.convolution in its turn
                    if (result := func.decompose(*args, **kwargs)) is not NotImplemented:
                        return result
            self._skip(str(func), "another operator than aten.convolution", None)
        return func(*args, **kwargs)

    def _convolution(
        self, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, _: Any,
        groups: int,
    ) -> None:  # fmt: skip
        if transposed:
            return self._skip(
                "transposed convolution", "the direction backward_data of its convolution computes it", weight
            )
        axes = weight.ndim - 2
        if axes not in (1, 2):
            return self._skip("convolution", f"it has {axes} spatial axes, and a problem one or two", weight)
        dtype = str(x.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            return self._skip("convolution", f"its numbers are {dtype}, and a problem's {', '.join(DTYPES)}", weight)
        self._autocast.demand_clear(where := self._place(weight))
        module, inputs = self.running[-1][1:] if self.running else (None, ())
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
            raise ConvbenchError(f"convolution in {where!r}: {error}") from error
        self.found[where, problem] += 1
        return None

    def _skip(self, what: str, reason: str, weight: Any) -> None:
        self.skipped[f"{what} in {self._place(weight)!r}: {reason}"] = None

    def _place(self, weight: Any) -> str:
        """The name of the submodule that is running."""
        outer, module, _ = self.running[-1] if self.running else (self._name, None, ())
        if isinstance(module, torch.nn.modules.conv._ConvNd):  # noqa: SLF001
            return outer
        return self._weights.get(id(weight), ("", None))[0] or outer


def _is_stock(module: Any) -> bool:
    """Whether a convolution module computes what PyTorch's class does; a subclass may override that."""
    return any(
        type(module).forward is kind.forward and type(module)._conv_forward is kind._conv_forward  # noqa: SLF001
        for kind in (torch.nn.Conv1d, torch.nn.Conv2d)
    )
