"""Foreign annotation formats, in and out (the library behind ``tools/dataset_converters``)."""

from .boxes import read_boxes_csv, read_simrec
from .conversion import Conversion, count_objects
from .counts import PUBLISHED, Comparison, Size, compare_counts, format_comparison
from .grefcoco import read_grefcoco
from .image_sizes import ImageSizes, read_size
from .instances import read_instances
from .json_lines import read_json_lines
from .mask_sampling import sample_masks
from .mixing import guess_source, mix_datasets
from .reasonseg import read_reasonseg
from .refer import read_refer, write_refer

__all__ = [
    'PUBLISHED',
    'Comparison',
    'Conversion',
    'ImageSizes',
    'Size',
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
    'sample_masks',
    'write_refer',
]
