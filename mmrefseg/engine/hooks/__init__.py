from .checkpoint_hooks import (
    CheckpointCheckHook,
    CheckpointLinkHook,
    KeyReport,
    NameCheckpointHook,
    begin_metrics,
    compare_state_dicts,
    link_file,
)
from .epoch_hooks import DatasetEpochHook, EpochSeedHook, seed_everything, set_dataset_epoch
from .rich_progress_hook import RichProgressHook
from .train_only_hook import TrainOnlyHook
from .visualization_hook import RefVisualizationHook

__all__ = [
    'CheckpointCheckHook',
    'CheckpointLinkHook',
    'DatasetEpochHook',
    'EpochSeedHook',
    'KeyReport',
    'NameCheckpointHook',
    'RefVisualizationHook',
    'RichProgressHook',
    'TrainOnlyHook',
    'begin_metrics',
    'compare_state_dicts',
    'link_file',
    'seed_everything',
    'set_dataset_epoch',
]
