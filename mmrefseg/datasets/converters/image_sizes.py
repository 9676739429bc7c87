"""Height and width of pictures, for formats that do not give them."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ...utils import UserInputError, load_json
from ..image_paths import ImagePaths

_ORIENTATION = 0x0112


class ImageSizes:
    """Looks up or reads the size of a picture.

    Args:
        images: Folder of the pictures; only their headers are read.
        instances: A COCO instances file that lists them, instead.
        template: Format string of the image_id for pictures without a name (as in ``RefSegDataset``).

    Raises:
        UserInputError: If neither is given.
    """

    def __init__(
        self,
        images: str | os.PathLike | None = None,
        instances: str | os.PathLike | None = None,
        template: str | None = None,
    ) -> None:
        if images is None and instances is None:
            raise UserInputError(
                'this format does not give the sizes of the pictures: '
                'name their folder (--images) or a COCO file that lists them (--instances)'
            )
        self._path_of = ImagePaths(os.fspath(images), template) if images is not None else None
        self._known: dict[int | str, tuple[int, int]] = {}
        if instances is not None:
            listed = load_json(instances).get('images', [])
            self._known = {image['id']: (image['height'], image['width']) for image in listed}

    def __call__(self, record: dict, where: str) -> tuple[int, int]:
        """(height, width) of the picture that a record names by ``file_name`` or ``image_id``.

        Raises:
            UserInputError: If the picture is missing or is none.
        """
        image_id = record['image_id']
        if image_id not in self._known:
            if self._path_of is None:
                raise UserInputError.of(
                    where, f'image_id {image_id} without a size', 'one listed in --instances', 'add --images'
                )
            self._known[image_id] = read_size(self._path_of(record, where), where)
        return self._known[image_id]


def read_size(path: str | os.PathLike, where: str = '') -> tuple[int, int]:
    """(height, width) of a picture as it is shown, from its header: a camera's rotation is applied.

    Raises:
        UserInputError: If the file is missing or no picture.
    """
    place = f'{where} {path}'.strip()
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
    except FileNotFoundError:
        raise UserInputError.of(
            place, 'no such picture', 'an image file', 'check --images and the name'
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise UserInputError.of(
            place, f'no readable picture ({error})', 'an image file', f'replace {Path(path).name}'
        ) from None
    return (width, height) if turned else (height, width)
