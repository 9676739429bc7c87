"""XML from strangers: read as plain elements, nothing expanded, nothing fetched.

A document type can define entities that grow to gigabytes, or name files and addresses. No labelling tool
writes one, so it is refused before what follows it is looked at.
"""

import os
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from .errors import UserInputError
from .files import unreadable

# No format is nested nearly as deep.
DEEPEST = 50


class _Refused(Exception):
    """What is wrong with a document, in the words of a sentence."""


def load_xml(path: str | os.PathLike, expected: str = 'an xml file') -> Element:
    """The root element of an xml file.

    Args:
        path: The file.
        expected: What it shall be, for the sentence.

    Raises:
        UserInputError: If it cannot be read, is no xml, has a document type, or is nested deeper than
            :data:`DEEPEST`.
    """
    try:
        with open(path, 'rb') as file:
            return parse_xml(file.read(), str(path), expected)
    except (OSError, ValueError) as error:
        if isinstance(error, UserInputError):
            raise
        raise unreadable(path, error, expected) from None


def parse_xml(content: bytes, where: str, expected: str = 'an xml file') -> Element:
    """The root element of an xml text: see :func:`load_xml`.

    Args:
        content: The text, in an encoding that it names.
        where: Where it comes from, for the sentence.
        expected: What it shall be.
    """
    builder, depth = TreeBuilder(), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise _Refused(f'xml that is nested deeper than {DEEPEST} elements')
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise _Refused('an xml document with a DOCTYPE (nothing of it was expanded)')

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except _Refused as error:
        raise UserInputError.of(where, str(error), expected, 'export the file again') from None
    except (expat.ExpatError, LookupError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise UserInputError.of(
            where, f'text that is not xml ({reason})', expected, 'get the file again'
        ) from None
