"""Settings of the wrong kind: the class, the setting and the error in one sentence."""

import pytest
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


def test_a_whole_number_is_a_float():
    with pytest.raises(UserInputError) as error, one_sentence():
        THINGS.build(dict(type='Thing', scale=1, count='x'))
    assert 'scale' not in str(error.value)


def test_errors_of_other_places_are_left_alone():
    with pytest.raises(TypeError), one_sentence():
        Thing(count='x')
