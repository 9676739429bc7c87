"""Runs a tool on a disk that takes no file beyond some bytes: ``limited.py BYTES TOOL [arguments]``.

A limit of the size of files fails where a full disk does, and anybody may set one.
"""

import resource
import runpy
import sys
from pathlib import Path

if __name__ == '__main__':
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    script = Path(__file__).parents[2] / 'tools' / sys.argv[2]
    sys.argv = [str(script), *sys.argv[3:]]
    runpy.run_path(str(script), run_name='__main__')
