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


def first_exit_code(error: ChildFailedError) -> int:
    """The exit code of the first failure; a user's error counts before what it caused in other processes."""
    codes = [failure.exitcode for failure in error.failures.values()]
    return USER_ERROR if USER_ERROR in codes else error.get_first_failure()[1].exitcode


def main() -> int:
    """Run, and tell in one line which process failed, unless it has said so itself."""
    # The launcher's own reports of failed processes; those of the processes are not touched.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    logging.getLogger('torch.distributed.run').setLevel(logging.ERROR)
    os.environ.setdefault('LOGLEVEL', 'CRITICAL')
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ['MMREFSEG_ERROR_CLAIM'] = os.path.join(folder, 'claimed')
            torchrun(sys.argv[1:])
    except ChildFailedError as error:
        code = first_exit_code(error)
        if code != USER_ERROR:
            rank, failure = error.get_first_failure()
            print(f'process {rank} ended with exit code {failure.exitcode} (see above)', file=sys.stderr)
        return code if 0 < code < 256 else 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
