"""What torch computes: gradients and parameters at each optimizer step, results of modules, of operations.

* ``steps``: before an optimizer's step each gradient, last parameter first as the backward pass goes; after
  it each parameter.
* ``modules``: what enters the outermost module, and what each module returns, in the order in which they
  end.
* ``ops``: what each operation returns, those of the backward pass and of optimizers included, but for views,
  for memory that was only allocated, whose bytes are anything, and for collectives that are on their way.
  Operations that change a list of tensors and return nothing (optimizers' ``foreach`` ones) show in the
  parameters.

Hooks are torch's public ones for all modules and optimizers, and a dispatch mode for operations: code that
does not know of a trace is traced. They read and never write; a failure of ours ends the trace.
"""

from __future__ import annotations

import ctypes
import gc
from _thread import get_ident

from envlock.runtime.trace import event, writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# What only allocates, and how a tensor that a worker process made is opened, which happens when it arrives;
# without the overload's name.
_COMPUTING_NOTHING = (
    "aten.empty",
    "aten.empty_like",
    "aten.empty_permuted",
    "aten.empty_strided",
    "aten.new_empty",
    "aten.new_empty_strided",
    "aten.resize_",
    "aten.set_",
)
# Collectives return while their result is still on its way; `wait_tensor` returns it.
_UNFINISHED = ("c10d.", "_c10d_functional.")
_WAITING = "_c10d_functional.wait_tensor.default"
_LISTS = (tuple, list)


class _Tracer:
    """Which modules each thread is in, and what they and their parameters are called."""

    def __init__(self, torch: Any) -> None:
        from torch.utils.weak import WeakIdKeyDictionary

        self.torch = torch
        self.inside: dict[int, list[str]] = {}
        self.paths: Any = WeakIdKeyDictionary()
        self.names: Any = WeakIdKeyDictionary()
        self.named: Any = WeakIdKeyDictionary()
        self.busy: set[int] = set()
        self.operations: dict[Any, str | None] = {}

    def guarded(self, record: Callable[..., None]) -> Callable[..., None]:
        """Return ``record`` so that it sees nothing of itself and never raises."""

        def guarded(*args: Any) -> None:
            thread = get_ident()
            if thread in self.busy:
                return
            self.busy.add(thread)
            try:
                record(*args)
            except Exception as error:  # noqa: BLE001 - whatever it is, the job comes first
                writer.end(f"{type(error).__name__}: {error}")
            finally:
                self.busy.discard(thread)

        return guarded

    def entered(self, module: Any, args: Any) -> None:
        """Name the outermost module's parts, tell what enters it, and go inside."""
        inside = self.inside.setdefault(get_ident(), [])
        if not inside:
            if module not in self.paths:
                self.name(module)
            for name, tensor in _tensors(self.torch, args):
                self.write("input", type(module).__name__, name, tensor)
        inside.append(self.paths.get(module) or type(module).__name__)

    def left(self, _module: Any, _args: Any, result: Any) -> None:
        """Tell what the module returned, and go outside of it."""
        inside = self.inside.get(get_ident())
        where = inside.pop() if inside else ""
        for name, tensor in _tensors(self.torch, result):
            self.write("module", where, name, tensor)

    def name(self, root: Any) -> None:
        """Learn the paths of the modules and parameters that ``root`` has now."""
        top = type(root).__name__
        for path, module in root.named_modules():
            self.paths[module] = f"{top}.{path}" if path else top
        for path, parameter in root.named_parameters():
            self.names[parameter] = path

    def name_all(self) -> None:
        """Name the parts of every module that there is: without hooks in them nobody says which run."""
        module = self.torch.nn.Module
        # By type: isinstance would ask objects that pretend to be of another class.
        found = [one for one in gc.get_objects() if issubclass(type(one), module)]
        parts = {id(part) for one in found for part in (vars(one).get("_modules") or {}).values()}
        for one in found:
            if id(one) not in parts:
                self.name(one)

    def before_step(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Tell the gradients that an optimizer is about to use."""
        for name, parameter in reversed(list(self.parameters(optimizer))):
            if parameter.grad is not None:
                self.write("gradient", type(optimizer).__name__, name, parameter.grad)

    def after_step(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Tell what an optimizer has made of the parameters."""
        for name, parameter in self.parameters(optimizer):
            self.write("parameter", type(optimizer).__name__, name, parameter)
        writer.step()

    def parameters(self, optimizer: Any) -> Iterator[tuple[str, Any]]:
        """Yield (name, tensor) of what ``optimizer`` works on; those of no module have a number."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if optimizer not in self.named:
            self.named[optimizer] = True
            if not all(parameter in self.names for parameter in parameters):
                self.name_all()
        for number, parameter in enumerate(parameters):
            yield self.names.get(parameter, str(number)), parameter

    def operation(self, function: Any, result: Any) -> None:
        """Tell what an operation returned."""
        if function not in self.operations:
            self.operations[function] = _operation_name(function)
        name = self.operations[function]
        if name is None:
            return
        inside = self.inside.get(get_ident())
        where = inside[-1] if inside else self.node()
        for _, tensor in _tensors(self.torch, result):
            self.write("op", where, name, tensor)

    def node(self) -> str:
        """Return the node of the backward pass that runs, or nothing."""
        current = getattr(self.torch._C, "_current_autograd_node", None)  # noqa: SLF001 - no public name
        node = current() if current else None
        return str(node.name()) if node is not None else ""

    def write(self, kind: str, where: str, name: str, tensor: Any) -> None:
        """Write one tensor."""
        shape = f"{str(tensor.dtype)[6:]}[{','.join(map(str, tensor.shape))}]"
        writer.write(kind, where, name, shape, self.digest(tensor))

    def digest(self, tensor: Any) -> str:
        """Return the digest of a tensor's bytes, from whatever device."""
        if tensor.layout != self.torch.strided or tensor.device.type == "meta" or tensor.is_quantized:
            return event.UNREAD
        try:
            plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
            size = plain.numel() * plain.element_size()
            address = plain.data_ptr()
        except (RuntimeError, NotImplementedError):
            # Tensors of vmap and of compilers, which hold no numbers.
            return event.UNREAD
        if size and not address:
            return event.UNREAD
        return writer.digest_of((ctypes.c_char * size).from_address(address) if size else b"")


def after_import(torch: Any) -> None:
    """Hook what the run's trace level asks for."""
    from torch.nn.modules import module as modules
    from torch.optim import optimizer as optimizers

    tracer = _Tracer(torch)
    if writer.level() != "steps":
        modules.register_module_forward_pre_hook(tracer.guarded(tracer.entered))
        # Also when forward raises, or the way back out would be lost.
        modules.register_module_forward_hook(tracer.guarded(tracer.left), always_call=True)
    optimizers.register_optimizer_step_pre_hook(tracer.guarded(tracer.before_step))
    optimizers.register_optimizer_step_post_hook(tracer.guarded(tracer.after_step))
    if writer.level() == "ops":
        _watch_operations(tracer)


def _watch_operations(tracer: _Tracer) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    record = tracer.guarded(tracer.operation)

    class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is not there when types are checked
        """Calls each operation, and tells its result."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            record(func, result)
            return result

    # For the whole process: it ends with it.
    Watch().__enter__()


def _operation_name(function: Any) -> str | None:
    """Return ``aten.addmm.default``; None for an operation whose result says nothing."""
    name = str(function)
    if name.startswith(_UNFINISHED) and name != _WAITING:
        return None
    if name.rpartition(".")[0] in _COMPUTING_NOTHING or getattr(function, "is_view", False):
        return None
    return name


def _tensors(torch: Any, found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) of every tensor in nested tuples, lists and mappings."""
    if isinstance(found, torch.Tensor):
        yield name, found
    elif isinstance(found, _LISTS):
        for number, one in enumerate(found):
            yield from _tensors(torch, one, f"{name}.{number}" if name else str(number))
    elif isinstance(found, dict):
        for key, one in found.items():
            yield from _tensors(torch, one, f"{name}.{key}" if name else str(key))
