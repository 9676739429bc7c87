"""The app in use: how long a click takes, and how long a person from photos without a mask to a segmenter.

    python benchmarks/app.py person --out work_dirs/benchmarks/app_person.json
    python benchmarks/app.py clicks --out work_dirs/benchmarks/app_clicks.json

person: photos of RefShapes tiny without a mask; ten masks are drawn by a script that knows the true ones and
uses what the page Label uses: it accepts the network's contour where it is right (IoU of --good and more),
and else clicks around the object. Then a training as the page Train starts it, until it has scored itself,
and a score on other photos (testA). Wall-clock and processor time of each part.

clicks: the page Label in Chromium, without a window: from the press of the mouse to the drawn answer.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from common import ROOT, add_out, machine
from rich.console import Console
from rich.table import Table

from mmrefseg.app.demo_photos import make_photos
from mmrefseg.app.desk import Desk
from mmrefseg.app.labelling import LabellingSession
from mmrefseg.app.outline import Outline
from mmrefseg.app.project import Project
from mmrefseg.app.training import TrainingJob
from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.converters.drawn_masks import object_key
from mmrefseg.datasets.refshapes import generate
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import dump_json
from mmrefseg.utils.places import DEFAULT

TICKS = os.sysconf('SC_CLK_TCK')


class Clock:
    """Wall-clock and processor time of the parts of a job, other processes included that are told of."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self._begin()

    def _begin(self) -> None:
        self._wall, self._own = time.perf_counter(), time.process_time()

    def part(self, name: str, others: float = 0.0) -> None:
        """End a part; ``others`` are processor seconds of other processes."""
        wall, own = time.perf_counter() - self._wall, time.process_time() - self._own
        self.rows.append({'part': name, 'wall_s': round(wall, 1), 'cpu_s': round(own + others, 1)})
        self._begin()


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Of two bitmaps."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def draw_one(session: LabellingSession, truth: np.ndarray, good: float) -> int:
    """Do what a person does with one object; returns the number of clicks."""
    token = session.state(with_photo=False)['token']
    actions = []
    if iou(session.outline.bitmap(), truth) < good:
        actions.append({'do': 'clear'})
        for part in Outline.of_mask(truth).parts:
            actions += [
                {'do': 'part' if index == 0 else 'click', 'x': x, 'y': y} for index, (x, y) in enumerate(part)
            ]
            actions.append({'do': 'close'})
    for action in [*actions, {'do': 'accept'}]:
        state = session.act({**action, 'token': token})
        if state['message']:
            raise SystemExit(state['message'])
    return len(actions) + 1


def session_cpu(leader: int, seen: dict[int, float]) -> float:
    """Processor seconds of all processes of a session, with those that were seen before and have ended."""
    for place in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = place.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            number = int(place.parent.name)
            seen[number] = max(seen.get(number, 0.0), (int(fields[11]) + int(fields[12])) / TICKS)
    return sum(seen.values())


def train(desk: Desk, steps: float) -> tuple[TrainingJob, float]:
    """Train as the page does, and wait; returns the job and processor seconds."""
    desk.train(steps)
    job = desk.project.job()
    leader, seen = job._job()['pid'], {}
    while job.running:
        session_cpu(leader, seen)
        time.sleep(0.2)
    progress = job.progress()
    if progress.state != 'done':
        raise SystemExit(progress.error)
    return job, sum(seen.values())


def score(desk: Desk, folder: Path) -> dict[str, float]:
    """Mean IoU of masks for the sentences of testA, by the network that predicts now."""
    made = generate('tiny', folder / 'refshapes', num_workers=1, progress=False)
    records = load_split(made.annotations / 'instances.json', 'testA')
    found: list[float] = []
    for record in records:
        truth = np.asarray(to_bitmap(record['mask'], record['height'], record['width']), bool)
        answer = desk.proposer.predict(made.images / record['file_name'], record['expressions'])
        found += [iou(mask, truth) for mask in answer.masks]
    return {
        'sentences': len(found),
        'miou': round(100 * float(np.mean(found)), 2),
        'p50': round(100 * float(np.mean([value >= 0.5 for value in found])), 2),
    }


def person(args: argparse.Namespace) -> dict:
    """From photos to a segmenter."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        truth = make_photos(folder / 'photos')
        clock = Clock()
        desk = Desk(Project(folder / 'photos', folder / 'runs'), DEFAULT)
        session = LabellingSession(desk.project, desk.proposer)
        clock.part('look at the photos, rank the objects')
        clicks, accepted = 0, 0
        for _ in range(args.masks):
            record = session.current.record
            mask = truth[object_key(record)]
            used = draw_one(
                session, np.asarray(to_bitmap(mask, record['height'], record['width']), bool), args.good
            )
            clicks, accepted = clicks + used, accepted + (used == 1)
        clock.part(f'{args.masks} masks: {accepted} accepted, {args.masks - accepted} drawn')
        job, cpu = train(desk, args.steps)
        clock.part('train and score on val', cpu)
        val = job.scores
        desk.training()  # takes the weights that were made
        test = score(desk, folder)
        clock.part('score on testA')
        desk.close()
    total = {key: round(sum(row[key] for row in clock.rows[:3]), 1) for key in ('wall_s', 'cpu_s')}
    rows = [*clock.rows, {'part': 'photos to a scored segmenter', **total}]
    return {'rows': rows, 'clicks': clicks, 'val': val, 'testA': test}


def clicks(args: argparse.Namespace) -> dict:
    """Of the page Label, in a browser."""
    sys.path.insert(0, str(ROOT / 'tests'))
    from headless_browser import Browser

    from mmrefseg.app.server import start

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_photos(folder / 'photos')
        if args.side:
            enlarge(folder / 'photos', args.side)
        desk = Desk(Project(folder / 'photos', folder / 'runs'), DEFAULT)
        app, address = start(desk, 'label')
        found: dict[str, list[float]] = {'click': [], 'accept and next': []}
        with Browser(args.browser, folder).open(address) as tab:
            tab.look(1280, 900)
            tab.wait_for("document.querySelector('#label .sentence')?.textContent.length > 0", 300)
            box = "document.querySelector('#label .canvas svg').getBoundingClientRect()"
            x, y = tab.evaluate(f'(b => [b.x + b.width / 2, b.y + b.height / 2])({box})')
            for number in range(args.repeats):
                place = free_place(tab, x, y, 2 * np.pi * number / args.repeats)
                found['click'].append(answered(tab, lambda at=place: tab.click_at(*at)))
                if number % 4 == 3:
                    found['accept and next'].append(answered(tab, lambda: tab.press('Enter')))
        found['the session alone, of a click'] = alone(desk, args.repeats)
        app.close(verbose=False)
        desk.close()
    rows = [
        {
            'what': name,
            'number': len(times),
            'median_ms': round(statistics.median(times), 1),
            'p95_ms': round(float(np.percentile(times, 95)), 1),
            'longest_ms': round(max(times), 1),
        }
        for name, times in found.items()
    ]
    return {'rows': rows, 'photo_side': args.side or 128, 'load': os.getloadavg()[0]}


def alone(desk: Desk, number: int) -> list[float]:
    """Milliseconds of processor time of a click's answer, without server and browser."""
    times = []
    token = desk.label({'do': 'show'})['token']
    for index in range(number):
        begin = time.thread_time()
        desk.label({'do': 'click', 'token': token, 'x': 40 + index % 9, 'y': 40})
        times.append(1000 * (time.thread_time() - begin))
    return times


def free_place(tab, x: float, y: float, angle: float) -> tuple[float, float]:
    """A place of the photo where no vertex is: a click on one asks for nothing."""
    for radius in range(150, 60, -7):
        place = x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle))
        if not tab.evaluate(f"document.elementFromPoint{place}.classList.contains('vertex')"):
            return place
    raise SystemExit('vertices everywhere')


def answered(tab, do) -> float:
    """Milliseconds from an action until its answer is drawn, as the page has measured them."""
    element = "document.querySelector('[data-answers]')"
    before = int(tab.evaluate(f'{element}.dataset.answers'))
    do()
    tab.wait_for(f'Number({element}.dataset.answers) > {before}')
    return float(tab.evaluate(f'{element}.dataset.latency'))


def enlarge(folder: Path, side: int) -> None:
    """Make the photos as large as a camera's."""
    from mmrefseg.datasets.annotations import load_annotation_file

    content = load_annotation_file(folder / 'instances.json')
    for record in content['train']:
        scale = side / record['width']
        record['bbox'] = [value * scale for value in record['bbox']]
        record['height'] = record['width'] = side
    for path in sorted((folder / 'images').iterdir()):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (side, side)))
    dump_json(content, folder / 'instances.json')


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('what', choices=('person', 'clicks'))
    parser.add_argument('--masks', type=int, default=10, help='that are drawn (10)')
    parser.add_argument('--good', type=float, default=0.9, help='IoU of a contour that is accepted (0.9)')
    parser.add_argument('--steps', type=float, default=0.1, help='length of the training (0.1)')
    parser.add_argument('--repeats', type=int, default=40, help='clicks (40)')
    parser.add_argument('--side', type=int, default=0, help='pixels of the photos (as they are: 128)')
    parser.add_argument('--browser', default='chromium')
    add_out(parser)
    args = parser.parse_args()
    found = person(args) if args.what == 'person' else clicks(args)
    table = Table(*found['rows'][0])
    for row in found['rows']:
        table.add_row(*map(str, row.values()))
    Console().print(table, *(f'{key}: {value}' for key, value in found.items() if key != 'rows'), sep='\n')
    if args.out:
        options = {key: value for key, value in vars(args).items() if key != 'out'}
        dump_json({'machine': machine(), 'options': options, **found}, args.out, indent=2)


if __name__ == '__main__':
    main()
