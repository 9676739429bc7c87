"""Foreign annotation formats, in and out (the library behind ``tools/dataset_converters``)."""

from ..images import ImageSizes, read_size
from .box_files import read_boxes_csv, read_simrec
from .coco_sentences import read_coco_sentences, write_cvat_coco
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
from .cvat import read_cvat
from .exports import Exported, check_images, exported, name_categories
from .hugging_face import read_hugging_face
from .json_lines import read_json_lines
from .label_studio import labelling_interface, read_label_studio, write_label_studio
from .labelme import read_labelme, write_labelme
from .mask_folders import read_mask_folders
from .pascal_voc import read_voc
from .reasonseg import read_reasonseg
from .refer import read_grefcoco, read_refer, write_refer
from .regions import ImportOptions
from .training_sets import (
    annotation_key,
    guess_source,
    mix_datasets,
    sample_coco_masks,
    sample_masks,
    withhold_masks,
)
from .yolo import read_yolo

__all__ = [
    'PUBLISHED',
    'Comparison',
    'Conversion',
    'Exported',
    'ImageSizes',
    'ImportOptions',
    'Size',
    'annotation_key',
    'check_images',
    'compare_counts',
    'count_objects',
    'exported',
    'format_comparison',
    'guess_source',
    'labelling_interface',
    'mix_datasets',
    'name_categories',
    'read_boxes_csv',
    'read_coco_sentences',
    'read_cvat',
    'read_grefcoco',
    'read_hugging_face',
    'read_instances',
    'read_json_lines',
    'read_label_studio',
    'read_labelme',
    'read_mask_folders',
    'read_reasonseg',
    'read_refer',
    'read_simrec',
    'read_size',
    'read_voc',
    'read_yolo',
    'sample_coco_masks',
    'sample_masks',
    'withhold_masks',
    'write_cvat_coco',
    'write_label_studio',
    'write_labelme',
    'write_refer',
]
