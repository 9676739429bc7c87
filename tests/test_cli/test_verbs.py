"""The verbs: what they say before anything heavy is loaded, and the tools behind them."""

import json
import os
import re
import subprocess
import sys

import pytest

from mmrefseg.cli.main import TOOL_VERBS, app
from mmrefseg.utils.places import shipped

HEAVY = ('torch', 'mmengine', 'mmcv', 'mmdet', 'transformers', 'matplotlib', 'scipy')
PROBE = """
import contextlib, io, json, sys
from mmrefseg.cli.main import main
said = []
for words in json.loads(sys.argv[1]):
    sys.argv = ['mmrefseg', *words]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    heavy = [name for name in {heavy} if name in sys.modules]
    said.append([code, out.getvalue(), err.getvalue(), heavy])
print(json.dumps(said))
"""
WRONG = [
    (['predict'], 'mmrefseg predict: found no photo'),
    (['predict', 'none.jpg', '--text', 'a'], 'none.jpg: found no such file'),
    (['predict', 'empty', '--text', 'a'], 'empty: found a folder without images'),
    (['predict', 'a.png'], '--text: found no sentence'),
    (['predict', 'a.png', '--text', ' '], '--text: found an empty expression'),
    (['predict', 'a.png', '--text', 'a', '--weights', 'no.pth'], 'no.pth: found no such file'),
    (['predict', 'a.png', '--text', 'a', '--weights', 'mmrefseg://none'], 'no weights of that name'),
    (['predict', 'a.png', '--text', 'a', '--config', 'no.py'], 'no.py: found no such file'),
    (['predict', 'a.png', '--text', 'a', '--calibration', 'no.json'], 'no.json: found no such file'),
    (['predict', 'a.png', '--text', 'a', '--threshold', '2'], '--threshold: found 2.0'),
    (['predict', 'a.png', '--text', 'a', '--batch-size', '0'], '--batch-size: found 0'),
    (['predict', 'a.png', '--text', 'a', '--out', 'a.png/x'], '--out a.png/x: found a file within the path'),
    (['predict', 'a.png', '--text', 'a', '--text', 'b', '--out', '-'], '--out -: found more than one mask'),
    (['predict', '--sentences', 'no.csv'], 'no.csv: found no such file'),
    (['predict', '--sentences', 'rows.csv', '--text', 'a'], '--sentences: found --text beside it'),
    (['predict', '--sentences', 'rows.csv'], 'rows.csv line 2: found no sentence (columns: photo, words)'),
    (['predict', '--sentences', 'head.csv'], 'head.csv: found no row'),
    (
        ['predict', '--sentences', 'comma.csv'],
        'comma.csv line 3: found 3 columns, expected 2; put the sentence in quotes',
    ),
    (
        ['predict', '--sentences', 'bare.csv'],
        'bare.csv: found no head, expected the first line photo,sentence; add it',
    ),
    (['predict', '--sentences', 'half.csv'], 'half.csv: found ; between columns, expected commas'),
    (['predict', '--sentences', 'tabs.csv'], 'tabs.csv: found a tab between columns, expected commas'),
    (['predict', '--sentences', 'tabs.tsv'], 'tabs.tsv: found a tab between columns, expected commas'),
    (
        ['predict', '--sentences', 'rows.xlsx'],
        'rows.xlsx: found a spreadsheet, expected csv or json lines: rows with photo and sentence; save it',
    ),
    (
        ['predict', 'a.png', '--text', 'a', '--out', 'mine'],
        'mine/predictions.json: found a file that mmrefseg predict has not written, expected none, or that',
    ),
    (
        ['predict', 'a.png', '--text', 'a', '--out', 'broken', '--json'],
        'broken/predictions.json: found a file',
    ),
    (
        ['predict', '--sentences', 'open.csv'],
        'open.csv line 4: found a field in quotes that goes on to line 6, expected a quote at',
    ),
    (['predict', '--sentences', 'last.csv'], 'last.csv line 3: found a quote that is not closed, expected'),
    (
        ['predict', '--sentences', 'next.csv'],
        'next.csv line 2: found a field in quotes that goes on to line 3',
    ),
    (['predict', '--sentences', 'notes.csv'], 'notes.csv line 4: found a field in quotes that goes on to'),
    (['predict', '--sentences', 'top.csv'], 'top.csv line 1: found a field in quotes that goes on to line 2'),
    (['predict', '--sentences', 'rows.jsonl'], 'rows.jsonl line 2: found no photo'),
    (['predict', '--sentences', 'list.jsonl'], 'list.jsonl line 1: found [1]'),
    (['predict', '--sentences', 'text.jsonl'], 'text.jsonl line 1: found text that is not json'),
    (['predict', '--sentences', 'gone.jsonl'], "gone.jsonl line 1: found no photo 'gone.png'"),
    (['predict', '--sentences', 'number.jsonl'], 'number.jsonl line 1: found expression 0 of type int'),
    (['trian', 'a.py'], 'found no such verb (did you mean train?)'),
    (['train', 'none.py'], 'none.py: found no such file'),
    (['train', 'empty'], 'empty: found no annotations'),
    (['train', 'empty', '--steps', '-1'], '--steps: found -1, expected a number above 0'),
    (['train', 'empty', '--steps', 'nan'], '--steps: found nan, expected a number above 0'),
    (['train', 'nothere/'], 'nothere/: found no such folder, expected a config or a folder of photos'),
    (['train', 'a.png'], 'a.png: found a file of another kind, expected a config file (.py, .json'),
    (['test', 'partial-res_tiny_m05_refshapes', 'no.pth'], 'no.pth: found no such file'),
    (['info', 'no.pth'], 'no.pth: found no such file'),
    (['report', 'nowhere'], 'nowhere: found no such folder'),
    (['report', 'empty'], 'empty: found a folder without logs'),
    (['app', '--weights', 'no.pth'], 'no.pth: found no such file'),
    (['app', '--data', 'none'], 'none: found no folder'),
    (['app', '--port', '0'], '--port: found 0'),
    (['app', '--image-size', '65'], '--image-size: found 65'),
    (['app', '--runs', 'a.png/x'], '--runs a.png/x: found a file within the path'),
    (['label', 'none'], 'none: found no folder'),
    (
        ['--foo'],
        'mmrefseg: found --foo, which it does not know, expected what its help names; see mmrefseg --h',
    ),
    (
        ['predict', '--otu', 'x'],
        'mmrefseg predict: found --otu, which it does not know (did you mean --out?), expected what its help '
        'names; see mmrefseg predict --help',
    ),
    (
        ['predict', '--threshold', 'a'],
        "--threshold: found 'a', expected a number; see mmrefseg predict --help",
    ),
    (['predict', '--batch-size=b'], "--batch-size: found 'b', expected a whole number; see mmrefseg predict"),
    (['predict', '--text'], '--text: found no value, expected one; see mmrefseg predict --help'),
    (['predict', '--json=3'], '--json: found a value, expected none; see mmrefseg predict --help'),
    (['label'], 'mmrefseg label: found too few words, expected also FOLDER; see mmrefseg label --help'),
    (['info', 'a', 'b'], 'mmrefseg info: found b, which it does not know, expected what its help names'),
    (['import', 'yolo', 'a'], 'mmrefseg import yolo: found too few words, expected also --out; see mmrefseg'),
    (
        ['train', '.', '--seed', 'x'],
        "--seed: found 'x', expected a whole number from 0 to 2**32 - 1; see mmr",
    ),
    (['label', 'closed'], 'closed/drawn_masks.json: found a folder, expected a file'),
]
FILES = {
    'a.png': '',
    'rows.csv': 'photo,words\na.png,b\n',
    'head.csv': 'photo,sentence\n',
    'comma.csv': 'photo,sentence\na.png,"the ring, left"\na.png,the ring, left\n',
    'bare.csv': 'a.png,the ring\n',
    'half.csv': 'photo;sentence\na.png;the ring\n',
    'tabs.csv': 'photo\tsentence\na.png\tthe ring\n',
    'tabs.tsv': 'photo\tsentence\na.png\tthe ring\n',
    'rows.xlsx': 'PK',
    'mine/predictions.json': '{"mine": 1}',
    'broken/predictions.json': 'mine',
    'open.csv': 'photo,sentence\na.png,star\n\na.png,"red star\na.png,ring\na.png,"big" ring\n',
    'last.csv': 'photo,sentence\na.png,star\na.png,"red star',
    'next.csv': 'photo,sentence\r\na.png,"red star\r\na.png,"the ring, left"\r\na.png,star\r\n',
    'notes.csv': 'photo,sentence,notes\na.png,the ring,"two\nlines"\na.png,star,"one\na.png,star,\n',
    'top.csv': 'photo,"sentence\na.png,star\n',
    'rows.jsonl': '{"photo": "a.png", "sentence": "b"}\n{"sentence": "b"}\n',
    'list.jsonl': '[1]\n',
    'text.jsonl': 'a.png: b\n',
    'gone.jsonl': '{"photo": "gone.png", "sentence": "b"}\n',
    'number.jsonl': '{"photo": "a.png", "sentence": [3]}\n',
}


def probe(root, folder, calls):
    """What each call says, one after the other in one process."""
    done = subprocess.run(
        [sys.executable, '-c', PROBE.replace('{heavy}', repr(HEAVY)), json.dumps(calls)],
        cwd=folder,
        env=os.environ | {'PYTHONPATH': str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def verbs():
    return [command.name for command in app.registered_commands]


def test_every_verb_has_help_with_two_examples(repo_root, tmp_path):
    expected = {'predict', 'import', 'train', 'test', 'pseudo', 'choose', 'report', 'info', 'doctor'}
    assert expected <= set(verbs())
    for verb, (code, out, err, heavy) in zip(
        verbs(), probe(repo_root, tmp_path, [[verb, '--help'] for verb in verbs()]), strict=True
    ):
        assert code in (0, None) and not heavy, (verb, err)
        examples = [line for line in out.splitlines() if f'mmrefseg {verb}' in line and 'sage' not in line]
        assert len(examples) >= 2 and 'sage: mmrefseg' in out, (verb, out)


def test_train_names_the_options_of_a_folder(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = call('train', '--help').out
    (line,) = [line for line in out.splitlines() if line.startswith('With a folder: ')]
    assert 'see mmrefseg train . --help' in out
    asked = call('train', '.', '--help')
    assert asked.code == 0 and all(option in asked.out for option in line.partition(': ')[2].split(', '))


def test_what_is_wrong_is_said_before_anything_heavy_is_loaded(repo_root, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'closed' / 'drawn_masks.json').mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())
    said = probe(repo_root, tmp_path, [words for words, _ in WRONG])
    assert len(said) == len(WRONG) >= 25
    for (words, expected), (code, _, err, heavy) in zip(WRONG, said, strict=True):
        assert code == 2 and expected in err and err.count('\n') == 1 and not heavy, (words, err, heavy)
    assert all((tmp_path / name).read_bytes() == content.encode() for name, content in FILES.items())


def test_a_verb_without_its_tool_is_left_out():
    for verb in TOOL_VERBS:
        assert (verb.name in verbs()) == shipped(verb.path).is_file()


def test_the_documents_name_verbs_that_are_there(repo_root):
    pages = [repo_root / 'README.md', *(repo_root / 'docs').glob('*.md')]
    named = [verb for page in pages for verb in re.findall(r'\bmmrefseg ([a-z]+) ', page.read_text())]
    named = [verb for verb in named if verb not in ('the', 'and')]
    assert len(named) >= 8 and set(named) <= set(verbs())


def test_names_of_configs_are_found(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('box-frame_tiny_rec_refshapes', 'configs/extended/box-frame_tiny_rec_refshapes.py'):
        done = call('train', name, '--load-from', 'no.pth')
        assert done.code == 2 and 'no.pth: found no such file' in done.err
    done = call('train', 'box-frame_tiny_rec_refshape', '--load-from', 'no.pth')
    assert 'did you mean box-frame_tiny_rec_refshapes, ' in done.err


def test_info(call):
    done = call('info', '--json')
    found = json.loads(done.out)
    names = ('box-frame_tiny_masks_refshapes', 'box-refiner_tiny_m05_refshapes', 'rec_tiny_refshapes')
    assert found['weights'] == [f'mmrefseg://{name}' for name in names]
    assert int(found['configs'].split()[0]) > 100
    about = json.loads(call('info', 'mmrefseg://rec_tiny_refshapes', '--json').out)
    assert about['network'] == 'BoxFrame' and about['runs alone'] == 'yes'
    assert about['words'].endswith('at most 16 a sentence') and 'acc50' in about['metrics']


def test_doctor(call, monkeypatch):
    done = call('doctor')
    assert done.code == 0 and len(done.out.splitlines()) >= 15
    assert 'torch, mmengine, mmcv and mmdet load together' in done.out
    monkeypatch.setattr('mmrefseg.cli.checkup._version', lambda name: None)
    done = call('doctor', '--json')
    assert done.code == 1
    missing = [finding['name'] for finding in json.loads(done.out) if finding['state'] == 'missing']
    assert {'torch', 'mmdet', 'mmcv'} <= set(missing)


@pytest.mark.parametrize('word', ['--version', '-h'])
def test_without_a_verb(call, word):
    done = call(word)
    assert done.code == 0 and 'mmrefseg' in done.out
