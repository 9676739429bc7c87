"""``mmrefseg VERB ...``: what pip puts on the path.

A verb that fronts a tool hands its words on as they are: the tool's options are those of the verb. Torch is
loaded by what needs it, after files and arguments were looked at.
"""

import importlib.util
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from ..runs.tool_errors import tool
from ..utils.command_line import KINDS, unknown_words, wrong_usage
from ..utils.errors import UserInputError, did_you_mean
from ..utils.places import shipped, shipped_config
from ..version import __version__

app = typer.Typer(
    name='mmrefseg',
    help='Referring and instance segmentation that learns from few masks.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={'help_option_names': ['-h', '--help']},
)
USAGE_ERROR = typer.BadParameter.__base__
"""All that typer says of wrong words; it gives a name to this one child alone."""
FRONT = {'allow_extra_args': True, 'ignore_unknown_options': True, 'help_option_names': []}


@dataclass(frozen=True)
class ToolVerb:
    """A verb that hands its words on to a tool of the package.

    Attributes:
        name: The verb.
        path: The tool, from the root of the checkout.
        does: What it does, in a line.
        examples: Two command lines or more, without ``mmrefseg``.
        configs: Whether its words may be names of shipped configs.
        folder_path: The tool for a first word that is a folder; '' for the same.
        folder_options: What that tool takes, for the verb's help.
    """

    name: str
    path: str
    does: str
    examples: tuple[str, ...]
    configs: bool = False
    folder_path: str = ''
    folder_options: str = ''

    @property
    def help(self) -> str:
        """The line, and the examples."""
        lines = '\n'.join(f'  mmrefseg {example}' for example in self.examples)
        more = ''
        if self.folder_options:
            more = f'\n\n\b\nWith a folder: {self.folder_options}\n  see mmrefseg {self.name} . --help'
        return f'{self.does}\n\n\b\nExamples:\n{lines}{more}'


TOOL_VERBS = (
    ToolVerb(
        'import', 'tools/dataset_converters/convert.py',
        'Bring annotations of other programs into the working format.',
        (
            'import jsonlines mine.jsonl --images photos --out data/annotations/mine/instances.json',
            "import refer 'refs(unc).p' instances.json --out data/annotations/refcoco-unc/instances.json",
        ),
    ),
    ToolVerb(
        'export', 'tools/dataset_converters/export.py',
        'Write annotations for a labelling tool.',
        (
            'export labelme data/annotations/mine/instances.json --images photos --out photos',
            'export label-studio data/annotations/mine/instances.json --out tasks.json',
        ),
    ),
    ToolVerb(
        'train', 'tools/train.py',
        'Train the model of a config, or on a folder of photos.',
        (
            'train my_photos/',
            'train box-frame_tiny_rec_refshapes --work-dir work_dirs/rec',
            'train configs/partial_res/partial-res_darknet53_m05_refcoco-unc.py --load-from rec.pth',
        ),
        configs=True,
        folder_path='tools/train_folder.py',
        folder_options='--dry-run, --steps, --image-size, --folder, --annotations, --seed, --log-to, '
        '--cfg-options',
    ),
    ToolVerb(
        'test', 'tools/test.py',
        'Test a checkpoint on a split: metrics, or predictions for a submission.',
        (
            'test box-frame_tiny_m05-frozen_refshapes mmrefseg://box-frame_tiny_masks_refshapes',
            'test my_config.py work_dirs/mine/best.pth --which-set testA --json metrics.json',
        ),
        configs=True,
    ),
    ToolVerb(
        'pseudo', 'tools/choose_pseudo_data.py',
        'Choose the pseudo masks that fit their boxes, to train on.',
        (
            'pseudo --ratio 5 --dataset refcoco-unc',
            'pseudo --ratio 5 --dataset refcoco-unc --html review.html',
        ),
    ),
    ToolVerb(
        'choose', 'tools/choose_masks_to_draw.py',
        'Choose the objects whose masks to draw next.',
        (
            'choose data/annotations/mine/instances.json --budget 100 --out to_draw.json',
            'choose data/annotations/mine/instances.json --budget 10% --random --apply sample.json',
        ),
    ),
)  # fmt: skip


def front(verb: ToolVerb) -> None:
    """Make a command of a verb whose tool is there."""

    @app.command(
        verb.name, help=verb.help, short_help=verb.does, context_settings=FRONT, add_help_option=False
    )
    def run(context: typer.Context) -> None:
        if verb.folder_path and context.args and Path(context.args[0]).is_dir():
            run_tool(replace(verb, path=verb.folder_path), list(context.args))
            return
        if verb.folder_path and context.args and context.args[0].endswith(os.sep):
            raise UserInputError.of(
                context.args[0], 'no such folder', 'a config or a folder of photos', 'check the path'
            )
        words = [_config_of(word) for word in context.args] if verb.configs else list(context.args)
        if {'-h', '--help'} & set(words):
            typer.echo(verb.help.replace('\b\n', '') + '\n')
        run_tool(verb, words)


def run_tool(verb: ToolVerb, words: list[str]) -> None:
    """Run a tool in this process, with the verb as its name in usage lines."""
    path = shipped(verb.path)
    sys.argv = [f'mmrefseg {verb.name}', *words]
    sys.path.insert(0, str(path.parent))  # processes that it starts find it by its name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    module.main()


def _config_of(word: str) -> str:
    """A word of a command line that is no option, with the config of the package that it may name."""
    return word if word.startswith('-') or '=' in word else shipped_config(word)


def _wrong_usage(error: Exception, prog: str) -> str:
    """What typer says of wrong words, as the tools say it."""
    message = error.format_message()
    option, parameter = getattr(error, 'option_name', None), getattr(error, 'param', None)
    extra = re.search(r'unexpected extra arguments? ?(?:\(s\) )?\((.+)\)', message)
    if message.startswith('Missing') and parameter is not None:
        sentence = f'{prog}: found too few words, expected also {parameter.opts[0].upper()}'
    elif parameter is not None:
        value = _value_of(parameter.opts, sys.argv[2:])
        kind = next((kind for word, kind in KINDS.items() if word in message), message)
        sentence = f'{parameter.opts[0]}: found {value!r}, expected {kind}'
    elif option and hasattr(error, 'possibilities'):
        known = [name for parameter in error.ctx.command.params for name in parameter.opts]
        sentence = unknown_words(prog, option, did_you_mean(option, known))
    elif option:
        found = 'a value, expected none' if 'not take' in message else 'no value, expected one'
        sentence = f'{option}: found {found}'
    else:
        sentence = unknown_words(prog, extra[1]) if extra else f'{prog}: {message}'
    return wrong_usage(sentence, prog)


def _value_of(options: list[str], words: list[str]) -> str | None:
    """What a command line gives to an option."""
    for word, after in zip(words, [*words[1:], None], strict=True):
        name, equals, value = word.partition('=')
        if name in options:
            return value if equals else after
    return None


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f'mmrefseg {__version__}')
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, '--version', callback=_version, is_eager=True, help='Say the version.'
    ),
) -> None:
    """Referring and instance segmentation that learns from few masks."""


def _add_verbs() -> None:
    from . import app as pages  # the verbs that are no tool's
    from . import checkup, predict, report

    app.command('predict', help=predict.HELP, short_help=predict.DOES)(predict.predict)
    for verb in TOOL_VERBS:
        if shipped(verb.path).is_file():
            front(verb)
    app.command('report', help=report.HELP, short_help=report.DOES)(report.report)
    app.command('label', help=pages.LABEL_HELP, short_help=pages.LABEL_DOES)(pages.label)
    app.command('app', help=pages.APP_HELP, short_help=pages.APP_DOES)(pages.app)
    app.command('info', help=checkup.INFO_HELP, short_help=checkup.INFO_DOES)(checkup.info)
    app.command('doctor', help=checkup.DOCTOR_HELP, short_help=checkup.DOCTOR_DOES)(checkup.doctor)


_add_verbs()


@tool
def main() -> int | None:
    """The entry point."""
    verbs = {command.name for command in app.registered_commands}
    first = next(iter(sys.argv[1:]), '-h')
    if not first.startswith('-') and first not in verbs:
        near = did_you_mean(first, verbs)
        raise UserInputError.of(
            f'mmrefseg {first}', f'no such verb{near}', ', '.join(sorted(verbs)), 'see mmrefseg --help'
        )
    try:
        return app(sys.argv[1:] or ['-h'], prog_name='mmrefseg', standalone_mode=False)
    except USAGE_ERROR as error:
        prog = f'mmrefseg {first}' if first in verbs else 'mmrefseg'
        raise UserInputError(_wrong_usage(error, prog)) from error
    except typer.Abort:  # what older versions of typer make of Ctrl-C
        return 130
    except SystemExit as stop:  # of a verb's tool; all output must be known to be written before the end
        return stop.code


if __name__ == '__main__':
    main()
