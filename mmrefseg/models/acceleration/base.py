"""What every accelerated forward shares: how it is attached, and how long it may keep what it derives."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Derived:
    """What is computed from weights, kept for as long as they are the same.

    What a value was made from is known by address, number of writes, type and device of each tensor. The
    tensors' memory is held on to, so that none can come to lie at the address of one that is gone. An
    assignment through ``.data`` changes none of these (mmengine's ``EMAHook`` swaps weights so):
    :class:`Accelerated` drops everything whenever the mode of its module is set, which happens after it.
    Copies and pickles of it are empty.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple, list[Tensor], Any]] = {}

    def __call__(
        self, name: Hashable, make: Callable[[], Any], tensors: Sequence[Tensor | None], *facts: Hashable
    ) -> Any:
        """``make()``, or what it gave the last time.

        Args:
            name: Of the value; one is kept for each name.
            make: Computes it, without gradients.
            tensors: What it is computed from; ``None`` stands for an absent one.
            facts: What else it depends on.
        """
        present = [tensor for tensor in tensors if tensor is not None]
        stamp = (facts, *map(_stamp, present))
        kept = self._kept.get(name)
        if kept is None or kept[0] != stamp:
            # Ordinary tensors, wherever they are made: training uses those of frozen layers, too.
            with torch.inference_mode(False), torch.no_grad():
                kept = stamp, [tensor.detach() for tensor in present], make()
            self._kept[name] = kept
        return kept[2]

    def drop(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __deepcopy__(self, memo: dict) -> 'Derived':
        return Derived()

    def __reduce__(self) -> tuple:
        return Derived, ()


def _stamp(tensor: Tensor) -> tuple:
    writes = 0 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), writes, tensor.dtype, tensor.device


class Accelerated:
    """Faster forms of some methods of one module, attached to the module itself.

    They become attributes of the module, which Python finds before the methods of its class. Class,
    parameters, buffers, children and state dict stay what they are; copies and pickles of the module have
    forms of their own. A subclass calls :meth:`plain` for all that it has no faster way for.

    Attributes:
        module: Whose methods they are.
        derived: What is kept of its weights.
    """

    #: The classes that are accelerated, and those that inherit from them and override no method below.
    accelerates: ClassVar[tuple[type[nn.Module], ...]]
    #: The methods that are replaced by those of the same name here.
    methods: ClassVar[tuple[str, ...]] = ('forward',)

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.derived = Derived()

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """Whether the module's methods are those that this is a faster form of, and not replaced yet."""
        if any(name in vars(module) for name in cls.methods):
            return False
        return any(
            isinstance(module, plain)
            and all(getattr(type(module), name) is getattr(plain, name) for name in cls.methods)
            for plain in cls.accelerates
        )

    def attach(self) -> None:
        """Replace the methods."""
        for name in (*self.methods, 'train'):
            setattr(self.module, name, getattr(self, name))

    def detach(self) -> None:
        """Take the replacements away."""
        for name in (*self.methods, 'train'):
            delattr(self.module, name)

    def plain(self, *args: Any, method: str = 'forward', **kwargs: Any) -> Any:
        """The method of the module's class."""
        return getattr(type(self.module), method)(self.module, *args, **kwargs)

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode of the module (:meth:`eval` comes here, too), and forget what was derived."""
        self.derived.drop()
        return self.plain(mode, method='train')


def attached(module: nn.Module) -> Accelerated | None:
    """What is attached to a module."""
    owner = getattr(vars(module).get('train'), '__self__', None)
    return owner if isinstance(owner, Accelerated) else None


def is_inferring(x: Tensor) -> bool:
    """Whether no gradient is wanted and no lower precision: when results may be computed in another way."""
    return not torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)
