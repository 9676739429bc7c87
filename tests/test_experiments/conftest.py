"""RefShapes tiny is there before any demo runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope='session')
def refshapes_tiny() -> None:
    """Make it, or wait for the test process that does: two of them may come to their first demo together."""
    command = [
        sys.executable,
        'tools/dataset_converters/create_refshapes.py',
        '--size',
        'tiny',
        '--seed',
        '0',
    ]
    for _ in range(30):
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if made.returncode == 0:
            return
        time.sleep(2)
    pytest.fail(made.stderr[-500:])
