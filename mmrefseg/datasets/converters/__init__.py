"""Foreign annotation formats, in and out (the library behind ``tools/dataset_converters``)."""

from ..images import ImageSizes, read_size
from .box_files import read_boxes_csv, read_simrec
from .conversion import (
    PUBLISHED,
    Comparison,
    Conversion,
    Size,
    compare_counts,
    count_objects,
    format_comparison,
    read_instances,
)
from .json_lines import read_json_lines
from .reasonseg import read_reasonseg
from .refer import read_grefcoco, read_refer, write_refer
from .training_sets import (
    annotation_key,
    guess_source,
    mix_datasets,
    sample_coco_masks,
    sample_masks,
    withhold_masks,
)

__all__ = [
    'PUBLISHED',
    'Comparison',
    'Conversion',
    'ImageSizes',
    'Size',
    'annotation_key',
    'compare_counts',
    'count_objects',
    'format_comparison',
    'guess_source',
    'mix_datasets',
    'read_boxes_csv',
    'read_grefcoco',
    'read_instances',
    'read_json_lines',
    'read_reasonseg',
    'read_refer',
    'read_simrec',
    'read_size',
    'sample_coco_masks',
    'sample_masks',
    'withhold_masks',
    'write_refer',
]
