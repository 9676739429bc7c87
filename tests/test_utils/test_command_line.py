"""Wrong words on a command line: one sentence of what was found, what is expected and where to read more."""

import argparse
import runpy
import sys

import pytest

from mmrefseg.utils import UserInputError
from mmrefseg.utils.command_line import ToolParser

NO_PARSER = {'dist_run.py'}  # torchrun's front, whose words are torchrun's


def seven(text):
    if text != '7':
        raise argparse.ArgumentTypeError(f'found {text!r}, expected 7; write it')
    return 7


@pytest.fixture
def parser():
    parser = ToolParser(prog='tool')
    parser.add_argument('--size', type=int)
    parser.add_argument('--sides', type=int, nargs=2)
    parser.add_argument('--share', type=float)
    parser.add_argument('--seven', type=seven)
    parser.add_argument('--rule', choices=['left', 'right'])
    parser.add_argument('--all', nargs='+')
    parser.add_argument('--flag', action='store_true')
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument('--one')
    pair.add_argument('--two')
    below = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    first = below.add_parser('first')
    first.add_argument('file')
    first.add_argument('--out', required=True)
    first.add_mutually_exclusive_group(required=True).add_argument('--here')
    return parser


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        ('', 'tool: found too few words, expected also KIND'),
        ('fisrt', "KIND: found 'fisrt' (did you mean first?), expected one of first"),
        ('--size x', "--size: found 'x', expected a whole number"),
        ('--sides 3', '--sides: found another number of values, expected 2'),
        ('--share x', "--share: found 'x', expected a number"),
        ('--seven 8', "--seven: found '8', expected 7; write it, or"),
        ('--rule lfet', "--rule: found 'lfet' (did you mean left?), expected one of left, right"),
        ('--all', '--all: found no value, expected one or more'),
        ('--size', '--size: found no value, expected one'),
        ('--flag=3', "--flag: found the value '3', expected none"),
        ('--one 1 --two 2', '--two: found --one beside it, expected one of the two'),
        ('--si 1', '--si: found the beginning of --size, --sides, expected one of them in full'),
    ],
)  # fmt: skip
def test_what_argparse_says_in_our_words(parser, capsys, words, sentence):
    with pytest.raises(UserInputError) as error:
        parser.parse_args(words.split())
    found = str(error.value)
    assert found == f'{sentence}{"" if sentence.endswith(", or") else ";"} see tool --help'
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        ('first', 'tool first: found too few words, expected also file, --out; see tool first --help'),
        ('first a --out b', 'tool first: found none of --here, expected one of them; see tool first --help'),
        (
            'first a --out b --here c --flga 3\n',
            'tool: found --flga 3\\n, which it does not know (did you mean --flag?), expected what its help '
            'names; see tool --help',
        ),
    ],
)
def test_parsers_below_speak_alike(parser, capsys, words, sentence):
    with pytest.raises(UserInputError) as error:
        parser.parse_args(words.split(' '))
    assert str(error.value) == sentence and capsys.readouterr() == ('', '')


def test_choices_are_read_as_each_python_writes_them(parser):
    for choices in ("'left', 'right'", 'left, right'):  # until and from 3.14
        with pytest.raises(UserInputError) as error:
            parser.error(f"argument --rule: invalid choice: 'x' (choose from {choices})")
        assert "--rule: found 'x', expected one of left, right;" in str(error.value)


def test_every_tool_refuses_wrong_words_in_one_sentence(repo_root, monkeypatch, capsys):
    tools = [
        path
        for folder in ('tools', 'demo')
        for path in sorted((repo_root / folder).rglob('*.py'))
        if path.name not in NO_PARSER and "__name__ == '__main__'" in path.read_text()
    ]
    assert len(tools) >= 38
    monkeypatch.chdir(repo_root)
    for path in tools:
        monkeypatch.setattr(sys, 'argv', [str(path), '--no-such-option'])
        monkeypatch.syspath_prepend(path.parent)
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(path), run_name='__main__')
        out, err = capsys.readouterr()
        assert stop.value.code == 2 and out == '', path
        assert err.startswith('error: ') and err.count('\n') == 1 and f'see {path.name}' in err, (path, err)
        assert ': found ' in err and ', expected ' in err and err.endswith(' --help\n'), (path, err)
