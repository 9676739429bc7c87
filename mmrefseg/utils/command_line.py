"""Wrong usage of a command line, as one sentence."""

import argparse
import re
from collections.abc import Iterator
from typing import NoReturn

from .errors import UserInputError, did_you_mean, printable

KINDS = {'int': 'a whole number', 'float': 'a number', 'number': 'a number'}
"""What a message of argparse or typer calls a type, and we."""
NUMBERS = {'one': 'one', 'at most one': 'one', 'at least one': 'one or more'}


class ToolParser(argparse.ArgumentParser):
    """argparse's parser, whose errors are one sentence without the usage lines before it.

    So are those of the parsers that ``add_subparsers`` makes of it, and what a tool says by ``parser.error``.
    """

    def error(self, message: str) -> NoReturn:
        """Refuse a command line.

        Raises:
            UserInputError: With what was found, what is expected and where to read more.
        """
        raise UserInputError(wrong_usage(_in_our_words(message, self), self.prog))


def wrong_usage(sentence: str, prog: str) -> str:
    """A sentence about a command line, with ``--help`` of its program as where to read more."""
    return printable(f'{sentence}{", or" if ";" in sentence else ";"} see {prog} --help')


def unknown_words(prog: str, words: str, near: str = '') -> str:
    """The sentence for words that a program does not know."""
    return f'{prog}: found {words}, which it does not know{near}, expected what its help names'


def _in_our_words(message: str, parser: argparse.ArgumentParser) -> str:
    """argparse's message with what was found and what is expected; any other as it is."""
    about = re.fullmatch(r'argument (\S+|.+?): (.+)', message, re.DOTALL)
    if about:
        return f'{about[1]}: {_of_argument(about[2])}'
    if found := re.fullmatch(r'the following arguments are required: (.+)', message):
        return f'{parser.prog}: found too few words, expected also {found[1]}'
    if found := re.fullmatch(r'one of the arguments (.+) is required', message):
        return f'{parser.prog}: found none of {found[1]}, expected one of them'
    if found := re.fullmatch(r'ambiguous option: (.+) could match (.+)', message):
        return f'{found[1]}: found the beginning of {found[2]}, expected one of them in full'
    if found := re.fullmatch(r'unrecognized arguments: (.+)', message, re.DOTALL):
        flag = found[1].partition('=')[0].partition(' ')[0]
        near = did_you_mean(flag, _options(parser)) if flag.startswith('-') else ''
        return unknown_words(parser.prog, found[1], near)
    return message


def _of_argument(message: str) -> str:
    """What argparse says of one argument."""
    if found := re.fullmatch(r'invalid choice: (.+?) \(choose from (.+)\)', message, re.DOTALL):
        choices = found[2].replace("'", '').split(', ')
        return f'found {found[1]}{did_you_mean(found[1], choices)}, expected one of {", ".join(choices)}'
    if found := re.fullmatch(r'invalid (\w+) value: (.+)', message, re.DOTALL):
        return f'found {found[2]}, expected {KINDS.get(found[1], f"a {found[1]}")}'
    if found := re.fullmatch(r'expected (.+?) arguments?', message):
        number = NUMBERS.get(found[1], found[1])
        return f'found {"no value" if found[1] in NUMBERS else "another number of values"}, expected {number}'
    if found := re.fullmatch(r'not allowed with argument (.+)', message):
        return f'found {found[1]} beside it, expected one of the two'
    if found := re.fullmatch(r'ignored explicit argument (.+)', message, re.DOTALL):
        return f'found the value {found[1]}, expected none'
    return message


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every option of a parser and of the parsers below it."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)
