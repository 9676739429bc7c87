"""Where the picture of a record lies."""

from mmengine.fileio import join_path

from ..utils import UserInputError

COCO_TEMPLATE = 'COCO_train2014_{:012d}.jpg'
# SeqTR's names of the sources of its mixed set that are not COCO: ReferIt, Flickr30k, Visual Genome.
PLAIN_TEMPLATE = '{}.jpg'


class ImagePaths:
    """Names the picture of a record: its ``file_name``, else a template of its ``image_id``, below a folder.

    Args:
        folders: A folder, or one per ``data_source`` of a mixed set.
        template: A format string of ``image_id``, or one per ``data_source``. By default COCO's for
            sources called ``coco...`` (and where there are no sources), else ``'{}.jpg'``.
    """

    def __init__(self, folders: str | dict[str, str], template: str | dict[str, str] | None) -> None:
        self.folders = folders
        self.template = template

    def __call__(self, record: dict, where: str) -> str:
        """The path of the record's picture.

        Raises:
            UserInputError: If there is no folder or template for the record.
        """
        source = record.get('data_source')
        folder = self._of_source(self.folders, source, 'data_prefix["img_path"]', where)
        name = record.get('file_name') or self._name(record['image_id'], source, where)
        return join_path(folder, name)

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
