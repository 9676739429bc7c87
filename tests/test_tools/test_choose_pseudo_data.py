"""tools/choose_pseudo_data.py as a process: the paper's command, the explicit one, the page that a person
decides on, and what it refuses."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

TOOL = 'choose_pseudo_data.py'


def encode(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': rle['size'], 'counts': rle['counts'].decode()}


@pytest.fixture
def case(tools) -> dict[str, Path]:
    """Toy objects of which two have masks; predictions: fitting, misplaced, empty, none."""
    folder = tools.folder / 'data' / 'annotations' / 'toyset'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    full = json.loads((tools.folder / 'data' / 'instances.json').read_text())
    (folder / 'instances.json').write_text(json.dumps(full))
    sample = copy.deepcopy(full)
    for record in sample['train'][2:]:
        del record['mask']
    (folder / 'instances_sample_5.json').write_text(json.dumps(sample))
    prefix = tools.folder / 'work_dirs' / 'partial-res_darknet53_m05-pseudo_toyset' / 'pseudo'
    shutil.rmtree(prefix.parent, ignore_errors=True)
    prefix.parent.mkdir(parents=True)
    lines = []
    for record in full['train'][:-1]:
        x, y, w, h = record['bbox']
        for number, sent_id in enumerate(record['sent_ids']):
            mask = np.zeros((64, 64))
            if record['ref_id'] != 3:
                # Object 4 is missed by both sentences, the others by the second.
                shift = 20 if number or record['ref_id'] == 4 else 0
                mask[max(y - shift, 0) : y + h - shift, x : x + w] = 1
            lines.append(
                {'ref_id': record['ref_id'], 'sent_id': sent_id, 'segmentation': encode(mask), 'score': 0.5}
            )
    for rank in (0, 1):
        text = ''.join(json.dumps(line) + '\n' for line in lines[rank::2])
        prefix.with_name(f'pseudo.rank{rank}.jsonl').write_text(text)
    return {'folder': folder, 'prefix': prefix, 'sample': folder / 'instances_sample_5.json'}


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_papers_command(tools, case):
    done = tools.succeed(TOOL, '--ratio', 5, '--dataset', 'toyset')
    picked = load(case['folder'] / 'instances_sample_5_box_pick.json')
    sample = load(case['sample'])
    assert {name: len(records) for name, records in picked.items()} == {'train': 8, 'val': 4, 'testA': 1}
    assert picked['val'] == sample['val'] and picked['train'][:2] == sample['train'][:2]
    sources = [record.get('mask_source', 'mask' in record) for record in picked['train']]
    unknown = {'kind': 'pseudo', 'checkpoint': None, 'checkpoint_sha256': None}
    assert sources == [True, True, unknown, False, False, unknown, unknown, False]
    report = load(case['folder'] / 'instances_sample_5_box_pick_report.json')
    numbers = {key: report[key] for key in ('true', 'accepted', 'rejected', 'unpredicted', 'empty')}
    assert numbers == {'true': 2, 'accepted': 3, 'rejected': 2, 'unpredicted': 1, 'empty': 1}
    assert report['accept_rate'] == pytest.approx(50.0) and report['predictions'] == 14
    assert report['truth']['accepted']['miou'] > 99 and report['truth']['rejected']['miou'] < 40
    assert 'accepted' in done.stdout and 'choosing' in done.stderr


def test_explicit_paths_and_the_truth_left_out(tools, case, tmp_path):
    explicit = [
        '--predictions',
        case['prefix'],
        '--annotations',
        case['sample'],
        '--out',
        tmp_path / 'o.json',
    ]
    tools.succeed(TOOL, *explicit, '--report', tmp_path / 'r.json')
    assert 'truth' not in load(tmp_path / 'r.json')
    first = (tmp_path / 'o.json').read_bytes()
    # The full file may hold anything: it changes the report and nothing else.
    full = load(case['folder'] / 'instances.json')
    for record in full['train']:
        record['mask'] = [[0, 0, 7, 0, 7, 7.125, 0, 7]]
    (tmp_path / 'full.json').write_text(json.dumps(full))
    tools.succeed(TOOL, *explicit, '--full-annotations', tmp_path / 'full.json')
    assert (tmp_path / 'o.json').read_bytes() == first and b'7.125' not in first
    assert load(tmp_path / 'o_report.json')['truth']['accepted']['miou'] < 50
    tools.succeed(TOOL, *explicit, '--strategy', 'all', '--combine', 'vote')
    picked = load(tmp_path / 'o.json')['train']
    assert [r['ref_id'] for r in picked if r.get('mask_source')] == [2, 4, 5, 6]
    assert picked[2]['mask_expression'] == [None, None]


def test_a_stopped_dump_is_noted(tools, case, tmp_path):
    shard = case['prefix'].with_name('pseudo.rank1.jsonl')
    shard.write_text(shard.read_text()[:-20])
    done = tools.succeed(TOOL, '--ratio', 5, '--dataset', 'toyset', '--out', tmp_path / 'o.json')
    assert 'half a line' in done.stdout.replace('\n', ' ')
    assert load(tmp_path / 'o_report.json')['predictions'] == 13


def test_refusals(tools, case, tmp_path):
    explicit = ['--predictions', case['prefix'], '--annotations', case['sample']]
    assert 'no predictions' in tools.fail(TOOL, '--predictions', 'none', '--annotations', case['sample'])
    assert 'no such file' in tools.fail(TOOL, '--predictions', case['prefix'], '--annotations', 'none.json')
    assert 'expected another file' in tools.fail(TOOL, *explicit, '--out', case['sample'])
    assert 'threshold' in tools.fail(TOOL, *explicit, '--threshold', '7', '--out', tmp_path / 'o.json')
    line = json.loads(case['prefix'].with_name('pseudo.rank0.jsonl').read_text().splitlines()[2])
    line['segmentation']['size'] = [32, 32]
    (tmp_path / 'bad.jsonl').write_text(json.dumps(line) + '\n')
    sentence = tools.fail(
        TOOL,
        '--predictions',
        tmp_path / 'bad.jsonl',
        '--annotations',
        case['sample'],
        '--out',
        tmp_path / 'o.json',
    )
    assert 'size [32, 32]' in sentence and f'ref_id {line["ref_id"]}' in sentence
    assert not (tmp_path / 'o.json').exists()
    assert tools.run(TOOL, '--ratio', 5).returncode == 2
    sentence = tools.fail(TOOL, '--ratio', 7, '--dataset', 'toyset')
    assert '--ratio 7: found no instances_sample_7.json' in sentence
    assert 'expected instances_sample_5.json;' in sentence
    sentence = tools.fail(TOOL, '--ratio', 5, '--dataset', 'nope')
    assert '--dataset nope, --ratio 5: found no instances_sample_5.json' in sentence


def test_what_is_read_is_never_replaced(tools, case, page, tmp_path):
    """Whatever option names it; nor what the same run writes."""
    decisions = tmp_path / 'd.json'
    decisions.write_text('{}')
    shard = case['prefix'].with_name('pseudo.rank0.jsonl')
    full = case['folder'] / 'instances.json'
    before = {path: path.read_bytes() for path in (case['sample'], full, shard, decisions)}
    for options, said in (
        (('--report', case['sample']), '--annotations'),
        (('--html', case['sample']), '--annotations'),
        (('--out', full, '--full-annotations', full), '--full-annotations'),
        (('--report', full, '--full-annotations', full), '--full-annotations'),
        (('--out', shard), '--predictions'),
        (('--report', shard), '--predictions'),
        (('--html', decisions, '--decisions', decisions), '--decisions'),
        (('--html', case['folder'] / 'coco.json'), '--instances'),
        (('--report', case['folder'] / 'o.json'), '--out'),
    ):
        sentence = tools.fail(TOOL, *page, *options)
        assert f': found the file of {said}, expected another file; rename it' in sentence, options
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not (case['folder'] / 'o.json').exists()


STRANGE = [
    '<script>document.title = "mine"</script>',
    '[/red] "quoted" & \'said\'',
    '</script><b onclick="x()">',
]


@pytest.fixture
def page(tools, case) -> list[str]:
    """What draws a page of the toy objects, whose sentences and categories want to be code."""
    sample = load(case['sample'])
    for record in sample['train']:
        record['expressions'] = [STRANGE[record['ref_id'] % 3], STRANGE[(record['ref_id'] + 1) % 3]]
    case['sample'].write_text(json.dumps(sample))
    names = [{'id': 1, 'name': '"><img src=x onerror="document.title=1">'}]
    coco = case['folder'] / 'coco.json'
    coco.write_text(json.dumps({'images': [], 'annotations': [], 'categories': names}))
    return [
        '--predictions', case['prefix'], '--annotations', case['sample'], '--out', case['folder'] / 'o.json',
        '--html', case['folder'] / 'page.html', '--images', tools.folder / 'data' / 'images',
        '--img-template', '{}.png', '--instances', coco,
    ]  # fmt: skip


def states(case) -> dict[int, bool | str]:
    """Of every object in the picked file: True (its own mask), False (none), or who has accepted it."""
    return {
        record['ref_id']: 'mask' in record
        and ('mask_source' not in record or record['mask_source'].get('accepted_by', 'rule'))
        for record in load(case['folder'] / 'o.json')['train']
    }


def ids(tab, selector: str) -> str:
    """The numbers of the cards that a selector finds, in the order of the page."""
    return tab.evaluate(f'[...document.querySelectorAll({selector!r})].map(card => card.dataset.id).join()')


def wait_until_there(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.05)


def text(tab, selector: str) -> str:
    return tab.evaluate(f'document.querySelector({selector!r}).textContent')


def test_a_person_decides_with_keys_and_the_tool_takes_it_back(tools, case, page, browser, tmp_path):
    done = tools.succeed(TOOL, *page, '--full-annotations', case['folder'] / 'instances.json')
    assert 'drawing' in done.stderr and f'page: {case["folder"] / "page.html"}' in done.stdout
    ruled = {0: True, 1: True, 2: 'rule', 3: False, 4: False, 5: 'rule', 6: 'rule', 7: False}
    assert states(case) == ruled
    html, saved = case['folder'] / 'page.html', tmp_path / 'decisions.json'
    with browser.open(html) as tab:
        tab.download_to(tmp_path)
        assert ids(tab, '.card') == '6,5,2,4,3'
        tab.press('j', 'r', 'ArrowRight', 'ArrowRight', 'a')
        assert ids(tab, '[data-decision=reject]') == '6' and ids(tab, '[data-decision=accept]') == '4'
        assert ids(tab, ':focus') == '3'
        tab.press('a')  # its mask is empty
        assert ids(tab, '[data-decision]') == '6,4' and 'empty' in text(tab, '#status')
        tab.press('u')
        assert ids(tab, '[data-decision]') == '6' and ids(tab, ':focus') == '4'
        tab.press('a', 'k', 'k', 'a')
        assert text(tab, '#progress') == '3 of 5 decided, 2 against the rule · not saved yet'
        tab.press('s')
        tab.wait_for('!document.querySelector("#progress").textContent.includes("saved")')
        wait_until_there(saved)
        assert tab.log == []
        # What was decided stays in the browser.
        tab.go(html)
        assert ids(tab, '[data-decision]') == '6,2,4' and text(tab, '#progress').endswith('against the rule')
    assert load(saved)['decisions'] == {'2': 'accept', '4': 'accept', '6': 'reject'}

    done = tools.succeed(TOOL, *page, '--threshold', '0.2', '--decisions', saved)
    assert 'by a person: 1 accepted, 1 rejected against the rule, 1 as the rule' in done.stdout
    assert states(case) == ruled | {2: 'person', 4: 'person', 6: False}
    report = load(case['folder'] / 'o_report.json')
    assert report['decided'] == {'accepted': 1, 'rejected': 1, 'confirmed': 1}
    assert report['decisions'] == [str(saved)] and report['accepted'] == 3
    # Another browser goes on with them.
    with browser.open(html) as tab:
        assert ids(tab, '[data-decision=accept]') == '2,4' and text(tab, '#progress').startswith('3 of 5')


def test_words_of_strangers_are_only_words(tools, case, page, browser):
    tools.succeed(TOOL, *page)
    html = case['folder'] / 'page.html'
    assert not re.search(r'(?:src|href)="(?!data:|#)', html.read_text()), 'the file must need no other'
    with browser.open(html) as tab:
        tab.wait_for('document.body.dataset.shown')
        assert (
            tab.evaluate('document.body.dataset.shown')
            == tab.evaluate('document.body.dataset.expected')
            == '5'
        )
        assert tab.evaluate('document.title') == 'Pseudo masks of train: 3 accepted, 2 rejected'
        said = text(tab, '#object-4 .sentences')
        assert STRANGE[1] in said and STRANGE[2] in said
        assert '"><img src=x' in text(tab, '#object-4 .facts')
        assert tab.evaluate('document.querySelectorAll("[onclick], [onerror], .sentences b").length') == 0
        # A letter that is typed into the search is no key.
        tab.press('/', *'QUOTED')
        assert tab.evaluate('document.querySelector("#text").value') == 'QUOTED'
        assert ids(tab, '.card:not([hidden])') == '6,4,3' and ids(tab, '[data-decision]') == ''
        tab.press('Escape', 'r')
        assert ids(tab, '[data-decision]') == '6' and ids(tab, ':focus') == '4'
        # Everything that can be reached has a name.
        named = 'e => e.labels?.length || e.textContent.trim()'
        assert tab.evaluate(f'[...document.querySelectorAll("button, select, input")].every({named})')
        tab.press('?')
        assert tab.evaluate('document.querySelector("#help").open')
        tab.look(420, 800, dark=True)
        assert tab.evaluate('document.documentElement.scrollWidth') == 420
        assert tab.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(18, 22, 28)'
        # A script that is not the page's own does not run.
        tab.evaluate(
            'document.body.append(Object.assign(document.createElement("script"), {textContent: "x = 1"}))'
        )
        assert tab.evaluate('typeof x') == 'undefined'


def test_many_images_go_into_a_folder(tools, case, page, browser):
    shutil.move(case['folder'], case['folder'].with_name('a # b'))
    page = [str(word).replace('/toyset/', '/a # b/') for word in page]
    tools.succeed(TOOL, *page, '--html-largest', '0', '--html-objects', '1')
    folder = case['folder'].with_name('a # b')
    shutil.move(folder / 'page.html', folder / '50%.html')
    assert len(list((folder / 'page_images').glob('*.jpg'))) == 3
    with browser.open(folder / '50%.html') as tab:
        tab.wait_for('document.body.dataset.shown')
        assert (
            tab.evaluate('document.body.dataset.shown')
            == tab.evaluate('document.body.dataset.expected')
            == '3'
        )
    shutil.rmtree(folder)


def test_wrong_decisions(tools, case, page, tmp_path):
    tools.succeed(TOOL, *page)
    about = re.search(r'id="about">(.*?)</script>', (case['folder'] / 'page.html').read_text())[1]
    content = json.loads(about)['content']
    (case['folder'] / 'o.json').unlink()

    def said(*options, decisions=None, **changes) -> str:
        (tmp_path / 'd.json').write_text(json.dumps(content | {'decisions': decisions or {}} | changes))
        sentence = tools.fail(TOOL, *page, '--decisions', tmp_path / 'd.json', *options)
        assert not (case['folder'] / 'o.json').exists()
        return sentence

    assert "about split 'train', expected split 'val'" in said('--split', 'val')
    assert "about masks 'best by rpp'" in said('--strategy', 'agreement')
    assert 'about predictions' in said('--predictions', f'{case["prefix"]}.rank0.jsonl')
    assert 'ref_id 99: found an object that is not in the split' in said(decisions={'99': 'accept'})
    assert 'found an object with a mask of its own' in said(decisions={'0': 'reject'})
    assert 'found an object without a prediction' in said(decisions={'7': 'accept'})
    assert 'a mask without a pixel' in said(decisions={'3': 'accept'})
    assert "'2': 'perhaps'" in said(decisions={'2': 'perhaps'})
    assert 'found format 3' in said(format=3)
    assert 'no such file' in said('--decisions', 'none.json')


def test_what_a_page_needs(tools, case, page, tmp_path):
    html = tmp_path / 'x.html'
    bare = ['--predictions', case['prefix'], '--annotations', case['sample'], '--html', html]
    assert '--images: found none' in tools.fail(TOOL, *bare)
    assert 'none: found no such folder' in tools.fail(TOOL, *bare, '--images', 'none')
    assert '--html-objects: found 0' in tools.fail(TOOL, *page, '--html-objects', '0')
    assert 'found a folder' in tools.fail(TOOL, *page, '--html', tmp_path)
    assert 'the file of --out' in tools.fail(TOOL, *page, '--html', case['folder'] / 'o.json')
    sentence = tools.fail(TOOL, *page, '--instances', case['sample'])
    assert f"{case['sample']}: found no 'images', expected a COCO file" in sentence
    assert not (case['folder'] / 'o.json').exists()
    assert '000006.jpg: found no such file' in tools.fail(
        TOOL, *bare, '--images', tmp_path, '--out', tmp_path / 'o.json'
    )
    assert not html.exists()


def test_drawing_is_loaded_for_a_page_only(tools, case):
    code = (
        'import atexit, runpy, sys\n'
        'sys.argv = sys.argv[1:]\n'
        'drawing = "jinja2", "PIL.ImageDraw", "torch"\n'
        'atexit.register(lambda: print([name for name in drawing if name in sys.modules]))\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    tool = Path(__file__).parents[2] / 'tools' / TOOL
    command = [sys.executable, '-c', code, str(tool), '--ratio', '5', '--dataset', 'toyset']
    done = subprocess.run(command, cwd=tools.folder, env=os.environ | {'PYTHONPATH': str(tool.parents[1])},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == '[]', done.stdout + done.stderr
