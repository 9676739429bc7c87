"""Tools run as a user runs them: as processes, on a tiny data set, with a toy model."""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmrefseg.datasets.refshapes import generate

REPO = Path(__file__).parents[2]
CONFIG = str(Path(__file__).with_name('toy_config.py'))
COLORS = {'red': (40, 40, 220), 'green': (40, 200, 40), 'blue': (220, 80, 40)}  # BGR
ENVIRONMENT = {
    **os.environ,
    'PYTHONPATH': os.pathsep.join([str(REPO), str(Path(__file__).parent)]),
    'PYTHON': sys.executable,
    'PYTHONWARNINGS': 'ignore',
    'OMP_NUM_THREADS': '1',
    'COLUMNS': '100',
    'MMREFSEG_FULL_LOG': '1',  # what tests look for is in the log; what a user sees: test_runs_watched.py
}
NUM_VAL = 7  # expressions; odd, so that two processes must pad


class Server:
    """The process that tools are forked from (tool_server.py), and the ``python`` that leads to it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        warm, address = (str(Path(self._folder.name, name)) for name in ('python', 'socket'))
        client = Path(__file__).with_name('warm_python.py').read_text()
        Path(warm).write_text(f'#!{sys.executable} -SE\n{client}')
        os.chmod(warm, 0o755)
        # For scripts that start processes: the server's, rather than two that import everything themselves.
        self.warm = {'PYTHON': warm, 'PYTHON_EXEC': warm, 'WARM_PYTHON': address}
        listener = socket.socket(socket.AF_UNIX)  # made here: it keeps what comes before the server is ready
        listener.bind(address)
        listener.listen()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('tool_server.py')), str(listener.fileno())],
            env=ENVIRONMENT,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        listener.close()

    def ask(self, **request) -> int:
        """Its answer to a request: an exit code, or the id of a process."""
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End it; it has nothing to lose.

        Closing its stdin may not end it: a worker that a test forked and that still lives keeps it open.
        """
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()


@functools.cache
def shared_server() -> Server:
    """One for all tests of this process: what runs in it leaves nothing there."""
    server = Server()
    atexit.register(server.close)
    return server


class Tools:
    """Runs the tools of the repository in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = CONFIG
        self.environment = {**ENVIRONMENT, 'TOY_DATA': str(folder / 'data')}
        self.server = shared_server()
        self._trained_at: dict[str, int] = {}  # work directory -> second

    def run(
        self, script: str | Path, *args: str, timeout: int = 300, **environment: str
    ) -> subprocess.CompletedProcess:
        """Run ``tools/<script>``, or a script of a whole path; returns what it wrote and its exit code.

        A shell script's Python processes are the server's, unless ``PYTHON`` says otherwise.
        """
        shell = str(script).endswith('.sh')
        args = [str(arg) for arg in args]
        place = _work_dir([str(script), *args])
        while place and int(time.time()) == self._trained_at.get(place):
            time.sleep(0.01)  # mmengine names a session by its second
        if shell:
            environment = self.server.warm | environment
        path, environment = str(REPO / 'tools' / script), {**self.environment, **environment}
        out, err = self.folder / 'stdout.txt', self.folder / 'stderr.txt'
        if shell:
            with open(out, 'w') as stdout, open(err, 'w') as stderr:
                code = subprocess.call(
                    ['bash', path, *args],
                    cwd=self.folder,
                    env=environment,
                    stdout=stdout,
                    stderr=stderr,
                    timeout=timeout,
                )
        else:
            code = self._ask(script=path, args=args, out=str(out), err=str(err), environment=environment)
        self._trained_at[place] = int(time.time())
        return subprocess.CompletedProcess([path, *args], code, out.read_text(), err.read_text())

    def start(self, script: str, *args: str, log: str, **environment: str) -> int:
        """Let ``tools/<script>`` run in the background, with its output in a file; returns its process id."""
        log = str(self.folder / log)
        request = dict(script=str(REPO / 'tools' / script), args=[str(arg) for arg in args], out=log, err=log)
        return self._ask(**request, environment={**self.environment, **environment}, background=True)

    def _ask(self, **request) -> int:
        return self.server.ask(**request, folder=str(self.folder))

    def succeed(self, script: str | Path, *args: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a tool that must end well."""
        done = self.run(script, *args, **environment)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done

    def fail(self, script: str, *args: str, **environment: str) -> str:
        """Run a tool that must end with one sentence and exit code 2; returns the sentence."""
        done = self.run(script, *args, **environment)
        assert done.returncode == 2, done.stdout[-2000:] + done.stderr[-4000:]
        assert 'Traceback' not in done.stdout + done.stderr, done.stderr[-4000:]
        errors = [line for line in done.stderr.splitlines() if 'error: ' in line]
        assert len(errors) == 1, done.stderr
        return errors[0]


def _work_dir(words: list[str]) -> str:
    """Where a training keeps its sessions, or who decides that; '' for other tools."""
    if not any(word.endswith(('train.py', 'train.sh')) for word in words):
        return ''
    return words[words.index('--work-dir') + 1] if '--work-dir' in words[:-1] else words[1]


def make_data(folder: Path) -> None:
    """Images of one coloured rectangle each: 8 objects to train, 7 expressions in val, 1 in testA."""
    (folder / 'images').mkdir(parents=True)
    rng = np.random.default_rng(0)
    splits: dict[str, list] = {'train': [], 'val': [], 'testA': []}
    names = ['train'] * 8 + ['val'] * 4 + ['testA']
    for number, split in enumerate(names):
        color = list(COLORS)[number % 3]
        x, y = (int(value) for value in rng.integers(2, 28, 2))
        w, h = (int(value) for value in rng.integers(14, 32, 2))
        image = np.full((64, 64, 3), 90, np.uint8)
        image[y : y + h, x : x + w] = COLORS[color]
        cv2.imwrite(str(folder / 'images' / f'{number}.png'), image)
        expressions = [f'the {color} box'] if number in (8, 12) else [f'the {color} box', f'{color} thing']
        splits[split].append(
            {
                'image_id': number,
                'height': 64,
                'width': 64,
                'bbox': [x, y, w, h],
                'mask': [[x, y, x + w, y, x + w, y + h, x, y + h]],
                'expressions': expressions,
                'category_id': 1,
                'ref_id': number,
                'sent_ids': [2 * number + k for k in range(len(expressions))],
            }
        )
    assert sum(len(record['expressions']) for record in splits['val']) == NUM_VAL
    (folder / 'instances.json').write_text(json.dumps(splits))


@pytest.fixture(scope='session')
def tools(tmp_path_factory) -> Tools:
    """The tools, with data in their folder."""
    folder = tmp_path_factory.mktemp('tools')
    make_data(folder / 'data')
    return Tools(folder)


@pytest.fixture(scope='session')
def trained(tools) -> Path:
    """The work directory of one whole training."""
    tools.succeed('train.py', tools.config, '--work-dir', 'trained')
    return tools.folder / 'trained'


class Stages:
    """The first stages of BoxFrame at their smallest: shipped configs, RefShapes of a few images."""

    # Sixteen images to train, five to test.
    tiny = (
        *('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.dataset.indices=16'),
        *('val_dataloader.dataset.indices=2', 'test_dataloader.dataset.indices=5'),
    )

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        made = generate('tiny', tools.folder / 'data', num_workers=1, progress=False)
        for folder in (made.annotations, made.images):
            folder.with_name('refshapes_small').symlink_to(folder.name)

    @staticmethod
    def config(stage: str) -> str:
        """The shipped config of a stage."""
        return str(REPO / f'configs/extended/box-frame_tiny_{stage}_refshapes.py')

    @staticmethod
    def best(stage: str) -> str:
        """Where a stage leaves its best checkpoint."""
        return f'work_dirs/box-frame_tiny_{stage}_refshapes/best.pth'

    def train(self, stage: str, *options: str) -> str:
        """Train a stage into its own work directory; returns the log."""
        command = ('train.py', self.config(stage), '--seed', '0', *options, '--cfg-options', *self.tiny)
        return self.tools.succeed(*command).stdout


@pytest.fixture(scope='session')
def stages(tools) -> Stages:
    """Comprehension, then segmentation that starts from it."""
    stages = Stages(tools)
    stages.logs = {'rec': stages.train('rec')}
    stages.logs['m100'] = stages.train('m100', '--load-from', stages.best('rec'))
    return stages
