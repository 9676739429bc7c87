"""A run that stops after its first batch until the file WAIT_FOR is there."""

import os
import time

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class WaitingHook(Hook):
    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        path = os.environ.get('WAIT_FOR')
        while path and batch_idx == 0 and not os.path.exists(path):
            time.sleep(0.05)
