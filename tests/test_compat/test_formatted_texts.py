"""The text of a config, formatted once."""

import pytest
from mmengine.config import Config
from yapf.yapflib import yapf_api

from mmrefseg.compat import formatted_texts


@pytest.fixture
def formatter(monkeypatch):
    """Texts that the formatter was asked for."""
    asked = []

    def format_code(text, **options):
        asked.append(text)
        return yapf_api.FormatCode(text, **options)

    formatted_texts._formatted.cache_clear()
    monkeypatch.setattr(formatted_texts, '_format', format_code)
    yield asked
    formatted_texts._formatted.cache_clear()


def test_a_text_is_formatted_once_and_as_mmengine_has_it(formatter, monkeypatch):
    config = Config(dict(model=dict(type='A', sizes=[1, 2], names={'a b': 'c'}), steps=(3, 4)))
    texts = {config.pretty_text for _ in range(3)}
    assert len(formatter) == 1
    monkeypatch.setattr('mmengine.config.config.FormatCode', yapf_api.FormatCode)
    assert texts == {config.pretty_text}


def test_what_has_changed_is_formatted_anew(formatter):
    config = Config(dict(steps=3))
    assert config.pretty_text == 'steps = 3\n'
    config.steps = 4
    assert config.pretty_text == 'steps = 4\n'
    assert len(formatter) == 2


def test_what_is_no_python_is_said_each_time(formatter):
    config = Config(dict(model=dict(type='A', value=object())))
    for _ in range(2):
        with pytest.raises(SyntaxError, match='Failed to format'):
            _ = config.pretty_text
