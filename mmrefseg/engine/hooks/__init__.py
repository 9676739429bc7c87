from .checkpoint_hooks import (
    CheckpointCheckHook,
    CheckpointLinkHook,
    KeyReport,
    NameCheckpointHook,
    WriteFirstCheckpointHook,
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
from .word_hooks import SelfContainedHook, UnknownWordsHook, move_word_rows, sentence_cuts

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
    'SelfContainedHook',
    'TrainOnlyHook',
    'UnknownWordsHook',
    'WriteFirstCheckpointHook',
    'begin_metrics',
    'compare_state_dicts',
    'link_file',
    'move_word_rows',
    'refuse_broken_weights',
    'seed_everything',
    'sentence_cuts',
    'set_dataset_epoch',
]
