"""A frozen backbone computes every image once; later epochs and runs read its features from disk."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmrefseg.utils import UserInputError
from mmrefseg.utils.errors import did_you_mean

from ..feature_store import FeatureStore


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Keep what a frozen backbone computes, in half precision, by the image's content and the weights.

    Of a backbone with an ``encode`` (:class:`HFBackbone`), what that computes: the frozen ``encoder``'s own
    maps, before a pyramid that learns. Of a frozen neck with a ``forward_vision``
    (:class:`MultiscaleFusion`, ``module='neck'``), what it makes of a frozen backbone's maps.

    One line in a config makes training on a frozen encoder as fast as what comes behind it::

        custom_hooks = [dict(type='FeatureCacheHook')]

    The key is the preprocessed image, so whatever changes it, a flip, another size, other padding, is one
    more image: with ``RefFlip`` there are two of each, with random sizes or colours it saves nothing. What
    the first epoch computes, later epochs, stages and runs read; a run that was stopped goes on with what is
    there. The features are the same in training and in validation, for the backbone always computes as in a
    test.

    Args:
        folder: Where features lie, in a folder of its own for each backbone and its weights. Disk: two bytes
            a number; 2.5 MB an image for ViT-B/16 at 640 pixels.
        module: The backbone's name in the model; of a refined model ``segmentor.backbone``.
        limit_gb: Nothing more is kept when this backbone's features take so much, in 10^9 bytes; what is not
            kept is computed each time.

    Raises:
        UserInputError: From :meth:`before_run`, if the model has no such module, or if it has weights that
            learn.
    """

    priority = 'VERY_LOW'  # after the hooks that freeze

    def __init__(
        self,
        folder: str | os.PathLike = 'work_dirs/features',
        module: str = 'backbone',
        limit_gb: float = 100,
    ) -> None:
        self.folder, self.module, self.limit_gb = Path(folder), module, limit_gb
        self.cache: CachedForward | None = None

    def before_run(self, runner: Runner) -> None:
        """Put the cache in front of the backbone."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        modules = dict(model.named_modules())
        if self.module not in modules:
            near = did_you_mean(self.module, list(modules))
            raise UserInputError.of(
                f'FeatureCacheHook module={self.module!r}', f'no such module{near}', "the backbone's name",
                'correct the config',
            )  # fmt: skip
        backbone = modules[self.module]
        frozen = frozen_part(backbone)
        learns = [name for name, parameter in frozen.named_parameters() if parameter.requires_grad]
        if learns:
            raise UserInputError.of(
                f'FeatureCacheHook module={self.module!r}',
                f'a backbone that learns ({len(learns)} tensors, the first is {learns[0]})',
                'a frozen one, whose features stay the same',
                'freeze it (frozen=True), or leave the hook out',
            )
        self.cache = CachedForward(backbone, self.folder, self.limit_gb, runner.logger.warning)

    def before_train_epoch(self, runner: Runner) -> None:
        """See what other processes have kept since."""
        self.cache.refresh()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """The loop has put the backbone into training mode."""
        frozen_part(self.cache.backbone).eval()

    def after_train_epoch(self, runner: Runner) -> None:
        """Say how many images were read and how many computed."""
        runner.logger.info(self.cache.said())

    def after_run(self, runner: Runner) -> None:
        """Take the cache away."""
        if self.cache is not None:
            self.cache.remove()


class CachedForward:
    """What stands in for the ``forward`` of a frozen backbone, or for its ``encode`` if it has one.

    Args:
        backbone: Takes images (B, 3, H, W) and gives maps (B, C, h, w); or a neck, which takes maps.
        folder: See :class:`FeatureCacheHook`.
        limit_gb: See :class:`FeatureCacheHook`.
        warn: Told once that nothing more is kept.
    """

    def __init__(
        self, backbone: nn.Module, folder: Path, limit_gb: float, warn: Callable[[str], None]
    ) -> None:
        self.backbone, self.folder, self.limit, self.warn = backbone, folder, limit_gb * 1e9, warn
        self.store: FeatureStore | None = None
        self.read = self.computed = 0
        self.full = False
        names = [name for name in ('encode', 'forward_vision') if hasattr(backbone, name)]
        self._name = names[0] if names else 'forward'
        self._plain = getattr(backbone, self._name)
        setattr(backbone, self._name, self)

    def __call__(self, images: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...] | Tensor:
        """Images (B, 3, H, W) -> maps, rounded to half precision; of a neck, maps -> its map."""
        if self.store is None:  # weights are loaded after the hooks have run
            self.store = FeatureStore(self.folder / fingerprint(self.backbone))
        given = (images,) if isinstance(images, Tensor) else images
        keys = [_key(*rows) for rows in zip(*given, strict=True)]
        absent = [row for row, key in enumerate(keys) if key not in self.store]
        fresh: dict[int, list[np.ndarray]] = {}
        if absent:
            with torch.no_grad():
                some = [level[absent] for level in given]
                maps = self._plain(some[0] if isinstance(images, Tensor) else some)
            for place, row in enumerate(absent):
                levels = (maps,) if isinstance(maps, Tensor) else maps
                fresh[row] = [level[place].half().cpu().numpy() for level in levels]
                self._keep(keys[row], fresh[row])
        self.computed += len(absent)
        self.read += len(keys) - len(absent)
        found = [fresh[row] if row in fresh else self.store.get(key) for row, key in enumerate(keys)]
        result = tuple(
            torch.from_numpy(np.stack(level)).to(given[0].device, given[0].dtype)
            for level in zip(*found, strict=True)
        )
        return result[0] if self._name == 'forward_vision' else result

    def _keep(self, key: str, maps: list[np.ndarray]) -> None:
        if self.full:
            return
        reason = f'they take {self.store.size / 1e9:.1f} GB (limit_gb={self.limit / 1e9:g})'
        if self.store.size < self.limit:
            try:
                self.store.put(key, maps)
                return
            except OSError as error:
                reason = error.strerror or str(error)
        self.full = True
        self.warn(f'features of further images are not kept in {self.store.folder}: {reason}')

    def refresh(self) -> None:
        """Read what others have written."""
        if self.store is not None:
            self.store.refresh()

    def said(self) -> str:
        """How many images were read and computed since it was last asked."""
        folder, size = (self.store.folder, self.store.size) if self.store else (self.folder, 0)
        text = f'features: {self.read} images read, {self.computed} computed; {size / 1e9:.2f} GB in {folder}'
        self.read = self.computed = 0
        return text

    def remove(self) -> None:
        """Give the backbone its own method back."""
        if self.backbone.__dict__.get(self._name) is self:
            delattr(self.backbone, self._name)
        if self.store is not None:
            self.store.close()


def frozen_part(backbone: nn.Module) -> nn.Module:
    """What computes the features that are kept: the encoder of a backbone with ``encode``, or all of it."""
    return backbone.encoder if hasattr(backbone, 'encode') else backbone


def fingerprint(backbone: nn.Module) -> str:
    """Twenty hex digits of what the features depend on: structure, weights, how images are normalised."""
    frozen = frozen_part(backbone)
    digest = hashlib.blake2b(repr(frozen).encode(), digest_size=10)
    for name, value in (*frozen.state_dict().items(), *backbone.named_buffers(recurse=False)):
        digest.update(name.encode())
        digest.update(_content(value))
    return digest.hexdigest()


def _key(*arrays: Tensor) -> str:
    """Of a preprocessed image (3, H, W), or of the maps of one."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(str((tuple(array.shape), array.dtype)).encode())
        digest.update(_content(array))
    return digest.hexdigest()


def _content(value: Tensor) -> memoryview:
    return memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
