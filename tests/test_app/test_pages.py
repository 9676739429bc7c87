"""The four pages in a browser, one server for all; a training as short as it can be."""

import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mmrefseg.app.desk import Desk
from mmrefseg.app.project import Project
from mmrefseg.app.server import HOST, start
from mmrefseg.datasets.converters.drawn_masks import DrawnMasks
from mmrefseg.utils.places import DEFAULT

SHORT = ('--steps', '0.001', '--image-size', '64')
LABEL = "document.querySelector('#label .sentence')?.textContent.length > 0"


@pytest.fixture(scope='module')
def served(made, tmp_path_factory):
    """The desk and the address."""
    folder = tmp_path_factory.mktemp('app')
    photos = shutil.copytree(made[0], folder / 'photos')
    desk = Desk(Project(photos, folder / 'runs'), DEFAULT, SHORT)
    app, address = start(desk, 'label')
    yield desk, address
    desk.stop()
    app.close(verbose=False)
    desk.close()


@pytest.fixture(scope='module')
def tab(served, browser):
    """A window on the app."""
    with browser.open(served[1]) as tab:
        tab.look(1280, 900)
        yield tab


def turn_to(tab, page):
    """Click on a page's tab."""
    found = (
        "[...document.querySelectorAll('#pages [role=tab]')]"
        f'.find((each) => each.textContent.trim() === {page!r})'
    )
    tab.wait_for(f'!!{found}')
    tab.evaluate(f'{found}.click()')


def until(true):
    """Wait for it."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def seen(tab, tmp_path, name):
    """A screenshot that shows more than a blank page."""
    with Image.open(tab.screenshot(tmp_path / f'{name}.png')) as image:
        assert image.size == (1280, 900)
        assert len(image.convert('L').getcolors(256)) > 60, name


def canvas(tab, dx, dy):
    """A place of the window, from the middle of the photo on the page Label."""
    box = "document.querySelector('#label .canvas svg').getBoundingClientRect()"
    x, y = tab.evaluate(f'(b => [b.x + b.width / 2, b.y + b.height / 2])({box})')
    return x + dx, y + dy


def answered(tab, page, do):
    """Do something, and wait until the page has drawn the answer."""
    count = f"Number(document.querySelector('#{page} [data-answers], #{page}[data-answers]').dataset.answers)"
    before = tab.evaluate(count)
    do()
    tab.wait_for(f'{count} > {before}')


def label(tab, served, tmp_path):
    """The first object drawn anew, five contours accepted."""
    desk, _ = served
    tab.wait_for(LABEL, 120)
    first, parts = desk._session.current, desk._session.outline.parts
    assert parts, 'the network proposes a contour'
    x, y = tab.evaluate(
        '(b => [b.x + b.width / 2, b.y + b.height / 2])'
        "(document.querySelector('#label .vertex').getBoundingClientRect())"
    )
    answered(tab, 'label', lambda: tab.drag((x, y), (x + 20, y + 10)))
    moved = desk._session.outline.parts
    (changed,) = [k for k, pair in enumerate(zip(parts[0], moved[0], strict=True)) if pair[0] != pair[1]]
    view = desk._session.state(False)['view']
    unit = max(view[2] / 600, view[3] / 560)
    assert moved[0][changed][0] - parts[0][changed][0] == pytest.approx(20 * unit, rel=0.3)
    answered(tab, 'label', lambda: tab.press('z'))
    assert desk._session.outline.parts == parts
    answered(tab, 'label', lambda: tab.press('d'))
    for place in ((-90, -90), (90, -90), (90, 90), (-90, 90)):
        answered(tab, 'label', lambda at=place: tab.click_at(*canvas(tab, *at)))
    seen(tab, tmp_path, 'drawing')
    answered(tab, 'label', lambda: tab.click('#label .vertex.first'))
    assert desk._session.outline.closed and len(desk._session.outline.parts[0]) == 4
    answered(tab, 'label', lambda: tab.press('Enter'))
    assert desk._session.current is not first and len(DrawnMasks(desk.project.folder)) == 1
    for _ in range(5):
        answered(tab, 'label', lambda: tab.click('#label [data-do=accept]'))
    assert '6 masks' in tab.evaluate("document.querySelector('#label .count').textContent")
    seen(tab, tmp_path, 'label')


def try_out(tab, served, tmp_path):
    """A photo, two sentences, and the archive."""
    desk, _ = served
    turn_to(tab, 'Try')
    photo = sorted((desk.project.folder / 'images').iterdir())[0]
    tab.choose_file('#photo input[type=file]', photo)
    tab.wait_for("!!document.querySelector('#photo img')")
    tab.evaluate("document.querySelector('#sentences textarea').focus()")
    tab.write('the red star')
    tab.click('#find')
    tab.wait_for("document.querySelectorAll('#found img').length === 1", 60)
    low = "document.querySelector('{}').getBoundingClientRect().bottom"
    tab.wait_for(f'{low.format("#found img")} <= {low.format("#found")}')  # seen whole
    tab.evaluate("document.querySelector('#sentences textarea').focus()")
    tab.write('\nthe zebra')
    tab.click('#find')
    tab.wait_for("document.querySelectorAll('#found img').length >= 2", 60)
    tab.wait_for("document.querySelector('#scores')?.textContent.includes('unknown: zebra')")
    seen(tab, tmp_path, 'try')
    tab.download_to(tmp_path)
    tab.wait_for("!document.querySelector('#download').disabled")
    tab.click('#download')
    until(lambda: [*tmp_path.glob('*_masks.zip')])
    with zipfile.ZipFile(*tmp_path.glob('*_masks.zip')) as archive:
        assert 'predictions.json' in archive.namelist()


def upload_none(tab, served, tmp_path):
    """What is no image is a sentence."""
    (tmp_path / 'bad.png').write_bytes(b'\x89PNG, or so')
    tab.evaluate("document.querySelector('#photo button[aria-label*=emove], #photo button')?.click()")
    tab.wait_for("!!document.querySelector('#photo input[type=file]')")
    tab.choose_file('#photo input[type=file]', tmp_path / 'bad.png')
    tab.wait_for("!!document.querySelector('#photo img')")
    tab.click('#find')
    tab.wait_for("document.body.textContent.includes('bad.png: found a truncated image')")


def train(tab, served, tmp_path):
    """Start, stop, resume, until it has scored itself."""
    desk, _ = served
    turn_to(tab, 'Train')
    tab.wait_for("document.querySelector('#progress')?.textContent.includes('No training yet')")
    tab.click('#start')
    tab.wait_for("!!document.querySelector('#progress [data-state=running]')")
    tab.wait_for("!document.querySelector('#stop').disabled")
    tab.click('#stop')
    tab.wait_for("!!document.querySelector('#progress [data-state=stopped]')")
    tab.wait_for("!document.querySelector('#resume').disabled")
    tab.click('#resume')
    tab.wait_for("!!document.querySelector('#progress [data-state=running]')")
    tab.wait_for("!!document.querySelector('#progress [data-state=done]')", 300)
    assert 'mean IoU' in tab.evaluate("document.querySelector('#progress').textContent")
    # one epoch has one loss, and one point is no line: a few more, as a longer training would have left
    for name in ('boxes', 'masks'):
        scalars = next((desk.project.runs / 'run_1' / name).glob('*/vis_data/scalars.json'))
        with open(scalars, 'a') as file:
            file.write(''.join(f'{{"loss": {9 / step}, "step": {step}}}\n' for step in range(3, 60, 4)))
    for name in ('boxes', 'masks'):
        tab.wait_for(f"!!document.querySelector('#loss-{name} svg .mark-line path')")
    seen(tab, tmp_path, 'train')
    run = desk.project.runs / 'run_1'
    assert desk.proposer.weights == str(run / 'masks' / 'best.pth')
    records = [each for split in json.loads((run / 'instances.json').read_text()).values() for each in split]
    assert sum('mask' in record for record in records) >= 6


def review(tab, served, tmp_path):
    """One mask rejected, another threshold."""
    desk, _ = served
    turn_to(tab, 'Review')
    tab.click('#predict')
    tab.wait_for("!!document.querySelector('#review .card')", 60)
    answered(tab, 'review', lambda: tab.click('#review .card .reject'))
    (decisions,) = desk.project.runs.glob('review_1/decisions.json')
    (ref_id,) = json.loads(decisions.read_text())['decisions']
    assert not desk.review().accepted(int(ref_id))
    assert tab.evaluate("document.querySelector('#review .card').classList.contains('rejected')")
    assert '1 of them by you' in tab.evaluate("document.querySelector('#review .counts').textContent")
    slide = "document.querySelector('#review .slide input')"
    answered(
        tab, 'review',
        lambda: tab.evaluate(f"{slide}.value = 0, {slide}.dispatchEvent(new Event('change'))"),
    )  # fmt: skip
    assert desk.review().threshold == 0
    seen(tab, tmp_path, 'review')
    assert Path(desk.review().write_picked()).is_file()


def ask_nobody(tab, served, tmp_path):
    """All that the browser loaded was of the app."""
    own = served[1]
    assert own.startswith(f'http://{HOST}:') and len(tab.requests) > 50
    foreign = [url for url in tab.requests if not url.startswith((own, 'data:', f'blob:{own}'))]
    assert foreign == []
    assert [line for line in tab.log if 'Exception' in line or 'Content Security' in line] == []


STEPS = (label, try_out, upload_none, train, review, ask_nobody)


def test_a_person_goes_through_all_pages(tab, served, tmp_path):
    # one test: the steps build on one another, and need one server and one window
    for step in STEPS:
        step(tab, served, tmp_path)


@pytest.mark.parametrize('header', [{'Host': 'elsewhere.org'}, {'Origin': 'http://elsewhere.org'}])
def test_other_pages_are_refused(served, header):
    request = urllib.request.Request(served[1], headers=header)
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(request, timeout=30)
    with urllib.request.urlopen(served[1], timeout=30) as answer:
        assert "default-src 'self'" in answer.headers['content-security-policy']
