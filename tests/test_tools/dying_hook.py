"""A power cut, for configs' custom_imports: with DIE_AT=n in the environment, a run ends at step n."""

import os

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class DyingHook(Hook):
    """Ends the process before the n-th step of this run, without a word."""

    def __init__(self) -> None:
        self.steps_to_live = int(os.environ.get('DIE_AT', -1))

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.steps_to_live -= 1
        if self.steps_to_live == 0:
            os._exit(137)
