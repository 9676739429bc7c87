"""The server that runs the tools for the tests."""

import subprocess

from test_tools.conftest import Server


def test_it_ends_though_another_process_holds_its_pipe_open():
    server = Server()
    with subprocess.Popen(['sleep', '60'], pass_fds=[server.process.stdin.fileno()]) as other:
        server.close()
        assert server.process.returncode is not None and other.poll() is None
        other.kill()
