"""The working format itself: checked, merged and numbered."""

import os

from ..annotations import load_annotation_file
from .conversion import Conversion


def read_instances(path: str | os.PathLike, skip_bad: bool = False, mend: bool = False) -> Conversion:
    """Read all splits of a file of the working format (SeqTR's and Partial-RES's ``instances.json`` too).

    Raises:
        UserInputError: If the file or a record is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    for split, records in load_annotation_file(path).items():
        for index, record in enumerate(records):
            conversion.add(split, record, f'{path} [{split}] record {index}')
    return conversion.finish(str(path))
