"""Time and memory of ``tools/choose_pseudo_data.py`` on RefCOCO's number of objects.

    python benchmarks/selection.py --out work_dirs/benchmarks/selection.json

Makes annotations and predictions (one mask of 640x480 per object, from a random polygon of 18 points) in a
temporary folder, runs the tool as a process of its own for 10k, 20k and 40k (42,404) objects, and prints
seconds and peak memory, medians of ``--repeats`` runs. For comparison it does to ``--loop-objects`` of them
what the originals' script does (masks decoded, traced and drawn again, and every record compared with
those of the sample) and says how long all would take.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from common import add_out, report
from pycocotools import mask as coco_mask

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 480, 640


def make_object(index: int, rng: np.random.Generator) -> tuple[dict, dict]:
    """One record without its mask, and one prediction that more or less fills the box."""
    width, height = rng.uniform(40, 300), rng.uniform(40, 300)
    x, y = rng.uniform(0, WIDTH - width), rng.uniform(0, HEIGHT - height)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 18))
    radius = 0.5 * rng.uniform(0.8, 1.02, 18)
    xs = x + width * (0.5 + radius * np.cos(angle))
    ys = y + height * (0.5 + radius * np.sin(angle))
    polygon = np.stack([xs, ys], axis=1).round(2).ravel().tolist()
    rle = coco_mask.frPyObjects([polygon], HEIGHT, WIDTH)[0]
    ids = {'ref_id': index, 'image_id': index // 3}
    record = {
        **ids,
        'height': HEIGHT,
        'width': WIDTH,
        'bbox': [round(value, 2) for value in (x, y, width, height)],
        'category_id': int(rng.integers(80)),
        'expressions': [f'expression {index} a', f'expression {index} b', f'expression {index} c'],
        'sent_ids': [3 * index, 3 * index + 1, 3 * index + 2],
    }
    segmentation = {'size': [HEIGHT, WIDTH], 'counts': rle['counts'].decode()}
    return record, {**ids, 'sent_id': 3 * index, 'segmentation': segmentation, 'score': 0.5}


def run_tool(*args: str) -> dict[str, float]:
    """Run the tool as a process: seconds, seconds of CPU and peak MB, imports included."""
    command = [sys.executable, str(ROOT / 'tools' / 'choose_pseudo_data.py'), *args]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f'{" ".join(command)} failed with status {process.returncode}')
    return {
        'seconds': time.perf_counter() - start,
        'cpu_seconds': usage.ru_utime + usage.ru_stime,
        'peak_mb': usage.ru_maxrss / 1024,
    }


def select(folder: Path, number: int, strategy: str) -> dict[str, float]:
    """Select among the first ``number`` objects."""
    paths = ['--predictions', f'{folder}/pseudo_{number}', '--annotations', f'{folder}/sample_{number}.json']
    row = run_tool(*paths, '--out', f'{folder}/out.json', '--strategy', strategy)
    found = json.loads((folder / 'out_report.json').read_text())
    return {'objects': number, **row, 'accepted': found['accepted']}


def write_files(folder: Path, made: list[tuple[dict, dict]], number: int) -> None:
    """Annotations and predictions of the first ``number`` objects."""
    sample = {'train': [record for record, _ in made[:number]], 'val': []}
    (folder / f'sample_{number}.json').write_text(json.dumps(sample))
    lines = (json.dumps(prediction) + '\n' for _, prediction in made[:number])
    with open(folder / f'pseudo_{number}.rank0.jsonl', 'w') as file:
        file.writelines(lines)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Dice loss of two projections."""
    return 1 - 2 * (one * other).sum() / ((one**2).sum() + (other**2).sum() + 1e-5)


def loop_object(record: dict, prediction: dict) -> float:
    """RPP score the originals' way: decode, trace, draw the polygons, project whole images."""
    traced, _ = cv2.findContours(
        coco_mask.decode(prediction['segmentation']), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons = [contour.astype(float).ravel().tolist() for contour in traced if contour.size >= 6]
    masks = coco_mask.decode(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))[:, :, 0].astype(np.float32)
    box = np.zeros_like(masks)
    x, y, width, height = (int(value) for value in record['bbox'])
    box[y : y + height, x : x + width] = 1
    cv2.findContours(masks.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    return dice(masks.max(0), box.max(0)) + dice(masks.max(1), box.max(1))


def loop_seconds(made: list[tuple[dict, dict]], number: int) -> float:
    """Seconds that all objects would take the originals' way, from ``number`` of them.

    Whether an object is in the sample (5 % of the objects) is found by comparing records, as there.
    """
    sample = [dict(record) for record, _ in made[::20]]
    start = time.perf_counter()
    for record, prediction in made[-number:]:
        if record not in sample:
            loop_object(record, prediction)
    return (time.perf_counter() - start) / number * len(made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('--numbers', type=int, nargs='+', default=[10_000, 20_000, 42_404])
    parser.add_argument('--strategy', default='rpp')
    parser.add_argument('--repeats', type=int, default=5, help='the median of so many (5)')
    parser.add_argument('--loop-objects', type=int, default=500, help='objects of the comparison (500)')
    add_out(parser)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    made = [make_object(index, rng) for index in range(max(args.numbers))]
    loop = loop_seconds(made, min(args.loop_objects, len(made)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in args.numbers:
            write_files(folder, made, number)
        del made
        startup = statistics.median(run_tool('--help')['cpu_seconds'] for _ in range(args.repeats))
        runs = [
            [select(folder, number, args.strategy) for number in args.numbers] for _ in range(args.repeats)
        ]
    rows = []
    for column in zip(*runs, strict=True):
        row = {key: statistics.median(run[key] for run in column) for key in column[0]}
        row['us_per_object'] = 1e6 * max(row['cpu_seconds'] - startup, 0.0) / row['objects']
        rows.append(row)
    ratio = loop / rows[-1]['seconds']
    report(args, rows, cpu_seconds_of_imports=startup, loop_seconds_of_all=loop, ratio=ratio)


if __name__ == '__main__':
    main()
