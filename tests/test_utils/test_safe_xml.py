"""XML from strangers: nothing is expanded or fetched."""

import pytest

from mmrefseg.utils import UserInputError
from mmrefseg.utils.safe_xml import load_xml, parse_xml

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>"""
BAD = {
    'entities': (LAUGHS, 'DOCTYPE'),
    'a file': (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', 'DOCTYPE'),
    'an address': (b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>', 'DOCTYPE'),
    'an entity without a type': (b'<a>&x;</a>', 'undefined entity'),
    'deep': (b'<a>' * 60 + b'</a>' * 60, 'nested deeper than 50'),
    'half': (b'<a><b></a>', 'mismatched tag'),
    'nothing': (b'', 'no element found'),
    'two roots': (b'<a/><b/>', 'junk after document element'),
    'no xml': (b'\xff\xfe\x00hello', 'not xml'),
    'another encoding': (b'<?xml version="1.0" encoding="klingon"?><a/>', 'not xml'),
}


@pytest.mark.parametrize('name', BAD)
def test_it_is_refused_in_one_sentence(name):
    content, found = BAD[name]
    with pytest.raises(UserInputError, match=rf'a\.xml: found .*{found}') as error:
        parse_xml(content, 'a.xml')
    assert '\n' not in str(error.value)


def test_plain_xml_is_read(tmp_path):
    text = '<?xml version="1.0" encoding="{}"?><a x="1"><!-- c -->'
    text += '<b>&lt;caf\u00e9&gt; &#233;</b> tail<?pi x?></a>'
    for encoding in ('utf-8', 'iso-8859-1', 'utf-16'):
        (tmp_path / 'a.xml').write_bytes(text.format(encoding).encode(encoding))
        root = load_xml(tmp_path / 'a.xml')
        assert (root.tag, root.get('x'), root.findtext('b')) == ('a', '1', '<caf\u00e9> \u00e9')
        assert len(root) == 1 and root[0].tail == ' tail'


def test_no_file(tmp_path):
    with pytest.raises(UserInputError, match='no such file'):
        load_xml(tmp_path / 'a.xml')
    with pytest.raises(UserInputError, match='a folder'):
        load_xml(tmp_path)
