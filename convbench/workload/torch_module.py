"""Finds the convolutions that a PyTorch module runs, by running it once on tensors that need not have values.

A module is run on a device. "meta" has no values. Where "meta" gives other dtypes than the device that is meant, as
under autocast, or where constants of a program lie on that device, PyTorch's fake tensors are used. They have no values
either, but they have a device (https://docs.pytorch.org/docs/main/torch.compiler_fake_tensor.html).
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import deepcopy
from typing import Any, NamedTuple

from convbench.errors import ConvbenchError
from convbench.problem import DTYPES
from convbench.workload.layer import Layer
from convbench.workload.workload import Workload

try:
    import torch
except ImportError as error:
    raise ConvbenchError(
        f'a torch.nn.Module is read with PyTorch, which cannot be imported ({error}): pip install "convbench[torch]"'
    ) from error

from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

from convbench.workload.torch_autocast import Autocast
from convbench.workload.torch_inputs import Inputs
from convbench.workload.torch_remedies import remedy
from convbench.workload.torch_seen import Seen

MOST_CHARACTERS = 500  # of an error of PyTorch


class _Place(NamedTuple):
    """Where a module runs."""

    device: str
    fake: bool = False  # on tensors that have this device, but no values

    @property
    def has_values(self) -> bool:
        return not self.fake and self.device != "meta"

    def mode(self) -> AbstractContextManager[Any]:
        return FakeTensorMode(allow_non_fake_inputs=True) if self.fake else nullcontext()

    def copied(self, tensor: Any, dtype: Any) -> Any:
        """A copy of a tensor, which the module may change; its values are copied only if the place has some."""
        kind = dtype if dtype and tensor.is_floating_point() else tensor.dtype
        if is_lazy(tensor):
            lazy: Any = UninitializedBuffer if isinstance(tensor, UninitializedBuffer) else UninitializedParameter
            return lazy(device=self.device, dtype=kind)
        if self.fake:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=kind, device=self.device)
        return tensor.detach().to(self.device, dtype=kind, copy=True)


def read(given: Any, input_shape: Any, *, dtype: Any, device: str, name: str | None) -> Workload:
    """The workload of a module; the parameters and errors are those of `convbench.workload.from_torch`."""
    module, what = _opened(given)
    inputs = _inputs(given, input_shape, what)
    kind, named = _dtype(module, dtype), _name(given)
    place = _Place(device)
    if device == "meta" and (isinstance(given, torch.export.ExportedProgram) or _has_scripts(module)):
        tensors = [*module.parameters(), *module.buffers()]
        place = _Place(tensors[0].device.type if tensors else "cpu", fake=True)  # its constants have this device
    run = _Run(module, inputs, what, named, kind, bool(dtype))
    seen, autocast, fault, ran = run.at(place)
    if not place.has_values and set(autocast.kinds) - {place.device}:
        if len(autocast.kinds) > 1:
            raise ConvbenchError(
                f"{what}: it uses autocast for several kinds of devices, {', '.join(autocast.kinds)}; give the device "
                'that it runs on, such as device="cpu"'
            )
        place = _Place(next(iter(autocast.kinds)), fake=True)
        if _is_lazy(module) and not _is_lazy(ran):  # fake tensors cannot initialise it; the run before has done so
            run = run._replace(module=ran)
        seen, autocast, fault, _ = run.at(place)
    if fault is not None:
        raise fault
    if not seen.found:
        told = "".join(f"\n    {line}" for line in seen.skipped)
        raise ConvbenchError(f"{what}: it runs no convolution that can be computed{told and f'; it has{told}'}")
    layers = tuple(Layer(name=at, problem=problem, count=count) for (at, problem), count in seen.found.items())
    source = f"{what}, input {inputs}"
    if (kind_of_device := place.device.partition(":")[0]) in autocast.kinds:
        source += f", autocast of {kind_of_device}"
    return Workload(name=name or named, source=source, layers=layers, skipped=tuple(seen.skipped))


class _Run(NamedTuple):
    """A module with its inputs, to be run at one place or another."""

    module: Any
    inputs: Inputs
    what: str  # the module's class, for messages
    name: str  # of the module
    dtype: Any  # of inputs that are given as a shape
    converts: bool  # whether the module and inputs that are tensors get this dtype, too

    def at(self, place: _Place) -> "_Ran":
        """Run the module at a place."""
        autocast = Autocast(self.what)
        seen = Seen(self.name, autocast)
        converted = self.dtype if self.converts else None

        def made(one: Any) -> Any:
            if isinstance(one, torch.Tensor):
                return place.copied(one, converted)
            return torch.zeros(one, dtype=self.dtype)

        module = self.module
        watching = nullcontext() if place.has_values else autocast.watching()
        try:
            copy = self._copied_scripts(place, converted)
            with torch.random.fork_rng(devices=[]), torch.no_grad(), place.mode(), torch.device(place.device), watching:
                args, kwargs = self.inputs.made(made)
                module, state = self._ready(place, converted) if copy is None else (copy, None)
                with _evaluating(module), seen.watching(module, state or {}):
                    if state is None:
                        module(*args, **kwargs)
                    else:
                        torch.func.functional_call(module, state, args, kwargs)
        except ConvbenchError as error:
            return _Ran(seen, autocast, error, module)
        except Exception as error:  # noqa: BLE001  (a user's module may raise anything)
            return _Ran(seen, autocast, seen.fault or self._fault(error, place), module)
        return _Ran(seen, autocast, None, module)

    def _ready(self, place: _Place, dtype: Any) -> tuple[Any, dict[str, Any] | None]:
        """A module that can run at a place, and the state to run it with; None if it already has that."""
        module = self.module
        tensors = dict([*module.named_parameters(), *module.named_buffers()])
        state = {name: place.copied(tensor, dtype) for name, tensor in tensors.items()}
        if _is_lazy(module):  # its first run changes its class and its hooks, so a copy is run
            return deepcopy(module, {id(tensor): _like(state[name], tensor) for name, tensor in tensors.items()}), None
        return module, state

    def _copied_scripts(self, place: _Place, dtype: Any) -> Any:
        """A copy of a module with scripted parts, whose state cannot be replaced; None if it has no such parts."""
        if not _has_scripts(self.module):
            return None
        if not place.has_values and any("autocast_mode" in _graph(part) for part in self.module.modules()):
            raise ConvbenchError(
                f"{self.what}: autocast inside a scripted module is read on a device with values only, such as "
                'device="cpu"; or give the module from which it was scripted'
            )
        with torch.no_grad():  # gradients of the copies would be warned of
            return deepcopy(self.module).to(None if place.fake else place.device, dtype)

    def _fault(self, error: Exception, place: _Place) -> ConvbenchError:
        said = f"{type(error).__name__}: {error}".strip()
        if "TorchScript" in said:  # a traceback of the script; its last line has the reason
            said = said.splitlines()[-1]
        if len(said) > MOST_CHARACTERS:
            said = f"{said[:MOST_CHARACTERS]}…"
        at = repr(place.device) + (" without values" if place.fake else "")
        hint = remedy(error, self.module, place.device, has_values=place.has_values)
        wrong = ConvbenchError(f"{self.what} does not run on {at} with an input of {self.inputs}: {said}{hint}")
        wrong.__cause__ = error
        return wrong


class _Ran(NamedTuple):
    """What was seen of a run until its end, the error that ended it, and the module or the copy that ran."""

    seen: Seen
    autocast: Autocast
    fault: ConvbenchError | None
    module: Any


def _opened(given: Any) -> tuple[Any, str]:
    """The module that runs, and the name of its class, or of the program's class."""
    if isinstance(given, torch.export.ExportedProgram):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch calls functions that it deprecates
            return torch.export.unflatten(given), _described(given)
    if not isinstance(given, torch.nn.Module):
        told = "; load the file first, with torch.export.load or torch.jit.load" if isinstance(given, str) else ""
        if isinstance(given, type) and issubclass(given, torch.nn.Module):
            told = f"; call the class to get a module: {given.__name__}(…)"
        raise ConvbenchError(
            f"a module is a torch.nn.Module, and not a {type(given).__name__}; programs of torch.export are read, "
            f"too{told}"
        )
    module = _unwrapped(given)
    return module, _described(module)


def _unwrapped(module: Any) -> Any:
    """The module inside what torch.compile and the parallel wrappers put around it."""
    if isinstance(module, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return _unwrapped(module.module)
    inner = getattr(module, "_orig_mod", None)
    return _unwrapped(inner) if isinstance(inner, torch.nn.Module) else module


def _described(given: Any) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"


def _name(given: Any) -> str:
    """The name of a module's class, also if it was scripted."""
    module = _unwrapped(given)
    return str(getattr(module, "original_name", "") or type(module).__name__)


def _inputs(given: Any, input_shape: Any, what: str) -> Inputs:
    if input_shape is not None:
        return Inputs.read(input_shape)
    if example := getattr(given, "example_inputs", None) if isinstance(given, torch.export.ExportedProgram) else None:
        args, kwargs = example
        return Inputs(tuple(args), dict(kwargs))
    raise ConvbenchError(
        f"{what}: give input_shape, such as (1, 3, 224, 224); only a program of torch.export with example inputs has "
        "one"
    )


def _is_lazy(module: Any) -> bool:
    return any(map(is_lazy, [*module.parameters(), *module.buffers()]))


def _has_scripts(module: Any) -> bool:
    return any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())


def _graph(module: Any) -> str:
    try:
        return str(module.inlined_graph)
    except (AttributeError, RuntimeError):  # it is not scripted, or has no method "forward"
        return ""


def _like(copied: Any, tensor: Any) -> Any:
    """A copied tensor as a parameter, if it is a copy of one."""
    is_parameter = isinstance(tensor, torch.nn.Parameter) and not is_lazy(tensor)
    return torch.nn.Parameter(copied, requires_grad=tensor.requires_grad) if is_parameter else copied


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Put the module into evaluation mode inside this context, and restore the mode of each part at the end."""
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]  # frozen ones have none
    try:
        if modes:
            with suppress(NotImplementedError):  # an exported module has one mode, and it stays in that
                module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _dtype(module: Any, asked: Any) -> Any:
    if asked is None:
        return next((parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()), None)
    if (name := str(asked).removeprefix("torch.")) not in DTYPES:
        raise ConvbenchError(f"dtype is {asked!r}; it must be one of {', '.join(DTYPES)}")
    return getattr(torch, name)
