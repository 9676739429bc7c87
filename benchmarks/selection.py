"""Time and memory of ``tools/choose_pseudo_data.py`` on RefCOCO's number of objects.

    nice python benchmarks/selection.py --json work_dirs/benchmarks/selection.json

Makes annotations and predictions (one mask of 640x480 per object, from a random polygon of 18 points) in a
temporary folder, runs the tool as a process of its own for 10k, 20k and 40k (42,404) objects, and prints
seconds and peak memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
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
    report = json.loads((folder / 'out_report.json').read_text())
    return {'objects': number, **row, 'accepted': report['accepted']}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--numbers', type=int, nargs='+', default=[10_000, 20_000, 42_404])
    parser.add_argument('--strategy', default='rpp')
    parser.add_argument('--json', help='write the table here')
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    made = [make_object(index, rng) for index in range(max(args.numbers))]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in args.numbers:
            sample = {'train': [record for record, _ in made[:number]], 'val': []}
            (folder / f'sample_{number}.json').write_text(json.dumps(sample))
            lines = (json.dumps(prediction) + '\n' for _, prediction in made[:number])
            with open(folder / f'pseudo_{number}.rank0.jsonl', 'w') as file:
                file.writelines(lines)
        del made
        startup = run_tool('--help')
        print(f'{platform.machine()}, {os.cpu_count()} cores; imports: {startup["cpu_seconds"]:.1f} s of CPU')
        print(
            f'{"objects":>8} {"seconds":>8} {"CPU s":>8} {"peak MB":>8} {"CPU us/object":>14} {"accepted":>9}'
        )
        for number in args.numbers:
            row = select(folder, number, args.strategy)
            rows.append(row)
            each = 1e6 * (row['cpu_seconds'] - startup['cpu_seconds']) / number
            print(
                f'{number:8d} {row["seconds"]:8.2f} {row["cpu_seconds"]:8.2f} {row["peak_mb"]:8.0f} '
                f'{each:14.0f} {row["accepted"]:9d}'
            )
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps({'startup': startup, 'rows': rows}, indent=2) + '\n')


if __name__ == '__main__':
    main()
