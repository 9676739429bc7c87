"""Opening a data set of RefCOCO's size, and the memory that each data loader worker adds.

    python benchmarks/dataset.py --out work_dirs/benchmarks/dataset.json

Makes an annotation file of RefCOCO's size in a temporary folder: 42,404 + 3,811 + 1,975 + 1,810 objects with
the sentences of RefCOCO's val, testA and testB (``--boxes`` says where they are) and generated polygons.
Compares RefSegDataset with what the originals do: ``json.load``, and a list of dicts that every worker refers
to. A worker's memory is what it shares with no other process once it has read every sample that is its;
the row "no data" is what a worker takes without any.
"""

import argparse
import csv
import gc
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import add_out, prepare, report
from shared_backbone import BOXES
from torch.utils.data import DataLoader, Dataset

SIDES = ('no data', 'json.load', 'RefSegDataset')
OBJECTS = {'train': 42_404, 'val': 3_811, 'testA': 1_975, 'testB': 1_810}
PER_IMAGE = 42_404 / 16_994


def read_objects(folder: Path) -> list[tuple[list[float], list[str]]]:
    """Boxes and sentences of the objects of RefCOCO's val, testA and testB."""
    objects: dict[str, tuple[list[float], list[str]]] = {}
    for split in ('val', 'testA', 'testB'):
        file = folder / f'refcoco_unc_{split}.csv'
        if not file.is_file():
            raise SystemExit(f'--boxes {folder}: no {file}; give the folder of refcoco_unc_*.csv')
        with open(file, newline='') as lines:
            for row in csv.DictReader(lines):
                _, sentences = objects.setdefault(row['ref_id'], (json.loads(row['bbox']), []))
                sentences.append(row['sent'])
    return list(objects.values())


def polygon(box: list[float], rng: random.Random) -> list[float]:
    """A wobbly contour that fills a box, of as many points as COCO's often have."""
    x, y, width, height = box
    count = max(4, min(200, round(rng.lognormvariate(3.5, 0.6))))
    points = []
    for k in range(count):
        angle, radius = 2 * math.pi * k / count, rng.uniform(0.4, 0.5)
        points += [
            x + width * (0.5 + radius * math.cos(angle)),
            y + height * (0.5 + radius * math.sin(angle)),
        ]
    return [round(value, 2) for value in points]


def write_file(path: Path, folder: Path, scale: float, seed: int) -> None:
    """The annotation file; ``scale`` 1 is RefCOCO's size."""
    rng, sources = random.Random(seed), read_objects(folder)
    splits, ref_id, sent_id = {}, 0, 0
    for split, number in OBJECTS.items():
        records = splits[split] = []
        for index in range(max(1, round(number * scale))):
            box, sentences = rng.choice(sources)
            parts = 1 + (rng.random() < 0.15)
            record = {
                'image_id': ref_id + int(index / PER_IMAGE),
                'height': 480 if box[1] + box[3] <= 480 else 640,
                'width': 640,
                'bbox': box,
                'mask': [polygon(box, rng) for _ in range(parts)],
                'expressions': sentences,
                'category_id': rng.randrange(1, 91),
                'ref_id': ref_id + index,
                'sent_ids': list(range(sent_id, sent_id + len(sentences))),
            }
            sent_id += len(sentences)
            records.append(record)
        ref_id += len(records)
    path.write_text(json.dumps(splits))


class ListDataset(Dataset):
    """What the originals do: the whole file as Python objects, one list a split."""

    def __init__(self, path: str) -> None:
        with open(path) as file:
            self.splits = json.load(file)

    def __len__(self) -> int:
        return len(self.splits['train'])

    def __getitem__(self, index: int) -> int:
        record = self.splits['train'][index]
        return sum(len(part) for part in record['mask']) + len(record['expressions'])


class NoData(Dataset):
    """As many samples, and nothing in them."""

    def __init__(self, path: str) -> None:
        self.number = OBJECTS['train']

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> int:
        return 0


class Reading(Dataset):
    """Every sample of a RefSegDataset, taken apart."""

    def __init__(self, path: str) -> None:
        from mmrefseg.datasets.ref_seg_dataset import RefSegDataset

        self.dataset = RefSegDataset(path, 'train', data_prefix=dict(img_path='images'), pipeline=[])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        instance = self.dataset.get_data_info(index)['instances'][0]
        return sum(len(part) for part in instance['mask']) + len(instance['expressions'])


def private_mb(pid: int | str = 'self') -> float:
    """Memory (MB) of a process that it shares with no other."""
    fields = dict(
        line.split(':', 1) for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:]
    )
    return sum(int(fields[key].split()[0]) for key in ('Private_Clean', 'Private_Dirty')) / 1024


def measure(side: str, path: str, workers: int) -> dict[str, float]:
    """Seconds to open the file, memory of this process, and of each worker after an epoch."""
    if side == 'RefSegDataset':
        import mmrefseg.datasets  # noqa: F401  importing is not opening
    before = private_mb()
    start = time.perf_counter()
    dataset = {'no data': NoData, 'json.load': ListDataset, 'RefSegDataset': Reading}[side](path)
    seconds = time.perf_counter() - start
    gc.collect()
    own = private_mb() - before
    loader = DataLoader(dataset, 64, num_workers=workers, persistent_workers=True, collate_fn=sum)
    iterator = iter(loader)
    total = sum(iterator)
    each = [private_mb(process.pid) for process in iterator._workers]
    return {'open_s': seconds, 'data_mb': own, 'per_worker_mb': statistics.mean(each), 'total': total}


def run_side(side: str, path: Path, workers: int) -> dict[str, float]:
    """:func:`measure` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        '--measure',
        side,
        '--ann-file',
        str(path),
        '--workers',
        str(workers),
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('--boxes', type=Path, default=BOXES, metavar='FOLDER', help='of refcoco_unc_*.csv')
    parser.add_argument('--scale', type=float, default=1.0, help='1 is the size of RefCOCO')
    parser.add_argument('--workers', type=int, default=2, help='of the data loader (2)')
    parser.add_argument('--repeats', type=int, default=5, help='the median of so many (5)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--measure', choices=SIDES, help='measure one side and stop')
    parser.add_argument('--ann-file', help='of --measure')
    add_out(parser)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.ann_file, args.workers)))
        return
    args.threads = 1
    prepare(args)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / 'instances.json'
        write_file(path, args.boxes, args.scale, args.seed)
        file_mb = path.stat().st_size / 2**20
        runs: dict[str, list] = {side: [] for side in SIDES}
        for _ in range(args.repeats):
            for side in SIDES:
                runs[side].append(run_side(side, path, args.workers))
    if len({run['total'] for side in SIDES[1:] for run in runs[side]}) != 1:
        raise SystemExit('the two sides read different data')
    rows = [
        {'dataset': side}
        | {
            key: statistics.median(run[key] for run in runs[side])
            for key in ('open_s', 'data_mb', 'per_worker_mb')
        }
        for side in SIDES
    ]
    report(args, rows, file_mb=file_mb, objects=round(OBJECTS['train'] * args.scale), same_data=True)


if __name__ == '__main__':
    main()
