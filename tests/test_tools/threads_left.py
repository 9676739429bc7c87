"""For configs' custom_imports: with TELL_THREADS set, says which threads run when Python ends."""

import atexit
import os
from pathlib import Path

LINE = 'threads left: '


def tell() -> None:
    names = sorted(file.read_text().strip() for file in Path('/proc/self/task').glob('*/comm'))
    os.write(2, f'{LINE}{",".join(names)}\n'.encode())


if 'TELL_THREADS' in os.environ:
    atexit.register(tell)
