"""torchrun that passes a tool's exit code on: ``python tools/dist_run.py [torchrun options] SCRIPT [args]``.

torchrun itself adds a page of its own traceback to a sentence that a tool has
already written, and always ends with 1. The script does not import the
package, so that starting the processes does not wait for it twice.
"""

import logging
import os
import sys
import tempfile

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

USER_ERROR = 2


def main() -> int:
    """Run, and tell in one line which process failed, unless it has said so itself."""
    # The launcher's own reports of failed processes; those of the processes are not touched.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    logging.getLogger('torch.distributed.run').setLevel(logging.ERROR)
    os.environ.setdefault('LOGLEVEL', 'CRITICAL')
    with tempfile.TemporaryDirectory() as folder:
        claim = os.environ['MMREFSEG_ERROR_CLAIM'] = os.path.join(folder, 'claimed')
        try:
            torchrun(sys.argv[1:])
        except ChildFailedError as error:
            if os.path.exists(claim):
                return USER_ERROR
            rank, failure = error.get_first_failure()
            print(f'process {rank} ended with exit code {failure.exitcode} (see above)', file=sys.stderr)
            return failure.exitcode if 0 < failure.exitcode < 256 else 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
