"""Settings of the wrong kind: the class, the setting and the error in one sentence."""

import pytest
from mmengine.config import Config
from mmengine.registry import Registry

from mmrefseg.runs.tool_errors import one_sentence
from mmrefseg.utils import UserInputError

THINGS = Registry('thing')


class Base:
    def __init__(self, count: int | None = None, scale: float = 1.0, names: list[str] | None = None) -> None:
        self.count = (count or 0) + 1
        self.scale = scale / 2
        if isinstance(names, str):
            raise AssertionError


@THINGS.register_module()
class Thing(Base):
    def __init__(self, prefix: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.prefix = dict(prefix or {})


@THINGS.register_module()
class Holder:
    def __init__(self, part: dict, parts: list[dict] = ()) -> None:
        self.parts = [THINGS.build(each) for each in (part, *parts)]


@THINGS.register_module()
class Even:
    def __init__(self, size: int = 2) -> None:
        if size % 2:
            raise UserInputError.of('Even', f'size={size}', 'an even number', 'correct the config')


@THINGS.register_module()
class Raiser:
    def __init__(self, error: Exception) -> None:
        raise error


SETTINGS = {
    'text for a number': (dict(count='x'), "Thing cannot be built with count='x' (TypeError: "),
    'None for a number': (dict(scale=None), 'Thing cannot be built with scale=None (TypeError: '),
    'text for a dict': (dict(prefix='images'), "Thing cannot be built with prefix='images' (ValueError: "),
    'text for a list': (dict(names='bolt'), "Thing cannot be built with names='bolt' (AssertionError)"),
    'two': (dict(count='x', scale='y'), "with count='x', scale='y' ("),
}


@pytest.mark.parametrize('case', SETTINGS)
def test_the_setting_is_named(case):
    settings, words = SETTINGS[case]
    with pytest.raises(UserInputError) as error, one_sentence('my.py'):
        THINGS.build(dict(type='Thing', **settings))
    assert str(error.value).startswith('my.py: Thing cannot be built') and words in str(error.value)
    assert str(error.value).endswith('; correct the config')


@pytest.mark.parametrize(
    ('key', 'settings', 'sentence'),
    [
        ('model.part', dict(type='Thing', count='x'), "Thing cannot be built with count='x' (TypeError: "),
        (
            'model.parts.1',
            dict(type='Thing', cuont=3),
            "Thing takes no argument 'cuont' (did you mean count?); ",
        ),
        (
            'model.parts.1',
            dict(type='Thing', zebra=3),
            "Thing takes no argument 'zebra', expected one of count, names, prefix, scale; ",
        ),
        ('model.parts.1', dict(type='Even', size=3), 'Even: found size=3, expected an even number; correct'),
    ],
)
def test_the_key_of_the_config_is_named(key, settings, sentence):
    config = Config(dict(model=dict(type='Holder', part=dict(type='Thing'), parts=[dict(type='Thing')] * 2)))
    config.merge_from_dict({key: settings})
    with pytest.raises(UserInputError) as error, one_sentence('my.py'):
        THINGS.build(config.model)
    assert str(error.value).removeprefix('my.py: ').startswith(f'{key}: {sentence}')


def test_classes_that_older_versions_of_mmengine_name_are_left_out():
    nested = 'class `Holder` in my/models.py: class `Even` in my/m.py: Even: found size=3, expected 2; mend'
    for kind in (UserInputError, ValueError):
        with pytest.raises(UserInputError) as error, one_sentence('my.py'):
            THINGS.build(dict(type='Raiser', error=kind(nested)))
        assert 'class `' not in str(error.value) and 'Even: found size=3, expected 2' in str(error.value)


def test_a_whole_number_is_a_float():
    with pytest.raises(UserInputError) as error, one_sentence():
        THINGS.build(dict(type='Thing', scale=1, count='x'))
    assert 'scale' not in str(error.value)


def test_errors_of_other_places_are_left_alone():
    with pytest.raises(TypeError), one_sentence():
        Thing(count='x')
