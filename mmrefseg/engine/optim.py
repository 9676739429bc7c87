"""What of optimizers and schedules mmengine lacks: merged groups, rates by layer, LAVT's polynomial decay."""

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.optim.scheduler import PolyLR
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn
from torch.optim import Optimizer

from ..utils import UserInputError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, but parameters with the same settings share a group.

    mmengine makes a group of every parameter as soon as there is a ``paramwise_cfg``. Each group is a
    call of the optimizer's kernel and a step of the scheduler, which a small network with 200 parameters
    feels. The updates are the same.
    """

    def add_params(self, params: list[dict], module: nn.Module, *args, **kwargs) -> None:
        """Collect the groups of a module; ``params`` is changed in place."""
        super().add_params(params, module, *args, **kwargs)
        merged: dict[tuple, dict] = {}
        for group in params:
            settings = {key: value for key, value in group.items() if key != 'params'}
            key = tuple(sorted(settings.items()))
            merged.setdefault(key, {'params': [], **settings})['params'].extend(group['params'])
        params[:] = merged.values()


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(MergedGroupsConstructor):
    """Each block of a pretrained encoder learns at ``layer_decay`` times the rate of the next one.

    The layer-wise decay of ELECTRA (Clark et al., ICLR 2020) and BEiT (Bao et al., ICLR 2022); mmdet's own
    constructor knows ConvNeXt only. Encoders are modules with ``layers_by_depth()``: ``HFBackbone``,
    ``HFTextEncoder``.

    ``paramwise_cfg`` takes ``layer_decay``, above 0 and at most 1, beside what mmengine's has: one number for
    all encoders, or a dict with the names of those that it is for (``{'backbone.encoder': 0.7}``). An
    ``lr_mult`` for the name of an encoder (``custom_keys``) is the rate of its last layer.
    """

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs) -> None:
        """Collect the groups of a module; ``params`` is changed in place."""
        if not prefix:
            self.paramwise_cfg = {**self.paramwise_cfg, 'custom_keys': self._keys(module)}
        super().add_params(params, module, prefix=prefix, **kwargs)

    def _decays(self, encoders: list[str]) -> dict[str, float]:
        """Decay of each encoder that has one."""
        given = self.paramwise_cfg.get('layer_decay', 1.0)
        decays = dict(given) if isinstance(given, dict) else dict.fromkeys(encoders, given)
        unknown = [name for name in decays if name not in encoders]
        wrong = [d for d in decays.values() if not isinstance(d, int | float) or not 0 < d <= 1]
        if unknown or wrong:
            raise UserInputError.of(
                'paramwise_cfg',
                f'layer_decay={given!r}',
                f'a number above 0, at most 1, for all encoders or by name ({", ".join(encoders) or "none"})',
                'correct the config',
            )
        return decays

    def _keys(self, model: nn.Module) -> dict[str, dict]:
        encoders = {n: part for n, part in model.named_modules() if hasattr(part, 'layers_by_depth')}
        decays = self._decays(list(encoders))
        given = dict(self.paramwise_cfg.get('custom_keys') or {})
        keys = dict(given)
        for name, decay in decays.items():
            layers = encoders[name].layers_by_depth()
            for depth, names in enumerate(layers):
                for parameter in (f'{name}.{item}' for item in names):
                    known = [given[key] for key in sorted(given, key=len) if key in parameter]
                    own = known[-1] if known else {}
                    rate = own.get('lr_mult', 1.0) * decay ** (len(layers) - 1 - depth)
                    keys[parameter] = {**own, 'lr_mult': rate}
        return keys


@PARAM_SCHEDULERS.register_module()
class PolyDecay(PolyLR):
    """``lr * (1 - step / steps) ** power``: LAVT's decay, with a rate above ``eta_min`` at every step.

    mmengine's ``PolyLR`` arrives at ``eta_min`` on the last step, which then changes nothing; this one would
    arrive behind it, as the released code does.

    Args:
        optimizer: Or mmengine's wrapper of one.
        begin: First step (or epoch).
        end: Behind the last one.
        kwargs: The other arguments of ``PolyLR``, ``power``, ``eta_min``, ``by_epoch`` among them.
    """

    def __init__(self, optimizer: Optimizer, *args, begin: int = 0, end: int, **kwargs) -> None:
        super().__init__(optimizer, *args, begin=begin, end=end + 1, **kwargs)
