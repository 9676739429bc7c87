"""How long the package takes to be there: CPU seconds of `import mmrefseg` and of the tools' first answers.

    python benchmarks/startup.py --out work_dirs/benchmarks/startup.json

Each row is a process of its own: the least of --repeats runs, user and system time together. Rows named
--help, wrong argument and missing file are what a tool says before it needs a network; the others are whole
runs on a small file that is made for them.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmrefseg.utils import dump_json

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/seqtr/seqtr_darknet53_res_refcoco-unc.py'


def cpu_seconds(command: list[str], expected: int, repeats: int) -> float:
    """The least user + system time of a command that ends with the exit code that is expected."""
    times = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(ROOT)}
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != expected:
            raise SystemExit(f'{" ".join(command)}: ended with {done.returncode}\n{done.stderr}')
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def commands(folder: Path) -> dict[str, tuple[list[str], int]]:
    """What is measured: name -> arguments of Python and the exit code that is expected."""
    small = folder / 'data' / 'annotations' / 'refshapes_tiny' / 'instances.json'
    sample = folder / 'samples' / 'instances_sample_10.json'
    tools = sorted([*(ROOT / 'tools').rglob('*.py'), ROOT / 'demo' / 'image_demo.py'])
    rows = {'import mmrefseg': (['-c', 'import mmrefseg'], 0)}
    rows |= {
        f'{path.name} --help': ([str(path), '--help'], 0)
        for path in tools
        if path.name != 'dist_run.py' and "__name__ == '__main__'" in path.read_text(encoding='utf-8')
    }
    rows |= {
        'train.py, wrong argument': (['tools/train.py', CONFIG, '--seeed', '1'], 2),
        'train.py, missing file': (['tools/train.py', 'configs/none.py'], 2),
        'test.py, missing file': (['tools/test.py', CONFIG, 'none.pth'], 2),
        'create_refshapes.py, tiny': (
            ['tools/dataset_converters/create_refshapes.py', '--size', 'tiny', '--out', str(folder / 'data')],
            0,
        ),
        'sample_masks.py, tiny': (
            [
                'tools/dataset_converters/sample_masks.py', str(small), '--ratio', '10',
                '--out-dir', str(sample.parent),
            ],
            0,
        ),
    }  # fmt: skip
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeats', type=int, default=3, help='the least of so many runs (3)')
    parser.add_argument('--out', metavar='FILE', help='write the figures to this json file')
    args = parser.parse_args()
    table = Table('what', 'CPU s')
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, code) in commands(Path(folder)).items():
            figures[name] = cpu_seconds([sys.executable, *command], code, args.repeats)
            table.add_row(name, f'{figures[name]:.2f}')
    Console().print(table)
    if args.out:
        dump_json(figures, args.out, indent=2)


if __name__ == '__main__':
    main()
