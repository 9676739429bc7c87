"""Images in the orientation in which they were annotated."""

from collections.abc import Callable

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...utils import UserInputError
from ..coco.image_files import read_header
from ..fields import where_of

# What takes an image as it is shown (H, W, C) back to the pixels of its file, for the EXIF orientations that
# exchange height and width.
_TO_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


@TRANSFORMS.register_module()
class MatchRecordedSize(BaseTransform):
    """Make a loaded image agree with the height and width of its record.

    A loader turns an image as its EXIF orientation says. Where the record has the size of the image as it is
    stored, the objects were drawn on that, and the image is turned back. Any other size is an error.

    Required Keys:

    - img, img_path
    - height, width (optional)

    Modified Keys:

    - img, img_shape, ori_shape
    """

    def transform(self, results: dict) -> dict:
        """Turn the image back, or say that it does not fit.

        Raises:
            UserInputError: If the image has another size than its record says.
        """
        size = results['img'].shape[:2]
        recorded = results.get('height') or size[0], results.get('width') or size[1]
        if size == recorded:
            return results
        if size == recorded[::-1]:
            header = read_header(results['img_path'])
            if header is not None and header.stored == recorded and header.orientation in _TO_STORED:
                results['img'] = np.ascontiguousarray(_TO_STORED[header.orientation](results['img']))
                results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
                return results
        raise UserInputError.of(
            where_of(results),
            f'an image of {size[1]} x {size[0]} pixels',
            f'{recorded[1]} x {recorded[0]} as its record says',
            "use the image that was annotated, or mend the record's width and height",
        )
