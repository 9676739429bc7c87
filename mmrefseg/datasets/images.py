"""The images of records: where they lie, and how large they are."""

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..utils import UserInputError, load_json

COCO_TEMPLATE = 'COCO_train2014_{:012d}.jpg'
# SeqTR's names of the sources of its mixed set that are not COCO: ReferIt, Flickr30k, Visual Genome.
PLAIN_TEMPLATE = '{}.jpg'


class ImagePaths:
    """Names the image of a record: its ``file_name``, else a template of its ``image_id``, below a folder.

    Args:
        folders: A folder, or one per ``data_source`` of a mixed set.
        template: A format string of ``image_id``, or one per ``data_source``. By default COCO's for
            sources called ``coco...`` (and where there are no sources), else ``'{}.jpg'``.
    """

    def __init__(self, folders: str | dict[str, str], template: str | dict[str, str] | None) -> None:
        self.folders = folders
        self.template = template

    def __call__(self, record: dict, where: str) -> str:
        """The path of the record's image.

        Raises:
            UserInputError: If there is no folder or template for the record.
        """
        source = record.get('data_source')
        folder = self._of_source(self.folders, source, 'data_prefix["img_path"]', where)
        name = record.get('file_name') or self._name(record['image_id'], source, where)
        return os.path.join(folder, name)

    def _name(self, image_id: int | str, source: str | None, where: str) -> str:
        template = self.template
        if template is None:
            template = COCO_TEMPLATE if source is None or source.startswith('coco') else PLAIN_TEMPLATE
        template = self._of_source(template, source, 'img_template', where)
        try:
            return template.format(image_id)
        except (ValueError, IndexError, KeyError):
            raise UserInputError.of(
                where,
                f'img_template {template!r} that does not fit image_id {image_id!r}',
                'a format string of the image_id or a file_name in each record',
                "set img_template, for instance '{}.jpg'",
            ) from None

    def _of_source(self, by_source: str | dict, source: str | None, name: str, where: str) -> str:
        if isinstance(by_source, str):
            return by_source
        if source not in by_source:
            raise UserInputError.of(
                where, f'data_source {source!r}', f'one of {sorted(by_source)}', f'add it to {name}'
            )
        return by_source[source]


_ORIENTATION = 0x0112


class ImageSizes:
    """Looks up or reads the size of an image.

    Args:
        images: Folder of the images; only their headers are read.
        instances: A COCO instances file that lists them, instead.
        template: Format string of the image_id for images without a name (as in ``RefSegDataset``).

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
                'this format does not give the sizes of the images: '
                'name their folder (--images) or a COCO file that lists them (--instances)'
            )
        self._path_of = ImagePaths(os.fspath(images), template) if images is not None else None
        self._known: dict[int | str, tuple[int, int]] = {}
        if instances is not None:
            listed = load_json(instances).get('images', [])
            self._known = {image['id']: (image['height'], image['width']) for image in listed}

    def __call__(self, record: dict, where: str) -> tuple[int, int]:
        """(height, width) of the image that a record names by ``file_name`` or ``image_id``.

        Raises:
            UserInputError: If the image is missing or is none.
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
    """(height, width) of an image as it is shown, from its header: a camera's rotation is applied.

    Raises:
        UserInputError: If the file is missing or no image.
    """
    named = f'{where} {path}'.strip()
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
    except FileNotFoundError:
        raise UserInputError.of(
            named, 'no such image', 'an image file', 'check --images and the name'
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise UserInputError.of(
            named, f'no readable image ({error})', 'an image file', f'replace {Path(path).name}'
        ) from None
    return (width, height) if turned else (height, width)
