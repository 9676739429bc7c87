"""A ``python`` for scripts that start processes of their own: it runs scripts in the tool server.

``PYTHON`` and ``PYTHON_EXEC`` name it to tools/dist_*.sh and to torchrun. What it is called with goes to the
socket that ``WARM_PYTHON`` names, with its standard output and error; it ends as the script ends. It imports
no more than it needs, as it is what would otherwise take seconds.
"""

import array
import contextlib
import json
import os
import signal
import socket
import sys


def main() -> None:
    args = [arg for arg in sys.argv[1:] if arg != '-u']
    if not args or not args[0].endswith('.py'):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    request = dict(script=args[0], args=args[1:], folder=os.getcwd(), environment=dict(os.environ))
    content = json.dumps(request).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ['WARM_PYTHON'])
    streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1, 2]))
    connection.sendmsg([len(content).to_bytes(8, 'big')], [streams])
    connection.sendall(content)
    answers = connection.makefile()
    pid = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: pass_on(number, pid))
    code = int(answers.readline())
    if code < 0:
        if -code in (signal.SIGTERM, signal.SIGINT):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def pass_on(number: int, pid: int) -> None:
    """A signal, to a process that may just have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == '__main__':
    main()
