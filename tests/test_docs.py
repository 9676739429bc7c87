"""The documents: links lead somewhere, commands can be pasted, Python examples name what exists."""

import argparse
import ast
import contextlib
import importlib
import io
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from string import Template
from typing import NamedTuple

import pytest
from mmengine.config import Config
from PIL import Image

from mmrefseg.experiments.experiment_tables import demo_summary
from mmrefseg.experiments.few_masks import PartialStudy, Variant
from mmrefseg.utils import dump_json

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ('*.md', 'docs/*.md', 'configs/*/README.md', 'data/README.md', 'work_dirs/README.md')
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
FILE = re.compile(
    r'(?<![\w/.-])((?:tools|configs|docs|mmrefseg|tests|benchmarks|requirements)/[\w./-]+\.(?:py|sh|md|txt))\b'
)
ASSIGNMENT = re.compile(r'\b([A-Z]+)=([\w./-]+)')


class Command(NamedTuple):
    """One command of a page, its words expanded as a shell does."""

    page: Path
    words: list[str]


def text_of(page: Path) -> str:
    return page.read_text(encoding='utf-8')


def slug(heading: str) -> str:
    """GitHub's name of a heading."""
    kept = re.sub(r'[^\w\- ]', '', heading.strip().lower())
    return kept.replace(' ', '-')


def commands_of(page: Path) -> list[Command]:
    """Every line of the code blocks that runs a tool or make."""
    text = text_of(page)
    variables = dict(ASSIGNMENT.findall(text)) | {'split': 'val'}
    found = []
    for language, block in FENCE.findall(text):
        if language not in ('', 'bash', 'sh'):
            continue
        for line in block.replace('\\\n', ' ').splitlines():
            line = Template(line).safe_substitute(variables).strip()
            if (
                re.match(r'(python |bash )?tools/|make |python (benchmarks|demo)/', line)
                and '[--' not in line
            ):
                found.append(Command(page, shlex.split(line, comments=True)))
    return found


COMMANDS = [command for page in PAGES for command in commands_of(page)]


class Parsed(BaseException):
    """The tool has read its command line, which is as far as it shall get."""


@pytest.fixture
def parse_only(monkeypatch):
    """A function that lets a tool parse arguments, really, and stops it then."""

    def stop_after(parse):
        def stopping(*args, **kwargs):
            raise Parsed(parse(*args, **kwargs))

        return stopping

    for name in ('parse_args', 'parse_intermixed_args'):
        monkeypatch.setattr(argparse.ArgumentParser, name, stop_after(getattr(argparse.ArgumentParser, name)))
    monkeypatch.chdir(ROOT)

    def parse(script: str, arguments: list[str]) -> argparse.Namespace:
        monkeypatch.setattr(sys, 'argv', [script, *arguments])
        errors = io.StringIO()
        quiet = contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors)
        try:
            with quiet[0], quiet[1], contextlib.suppress(SystemExit):  # that of a refusal, which fails below
                runpy.run_path(script, run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
        pytest.fail(f'{shlex.join([script, *arguments])}\n{errors.getvalue()}')

    return parse


def python_tool(words: list[str]) -> tuple[str, list[str]]:
    """The Python tool behind a command and its arguments; dist_*.sh hand theirs on."""
    words = words[words[0] in ('python', 'bash') :]
    script, arguments = words[0], words[1:]
    if script.endswith('.sh'):
        kind = re.fullmatch(r'tools/(?:dist)_(train|test)\.sh', script)
        assert kind, f'{script}: say in this test which tool it runs'
        position = {'train': 1, 'test': 2}[kind[1]]
        assert re.fullmatch(r'[1-9]\d*|N', arguments.pop(position)), words
        script = f'tools/{kind[1]}.py'
    return script, arguments


def check_config(path: str, options: dict) -> None:
    """The config is there, and has what ``--cfg-options`` changes."""
    assert (ROOT / path).is_file(), path
    config = Config.fromfile(ROOT / path)
    for key in options:
        node = config
        for part in key.split('.')[:-1]:
            assert part in node, f'{path} has no {key}'
            node = node[part]


def check_work_dir(word: str) -> None:
    """``work_dirs/<name>/best.pth`` belongs to a config."""
    name = Path(word).parent.name
    assert list(ROOT.glob(f'configs/**/{name}.py')), f'{word}: no config of this name writes it'


def test_pages_and_commands_were_found():
    assert len(PAGES) >= 16, PAGES
    assert len(COMMANDS) >= 40
    assert len([command for command in COMMANDS if command.page == ROOT / 'README.md']) >= 14


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands(page, parse_only):
    """Tools, options, values, configs and checkpoints of every command exist."""
    for command in commands_of(page):
        words = command.words
        if words[0] == 'make':
            check_make(words)
            continue
        script = words[words[0] in ('python', 'bash')]
        assert (ROOT / script).is_file(), f'{page.name}: {script}'
        script, arguments = python_tool(words)
        if script.startswith('benchmarks/'):
            continue
        args = parse_only(script, arguments)
        config = getattr(args, 'config', None)
        if config and config.startswith('configs/'):
            check_config(config, getattr(args, 'cfg_options', {}))
        for word in arguments:
            if re.fullmatch(r'work_dirs/(partial-res|seqtr)_[\w./-]+\.pth', word):
                check_work_dir(word)


def check_make(words: list[str]) -> None:
    """The target exists, and what ARGS holds is for the tool behind it."""
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = [word for word in words[1:] if '=' not in word]
    for target in targets:
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), words


def test_make_arguments(parse_only):
    """ARGS of make demo, experiment and transfer are options of the tools that these run."""
    count = 0
    for command in COMMANDS:
        for word in command.words:
            if word.startswith('ARGS=') and command.words[1] in ('demo', 'experiment', 'transfer'):
                parse_only(f'tools/run_{command.words[1]}.py', shlex.split(word.removeprefix('ARGS=')))
                count += 1
    assert count >= 2


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('tools/train.py x.py --no-such-option', 'does not know'),
        ('tools/choose_pseudo_data.py --ratio 5 --dataset x --strategy rp', 'expected one of'),
        ('tools/dataset_converters/convert.py refr a b --out c', 'expected one of'),
        ('tools/dataset_converters/build_vocab.py --ann a', 'expected also --out'),
    ],
)
def test_a_wrong_command_is_noticed(parse_only, line, words):
    script, *arguments = line.split()
    with pytest.raises(pytest.fail.Exception, match=words):
        parse_only(script, arguments)


def test_a_wrong_config_option_is_noticed():
    config = 'configs/partial_res/partial-res_tiny_m05_refshapes.py'
    check_config(config, {'model.head.legacy': True, 'train_cfg.max_epochs': 1})
    with pytest.raises(AssertionError, match=r'model\.haed\.legacy'):
        check_config(config, {'model.haed.legacy': True})
    with pytest.raises(AssertionError, match='no config of this name'):
        check_work_dir('work_dirs/partial-res_tiny_m5_refshapes/best.pth')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    """Relative links lead to a file, and to a heading where they name one; so do files named in the text."""
    text = text_of(page)
    for target in LINK.findall(FENCE.sub('', text)):
        if '://' in target:
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f'{page.name}: {target}'
        if anchor:
            headings = re.findall(r'^#+ (.*)$', FENCE.sub('', text_of(file)), re.MULTILINE)
            assert anchor in map(slug, headings), f'{page.name}: {target}'
    for name in FILE.findall(text):
        assert (ROOT / name).is_file() or (page.parent / name).is_file(), f'{page.name}: {name}'


def test_every_page_is_in_the_index():
    index = text_of(ROOT / 'docs' / 'README.md')
    for page in ROOT.glob('docs/*.md'):
        assert page.name == 'README.md' or f']({page.name})' in index, page.name
    assert len(re.findall(r'\]\(\w+\.md\)', index)) >= 10


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples(page):
    """Examples are Python, and what they import exists."""
    for language, block in FENCE.findall(text_of(page)):
        if language != 'python':
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] == 'mmrefseg':
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f'{page.name}: {node.module}.{name.name}'


def test_python_examples_were_found():
    blocks = [
        block for page in PAGES for language, block in FENCE.findall(text_of(page)) if language == 'python'
    ]
    assert sum('from mmrefseg' in block for block in blocks) >= 3


def test_the_first_picture():
    """The README has one, and it is light and large enough."""
    (name,) = re.findall(r'!\[[^\]]*\]\(([^)]+)\)', text_of(ROOT / 'README.md'))
    picture = ROOT / name
    assert picture.stat().st_size < 300_000
    with Image.open(picture) as image:
        image.load()
        assert image.width >= 800


def test_every_picture_is_shown():
    shown = ' '.join(text_of(page) for page in PAGES)
    pictures = list((ROOT / 'docs' / 'images').iterdir())
    assert len(pictures) >= 9
    for picture in pictures:
        assert f'images/{picture.name})' in shown, picture.name


def test_keys_of_the_demo_summary(tmp_path):
    """docs/experiment.md explains every key of summary.json and no other."""
    study = PartialStudy(tmp_path, seed=3)
    numbers = {'miou': 60.0, 'oiou': 61.0, 'p50': 70.0, 'p90': 10.0, 'acc50': 80.0}
    variants = (Variant(5), Variant(5, 'rpp'))
    files = [study.scores(variant.name, name) for variant in variants for name in study.network.readouts]
    for path in (study.rec_scores, *files):
        path.parent.mkdir(exist_ok=True)
        dump_json(numbers, path)
    report = study.report(Variant(5, 'rpp'))
    os.makedirs(report.parent)
    dump_json({'accept_rate': 55.5, 'truth': {'accepted': {'miou': 77.7}}}, report)
    summary = demo_summary(study, 5, 321.0)
    page = text_of(ROOT / 'docs' / 'experiment.md')
    documented = page.split('`summary.json` (')[1].split('\n\n')[1]
    assert set(re.findall(r'^\| `(\w+)` \|', documented, re.MULTILINE)) == set(summary)
    for readout, scores in summary['rpp'].items():
        assert all(word in documented for word in (readout, *scores))
