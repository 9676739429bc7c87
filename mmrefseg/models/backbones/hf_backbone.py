"""Any image encoder of Hugging Face's ``transformers`` as a backbone: DINOv3, SigLIP 2, ConvNeXt, Swin, ...

Letters: B images, H W pixels, C channels, h w cells, p pixels a side of a patch.
"""

import inspect
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ...utils.errors import short
from ..hugging_face import (
    are_statistics,
    build_tower,
    config_fields,
    find_model,
    freeze_encoder,
    freeze_unused,
    layers_by_depth,
    load_tower,
    pixel_statistics,
    read_config,
)
from ..necks.simple_feature_pyramid import SimpleFeaturePyramid, check_levels

# Class tokens and registers stand before the patches; what has more (YOLOS) has others behind them.
MOST_TOKENS = 16
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Maps(NamedTuple):
    """What an encoder gives for a trial image.

    Attributes:
        indices: Which of its maps are used, finest first: the last one of each stride.
        strides: Pixels per cell of each, to the next power of two (a patch of 14 pixels: 16).
        channels: C of each.
    """

    indices: list[int]
    strides: list[int]
    channels: list[int]


@MODELS.register_module()
class HFBackbone(BaseModule):
    """An image encoder of ``transformers``, with maps of the strides that a head wants.

    It takes RGB images in 0..255 of any size and normalises them as its model was trained: let the data
    preprocessor do without mean and std. A network of stages (ConvNeXt, Swin, ResNet, ...) gives its own
    maps; from the one map of a plain transformer (DINOv3, SigLIP 2, CLIP, ...)
    :class:`SimpleFeaturePyramid` makes them. Where patches are no power of two (DINOv2: 14 pixels), the image
    is resized so that one cell becomes one of the next (16).

    Args:
        model: Folder with ``config.json`` and ``model.safetensors``, or a name in Hugging Face's cache. The
            weights are read when a training starts. Of a model of images and texts, the image tower is taken.
        config: Fields of the encoder's config that replace the model's; without ``model``, with
            ``model_type``, those of a network with random weights.
        strides: Of the maps, finest first.
        out_channels: See :class:`SimpleFeaturePyramid`.
        frozen: ``True`` keeps all of the encoder's weights, and remembers nothing for a backward pass; N
            keeps the embeddings and the first N blocks or stages. The pyramid is always trained.
        resize: For an encoder with position codes for one size of image only: resize images to it, and the
            maps back. Otherwise another size is an error.
        normalize: ``False`` leaves images as the data preprocessor gives them.
        statistics: Mean and standard deviation of pixels in 0..1, three numbers each, in place of those of
            the model's folder: a checkpoint carries them.
        allow_pickle: See :func:`load_tower`.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: C of each map.

    Raises:
        UserInputError: If the model is not on this disk, or is no image encoder.
    """

    def __init__(
        self,
        model: str | None = None,
        config: dict | None = None,
        strides: Sequence[int] = (8, 16, 32),
        out_channels: int | Sequence[int] | None = None,
        frozen: bool | int = False,
        resize: bool = False,
        normalize: bool = True,
        statistics: Sequence[Sequence[float]] | None = None,
        allow_pickle: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if model is None and not (config or {}).get('model_type'):
            raise UserInputError.of(
                'HFBackbone', 'neither model nor config.model_type', 'one of them', 'name the model'
            )
        self.where = f'HFBackbone {model}' if model else 'HFBackbone'
        check_levels(strides, out_channels, self.where)
        self.folder = None if model is None else find_model(model, 'HFBackbone')
        self.resize, self.allow_pickle = resize, allow_pickle
        self.strides = tuple(strides)
        settings = read_config(self.folder, config, 'vision', self.where)
        self.fields = config_fields(settings)
        self.statistics = self._find_statistics(statistics) if normalize else None
        self.fixed_size: tuple[int, int] | None = None
        self._build(settings)
        self.pyramid = SimpleFeaturePyramid(self.maps.channels, self.maps.strides, strides, out_channels)
        self.out_channels = tuple(self.pyramid.out_channels)
        self.frozen = frozen is True
        self.still = freeze_encoder(self.encoder, frozen, self.where)
        mean, std = self.statistics or ((0.0,) * 3, (1 / 255,) * 3)
        self.register_buffer('mean', 255 * torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer('std', 255 * torch.tensor(std)[:, None, None], persistent=False)
        # What encode() depends on beside its weights: features kept on disk are told apart by it.
        layout = [*self.maps.indices, *self.maps.strides, int(resize)]
        self.register_buffer('layout', torch.tensor(layout), persistent=False)
        self._unseen = normalize  # no batch has been looked at

    def _find_statistics(self, given: Sequence[Sequence[float]] | None) -> Sequence[Sequence[float]]:
        if given is None:
            return pixel_statistics(self.folder) or IMAGENET
        rows = [[*row] for row in given if isinstance(row, Sequence)] if isinstance(given, Sequence) else []
        if not are_statistics(rows):
            raise UserInputError.of(
                self.where,
                f'statistics={short(given)}',
                'mean and deviation of pixels in 0..1, three numbers each',
                'correct the config',
            )
        return rows

    def carried(self) -> dict[str, Any]:
        """What the model's folder says of the network and of pixels; the weights are among the model's."""
        statistics = None if self.statistics is None else [[*row] for row in self.statistics]
        return {'config': {'model': None, 'config': self.fields, 'statistics': statistics}}

    def _build(self, settings) -> None:
        """The encoder, and what a trial image tells of its maps."""
        names = list(getattr(settings, 'stage_names', None) or [])
        if names:  # everything but the stem, to see what there is
            _choose(settings, [i for i, name in enumerate(names) if name != 'stem'])
        self.patch = _one_number(getattr(settings, 'patch_size', None)) if _is_plain(settings) else None
        trial = self._try_image(settings)
        pyramid = SimpleFeaturePyramid(trial.channels, trial.strides, self.strides)
        used = sorted(set(pyramid.sources))
        self.maps = _Maps(*([values[i] for i in used] for values in trial))
        if names:
            # Stages that no output needs would cost memory, and have norms that nothing trains.
            _choose(settings, [settings.out_indices[i] for i in self.maps.indices])
            self.maps = self.maps._replace(indices=list(range(len(used))))
        self.encoder = build_tower(settings, self.where).eval()
        maps = self.run_encoder(torch.zeros(1, 3, *(self.fixed_size or self._trial_size())))
        freeze_unused(self.encoder, [maps[i] for i in self.maps.indices])
        self.encoder.train()

    def _trial_size(self) -> tuple[int, int]:
        """Small, and not square: an encoder with position codes for one size shall fail."""
        cell = self.patch or 16
        return 4 * cell, 8 * cell

    def _try_image(self, settings) -> _Maps:
        """What maps there are, from a small image, or from one of the size that the encoder was made for."""
        sizes = [self._trial_size()]
        own = getattr(settings, 'image_size', None)
        if own is not None:
            sizes.append((own, own) if isinstance(own, int) else tuple(own))
        error = None
        # Shapes alone first: no weights are made. What cannot do without numbers is tried again with them.
        for device, size in (('meta', sizes[0]), *(('cpu', size) for size in sizes)):
            with torch.device(device):
                self.encoder = build_tower(settings, self.where).eval()
                try:
                    with torch.no_grad():
                        maps = self.run_encoder(torch.zeros(1, 3, *size))
                except (RuntimeError, ValueError, IndexError, KeyError, TypeError, AssertionError) as caught:
                    error = caught if device == 'meta' else error
                    continue
            if size != sizes[0]:
                self.fixed_size = size
            return self._read_trial(maps, size)
        self._refuse(f'no map of an image of {sizes[0][1]} x {sizes[0][0]} pixels ({short(str(error))})')

    def _read_trial(self, maps: list[Tensor], size: tuple[int, int]) -> _Maps:
        last: dict[int, tuple[int, int]] = {}
        for i, x in enumerate(maps):
            stride = _next_power(size[0] / x.shape[2]), _next_power(size[1] / x.shape[3])
            if stride[0] != stride[1]:
                self._refuse(f'a map of stride {stride[0]} down and {stride[1]} across')
            last[stride[0]] = (i, x.shape[1])
        if not last:
            self._refuse('no map')
        strides = sorted(last)
        return _Maps([last[s][0] for s in strides], strides, [last[s][1] for s in strides])

    def _refuse(self, found: str):
        raise UserInputError.of(
            self.where,
            f'model_type {self.encoder.config.model_type!r}, which gives {found}',
            'an image encoder with maps',
            'name another model (docs/encoders.md lists those that were tried)',
        )

    def init_weights(self) -> None:
        """Read the model's weights; without a model they stay random.

        Raises:
            UserInputError: If they are missing or of another network.
        """
        first = not self._is_init
        super().init_weights()  # first: transformers' own initialisation is among it
        if first and self.folder is not None:
            load_tower(self.encoder, self.folder, self.where, self.allow_pickle)

    def layers_by_depth(self) -> list[list[str]]:
        """Names of the encoder's parameters, layer by layer, for layer-wise learning rates."""
        return [[f'encoder.{name}' for name in names] for names in layers_by_depth(self.encoder)]

    def train(self, mode: bool = True) -> 'HFBackbone':
        """Training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """RGB images (B, 3, H, W) in 0..255 -> one map (B, C, H / stride, W / stride) per stride, rounded up.

        Raises:
            UserInputError: If the encoder takes images of one size only, or these are normalised already.
        """
        return self.expand(self.encode(images), images.shape[-2:])

    def expand(self, maps: Sequence[Tensor], size: Sequence[int]) -> tuple[Tensor, ...]:
        """The second half of :meth:`forward`: :meth:`encode`'s maps of images of (H, W) -> those wanted."""
        wanted = zip(self.pyramid(maps), self.strides, strict=True)
        return tuple(x[..., : -(-size[0] // s), : -(-size[1] // s)] for x, s in wanted)

    def encode(self, images: Tensor) -> list[Tensor]:
        """The encoder's own maps, before the pyramid: what a frozen encoder need not compute twice."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.run_encoder(self.prepare(images))
        return [
            self.cut(maps[i], images.shape[-2:], stride)
            for i, stride in zip(self.maps.indices, self.maps.strides, strict=True)
        ]

    def prepare(self, images: Tensor) -> Tensor:
        """RGB images in 0..255 -> normalised ones of a size that the encoder takes."""
        if self._unseen and images.numel():
            self._check_range(images)
        return self._fit((images - self.mean) / self.std)

    def _check_range(self, images: Tensor) -> None:
        """Once: a batch that somebody has normalised has values below zero."""
        self._unseen = False
        lowest = float(images.min())
        if lowest < 0:
            raise UserInputError.of(
                self.where,
                f'images with values down to {lowest:.1f}',
                'RGB in 0..255, which it normalises itself',
                'set mean=None and std=None in model.data_preprocessor, or normalize=False here',
            )

    def _fit(self, x: Tensor) -> Tensor:
        """Images of a size that the encoder takes: padded with its mean, or resized."""
        height, width = x.shape[-2:]
        if self.fixed_size is not None:
            if (height, width) == self.fixed_size:
                return x
            if not self.resize:
                raise UserInputError.of(
                    self.where,
                    f'images of {width} x {height} pixels',
                    f'{self.fixed_size[1]} x {self.fixed_size[0]}, the one size of its position codes',
                    'resize to it in the pipeline, or set resize=True',
                )
            return _resize(x, self.fixed_size)
        coarsest = max(self.maps.strides)
        whole = coarsest * self._windows()
        x = F.pad(x, (0, -width % whole, 0, -height % whole))
        if self.patch in (None, coarsest):
            return x
        return _resize(x, tuple(side // coarsest * self.patch for side in x.shape[-2:]))

    def _windows(self) -> int:
        """Windows a side that the cells must divide into, for encoders whose windows do not pad."""
        config = self.encoder.config
        return getattr(config, 'num_windows_side', None) or getattr(config, 'num_windows', None) or 1

    def cut(self, x: Tensor, size: Sequence[int], stride: int) -> Tensor:
        """A map of what :meth:`prepare` gave -> the part that belongs to the images, of (H, W)."""
        h, w = (-(-side // stride) for side in size)
        if self.fixed_size is not None and x.shape[-2:] != (h, w):
            return _resize(x, (h, w))
        return x[..., :h, :w]

    def run_encoder(self, x: Tensor) -> list[Tensor]:
        """The encoder's maps of normalised images, as (B, C, h, w)."""
        parameters = inspect.signature(self.encoder.forward).parameters
        if 'spatial_shapes' in parameters:
            return [_to_map(_call_patches(self.encoder, x, self.patch).last_hidden_state, x, self.patch)]
        options = {'interpolate_pos_encoding': True} if 'interpolate_pos_encoding' in parameters else {}
        if hasattr(self.encoder, 'out_features'):
            maps = self.encoder(pixel_values=x, **options).feature_maps
        else:
            output = self.encoder(pixel_values=x, output_hidden_states=True, **options)
            maps = [item for item in output.get('hidden_states') or () if item.ndim == 4]
            maps = maps or [output.last_hidden_state]
        return [_to_map(item, x, self.patch) for item in maps]


def _is_plain(settings) -> bool:
    """Whether an encoder has patches of one size, and no stages."""
    return not any(hasattr(settings, name) for name in ('depths', 'embed_dim_multiplier', 'hidden_sizes'))


def _choose(settings, indices: list[int]) -> None:
    """Which maps an encoder gives."""
    settings.set_output_features_output_indices(out_features=None, out_indices=indices)


def _one_number(value: int | Sequence[int] | None) -> int | None:
    return value[0] if isinstance(value, Sequence) else value


def _next_power(value: float) -> int:
    """The power of two that is nearest from above; a map whose sides were rounded is a bit off."""
    return 2 ** math.ceil(math.log2(value) - 0.05)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, tuple(size), mode='bilinear', antialias=True)


def _to_map(x: Tensor, images: Tensor, patch: int | None) -> Tensor:
    """Tokens (B, n + h * w, C), with n that belong to no patch in front, or a map -> (B, C, h, w)."""
    if x.ndim == 4:
        return x
    h, w = (side // (patch or 1) for side in images.shape[-2:])
    before = x.shape[1] - h * w
    if not 0 <= before <= MOST_TOKENS:
        raise ValueError(f'{x.shape[1]} tokens for {h} x {w} patches')
    tokens = x[:, before:]
    return tokens.transpose(1, 2).unflatten(2, (h, w))


def _call_patches(encoder: nn.Module, x: Tensor, patch: int):
    """NaFlex (SigLIP 2): patches in rows, each as its pixels, and how many rows and columns there are."""
    b, c, height, width = x.shape
    h, w = height // patch, width // patch
    patches = x.view(b, c, h, patch, w, patch).permute(0, 2, 4, 3, 5, 1).reshape(b, h * w, -1)
    shapes = torch.tensor([[h, w]] * b, device=x.device)
    return encoder(
        pixel_values=patches, pixel_attention_mask=shapes.new_ones(b, h * w), spatial_shapes=shapes
    )
