"""Runs tools in processes forked from one that has imported the package: that saves four seconds a call.

Reads one json request a line from stdin (the arguments of run_tool), answers with the exit code; of a request
with ``background``, with the id of the process, which runs on. What warm_python.py is called with comes by
the listening socket whose number is the only argument.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

import torch

import mmrefseg.runs.testing  # noqa: F401


def run_tool(script: str, args: list[str], folder: str, environment: dict, out: str, err: str) -> int:
    """What ``python script args`` does, with its output in two files; returns the exit code."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    return run_script(script, args, folder, environment)


def run_script(script: str, args: list[str], folder: str, environment: dict) -> int:
    """What ``python script args`` does; returns the exit code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    sys.path[:0] = [str(Path(script).parent), *environment['PYTHONPATH'].split(os.pathsep)]
    sys.argv = [script, *args]
    sys.executable = environment.get('PYTHON_EXEC', sys.executable)  # of processes that the script starts
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as stop:
        if isinstance(stop.code, int | None):
            return stop.code or 0
        sys.stderr.write(f'{stop.code}\n')
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def in_a_child(function, *args, **kwargs) -> int:
    """Call a function that returns an exit code in a forked process; returns the process's id."""
    pid = os.fork()
    if pid == 0:
        code = function(*args, **kwargs)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    """Of a child that is waited for."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def listen(listener: socket.socket, server: int) -> int:
    """Answer warm_python.py, several at once, as long as the server lives."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.settimeout(0.5)
    while os.getppid() == server:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        in_a_child(answer, connection, listener)
        connection.close()
    return 0


def answer(connection: socket.socket, listener: socket.socket) -> int:
    """Run what one connection asks for, with its streams; tell the process's id, then its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    connection.settimeout(None)
    length, streams, _, _ = socket.recv_fds(connection, 8, 2)
    with connection.makefile('rwb') as file:
        request = json.loads(file.read(int.from_bytes(length, 'big')))
        pid = in_a_child(with_streams, streams, **request)
        for stream in streams:
            os.close(stream)
        file.write(b'%d\n' % pid)
        file.flush()
        file.write(b'%d\n' % exit_code(pid))
    return 0


def with_streams(streams: list[int], **request) -> int:
    """:func:`run_script` with standard output and error given."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
        os.close(stream)
    return run_script(**request)


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    gc.freeze()  # what is imported is never garbage, and is shared by all children until one looks at it
    in_a_child(listen, listener, os.getpid())
    listener.close()
    for line in sys.stdin:
        request = json.loads(line)
        background = request.pop('background', False)
        pid = in_a_child(run_tool, **request)
        sys.stdout.write(f'{pid if background else exit_code(pid)}\n')
        sys.stdout.flush()


if __name__ == '__main__':
    main()
