from . import transforms
from .annotations import load_annotation_file, load_split, normalize_records
from .coco_instance_dataset import CocoInstanceDataset
from .predicted_pairs import NothingLeft, read_predicted_pairs
from .ref_seg_dataset import RefSegDataset
from .validation import find_problem, validate_record, validate_records

__all__ = [
    'CocoInstanceDataset',
    'NothingLeft',
    'RefSegDataset',
    'find_problem',
    'load_annotation_file',
    'load_split',
    'normalize_records',
    'read_predicted_pairs',
    'transforms',
    'validate_record',
    'validate_records',
]
