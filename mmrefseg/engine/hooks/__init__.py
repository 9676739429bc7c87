from .checkpoint_check_hook import CheckpointCheckHook, KeyReport, compare_state_dicts
from .checkpoint_link_hook import CheckpointLinkHook, link_file
from .dataset_epoch_hook import DatasetEpochHook, set_dataset_epoch
from .epoch_seed_hook import EpochSeedHook, seed_everything
from .name_checkpoint_hook import NameCheckpointHook, begin_metrics
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
