from .checkpoint_hooks import (
    CheckpointCheckHook,
    CheckpointLinkHook,
    KeyReport,
    NameCheckpointHook,
    begin_metrics,
    compare_state_dicts,
    link_file,
    refuse_broken_weights,
)
from .epoch_hooks import DatasetEpochHook, EpochSeedHook, seed_everything, set_dataset_epoch
from .feature_cache_hook import FeatureCacheHook
from .finite_loss_hook import FiniteLossHook
from .rich_progress_hook import RichProgressHook
from .train_only_hook import TrainOnlyHook
from .visualization_hook import RefVisualizationHook

__all__ = [
    'CheckpointCheckHook',
    'CheckpointLinkHook',
    'DatasetEpochHook',
    'EpochSeedHook',
    'FeatureCacheHook',
    'FiniteLossHook',
    'KeyReport',
    'NameCheckpointHook',
    'RefVisualizationHook',
    'RichProgressHook',
    'TrainOnlyHook',
    'begin_metrics',
    'compare_state_dicts',
    'link_file',
    'refuse_broken_weights',
    'seed_everything',
    'set_dataset_epoch',
]
