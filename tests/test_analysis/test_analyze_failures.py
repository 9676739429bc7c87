"""The tool, on RefShapes and on real images; its page in a browser."""

import csv
import json
import re

import cv2
import numpy as np
import pytest
from headless_browser import attribute
from made_predictions import make_predictions
from PIL import Image
from test_tools.conftest import Tools

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.refshapes import generate
from mmrefseg.visualization.drawing import TRUTH, draw_overlay

TOOL = 'analysis_tools/analyze_failures.py'


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Tools:
    """RefShapes tiny and predictions of its testA."""
    folder = tmp_path_factory.mktemp('failures')
    made = generate('tiny', folder / 'data', num_workers=1, progress=False)
    tools = Tools(folder)
    tools.ann, tools.images = made.annotations / 'instances.json', made.images
    tools.coco = made.annotations / 'coco' / 'instances_testA.json'
    tools.predictions = make_predictions(load_split(str(tools.ann), 'testA'))
    (folder / 'p.json').write_text(json.dumps(tools.predictions))
    return tools


@pytest.fixture(scope='module')
def done(project):
    """One study of everything; returns the finished process."""
    return project.succeed(
        TOOL, 'p.json', '--ann', project.ann, '--split', 'testA', '--images', project.images, '--out', 'out',
        '--instances', project.coco, '--cases', '4', '--title', 'Failures of <nobody>',
    )  # fmt: skip


def test_files(project, done):
    """Everything that LAVT-pytorch's notebook leaves, and tables; all say the same."""
    out = project.folder / 'out'
    summary = json.loads((out / 'summary.json').read_text())
    ious = [float(line) for line in (out / 'all_IoU.txt').read_text().split()]
    failed = [int(line) for line in (out / 'id.txt').read_text().split()]
    assert len(ious) == summary['num_cases'] == len(project.predictions)
    assert failed == [index for index, iou in enumerate(ious) if iou < 0.5]
    assert len(failed) == summary['num_failures'] > 5
    assert (out / 'IoU.txt').read_text().split() == [f'{ious[index]:.5f}' for index in failed]
    with open(out / 'cases.csv') as file:
        rows = list(csv.DictReader(file))
    assert [f'{float(row["iou"]):.5f}' for row in rows] == [f'{iou:.5f}' for iou in ious]
    assert len((out / 'failures.csv').read_text().splitlines()) == 1 + len(failed)
    assert len((out / 'failures.log').read_text().splitlines()) == 1 + len(failed)
    assert summary['protocol'] == 'sentence' and summary['frame'] == 'original'
    assert summary['low_group']['index'] == [i for i in failed if float(rows[i]['iou']) < 0.1]
    assert summary['high_group']['index'] == [i for i in failed if float(rows[i]['iou']) > 0.4]
    assert f'{100 * (1 - len(failed) / len(ious)):.3f} %' in done.stdout


def test_numbers_are_those_of_the_evaluation(project, done):
    project.succeed(
        'analysis_tools/evaluate_predictions.py', 'p.json', '--ann', project.ann, '--split', 'testA',
        '--json', 'scores.json',
    )  # fmt: skip
    scores = json.loads((project.folder / 'scores.json').read_text())
    summary = json.loads((project.folder / 'out/summary.json').read_text())
    for key in ('miou', 'oiou', 'p50', 'p90'):
        assert summary[key] == scores[key]
    assert summary['precision'] == pytest.approx(scores['p50'])


def test_groups_of_refshapes(project, done):
    groups = json.loads((project.folder / 'out/summary.json').read_text())['groups']
    categories = {group['label'] for group in groups['category']['groups']}
    assert 'circle' in categories  # names come from --instances
    assert {'attributes', 'position', 'relation'} <= {group['label'] for group in groups['kind']['groups']}
    assert 'another object' in {group['label'] for group in groups['outcome']['groups']}


def test_plots(project, done):
    plots = sorted((project.folder / 'out/plots').glob('*.png'))
    assert len(plots) >= 13
    for path in plots:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert('RGB'))
        assert pixels.shape[1] > 500, path
        # Something is drawn in the colours of the bars or curves.
        blue = (pixels[..., 2].astype(int) - pixels[..., 0] > 60).sum()
        assert blue > 200, path


def test_page_in_a_browser(project, done, browser, tmp_path):
    """Every image is inside the file and is shown; text of the user is text."""
    page = project.folder / 'out/index.html'
    text = page.read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', text), 'the file must need no other'
    dom = browser.dom(page)
    assert attribute(dom, 'shown') == attribute(dom, 'expected')
    assert int(attribute(dom, 'shown')) >= 13 + 3 * 4
    assert '&lt;nobody&gt;' in dom and '<nobody>' not in dom
    assert dom.count('<figure>') >= 12 and 'The worst' in dom and 'Around the median' in dom
    assert dom.count('<tr><td>') >= int(re.search(r'<b>(\d+)</b><span>fail', dom)[1])
    with Image.open(browser.screenshot(page, tmp_path / 'page.png')) as image:
        pixels = np.asarray(image.convert('RGB'))
    assert pixels.shape[1] == 1280
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 300
    # The bars of the first tables are on the page's left half, in their colour.
    assert (np.abs(pixels[:, :700].astype(int) - (224, 108, 0)).max(axis=2) < 8).sum() > 500


def test_without_images(project):
    """A prediction file and annotations are enough."""
    done = project.succeed(
        TOOL, 'p.json', '--ann', project.ann, '--split', 'testA', '--out', 'bare', '--protocol', 'avg'
    )
    assert 'protocol avg' in done.stdout
    assert '<figure>' not in (project.folder / 'bare/index.html').read_text()
    summary = json.loads((project.folder / 'bare/summary.json').read_text())
    assert summary['num_cases'] == len({p['ref_id'] for p in project.predictions})


def test_perfect_predictions(project):
    """Nothing fails: no density of failures, no division by zero."""
    truth = [
        {'ref_id': record['ref_id'], 'sent_id': sent_id, 'segmentation': record['mask']}
        for record in load_split(str(project.ann), 'testA')
        for sent_id in record['sent_ids']
    ]
    (project.folder / 'truth.json').write_text(json.dumps(truth))
    done = project.succeed(TOOL, 'truth.json', '--ann', project.ann, '--split', 'testA', '--out', 'perfect')
    assert 'Prec@0.5 100.000 %' in done.stdout
    assert (project.folder / 'perfect/id.txt').read_text() == ''
    assert not (project.folder / 'perfect/plots/failure_density.png').exists()


def test_real_images(project, test_data):
    """RefCOCO's sentences: several of an object, its own categories, COCO's file names."""
    mini = test_data / 'mini_refcoco'
    ann = mini / 'refcoco' / 'seqtr_instances.json'
    objects = load_split(str(ann), 'testB')
    (project.folder / 'real.json').write_text(json.dumps(make_predictions(objects, seed=1)))
    project.succeed(
        TOOL, 'real.json', '--ann', ann, '--split', 'testB', '--images', mini / 'images', '--out', 'real',
        '--instances', mini / 'refcoco' / 'instances.json', '--cases', '2',
    )  # fmt: skip
    summary = json.loads((project.folder / 'real/summary.json').read_text())
    assert summary['num_cases'] == 82
    assert sum(group['count'] for group in summary['groups']['area']['groups']) == 82
    assert not all(group['label'].isdigit() for group in summary['groups']['category']['groups'])
    assert (project.folder / 'real/index.html').read_text().count('data:image/jpeg') >= 4


BAD = {
    'missing images': (['--images', 'nowhere'], ('nowhere', 'no such file', '--images')),
    'no split': (['--split', 'testC'], ('testC', 'testA')),
    'not COCO': (['--instances', 'p.json'], ('p.json', 'instances')),
    'wrong template': (['--images', 'data', '--img-template', '{:d}{:d}'], ('no such file',)),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_sentence(project, case):
    args, words = BAD[case]
    sentence = project.fail(TOOL, 'p.json', '--ann', project.ann, '--split', 'testA', '--out', 'bad', *args)
    for word in words:
        assert word in sentence, sentence


def test_boxes_only(project):
    bare = [
        {k: v for k, v in p.items() if k != 'segmentation'} | {'bbox': [0, 0, 5, 5]}
        for p in project.predictions
    ]
    (project.folder / 'boxes.json').write_text(json.dumps(bare))
    sentence = project.fail(TOOL, 'boxes.json', '--ann', project.ann, '--split', 'testA', '--out', 'bad')
    assert 'no masks' in sentence


def test_scores_are_numbers(project):
    for score in ('high', [0.5], True):
        wrong = [{**project.predictions[0], 'score': score}, *project.predictions[1:]]
        (project.folder / 'wrong.json').write_text(json.dumps(wrong))
        sentence = project.fail(TOOL, 'wrong.json', '--ann', project.ann, '--split', 'testA', '--out', 'bad')
        assert f'score {str(score)!r}, expected a number' in sentence


def test_overlay():
    """Half of the colour inside, the image outside, a line between."""
    image = np.full((40, 60, 3), 100, np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    drawn = draw_overlay(image, [(mask, TRUTH)], width=60)
    assert drawn.shape == (40, 60, 3)
    np.testing.assert_array_equal(drawn[20, 30], (50, 145, 130))
    np.testing.assert_array_equal(drawn[2, 2], (100, 100, 100))
    assert (drawn[20, 19:22] != drawn[20, 30]).any()
    outlined = draw_overlay(image, outlined=[(mask, TRUTH)], width=120)
    assert outlined.shape == (80, 120, 3)
    np.testing.assert_array_equal(outlined[40, 60], (100, 100, 100))
    assert cv2.absdiff(outlined, np.full_like(outlined, 100)).any()


def test_names_of_strangers_are_only_names(project):
    """LaTeX, rich's markup and formulas of spreadsheets, in categories and sentences."""
    instances = json.loads(project.coco.read_text())
    names = ['$\\frac{1}{$', '[/red] [bold]', '=cmd', ':cat:', '<script>', 'x' * 5000]
    for category, name in zip(instances['categories'], names, strict=False):
        category['name'] = name
    splits = json.loads(project.ann.read_text())
    sentences = ['=HYPERLINK("http://x")', '+1+1', '-1', '@SUM(A1)', '\tx', '$\\frac$ [/red]']
    said = iter(sentences * 100)
    for record in splits['testA']:
        record['expressions'] = [next(said) for _ in record['expressions']]
    (project.folder / 'strange.json').write_text(json.dumps(splits))
    (project.folder / 'strange_coco.json').write_text(json.dumps(instances))
    done = project.succeed(
        TOOL, 'p.json', '--ann', 'strange.json', '--split', 'testA', '--out', '[bold]out',
        '--instances', 'strange_coco.json',
    )  # fmt: skip
    assert '[bold]out/index.html' in done.stdout
    with open(project.folder / '[bold]out' / 'cases.csv', newline='') as file:
        asked = {row['expressions'] for row in csv.DictReader(file)}
    assert asked == {*(f"'{text}" for text in sentences[:5]), sentences[5]}
    page = (project.folder / '[bold]out' / 'index.html').read_text()
    assert '&lt;script&gt;' in page and page.count('<script>') == 1  # its own
