"""Training a few modules of a network whose other weights stay as they were loaded."""

from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmrefseg.utils import UserInputError
from mmrefseg.utils.errors import did_you_mean


@HOOKS.register_module()
class TrainOnlyHook(Hook):
    """Freeze everything but the named modules, running statistics and dropout included.

    A learning rate of zero (``paramwise_cfg``) would let batch norms' statistics move, and mmdet's
    ``frozen_stages`` is a backbone's. What is frozen computes as in a test. In several processes it needs
    ``find_unused_parameters=True``: these are made before the hook runs.

    Args:
        modules: Names, such as ``head.roi_memory``; what is below one trains with it.

    Raises:
        UserInputError: From :meth:`before_run`, for a name that the model does not have.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = tuple(modules)
        self._frozen: list[nn.Module] = []

    def before_run(self, runner: Runner) -> None:
        """Freeze the parameters."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        names = [name for name, _ in model.named_modules()]
        for wanted in self.modules:
            if wanted not in names:
                near = did_you_mean(wanted, names)
                raise UserInputError.of(
                    f'TrainOnlyHook {wanted}',
                    f'no such module{near}',
                    "one of the model's",
                    'correct the name',
                )
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self._trains(name))
        self._frozen = [module for name, module in model.named_modules() if self._stays(name)]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """The loop has put the whole model into training mode after the last hook before it."""
        for module in self._frozen:
            module.training = False

    def _trains(self, name: str) -> bool:
        return any(name == module or name.startswith(f'{module}.') for module in self.modules)

    def _stays(self, name: str) -> bool:
        """Whether a module neither trains nor holds one that does."""
        holds = name == '' or any(module.startswith(f'{name}.') for module in self.modules)
        return not holds and not self._trains(name)
