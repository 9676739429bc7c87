"""The server that runs the tools for the tests."""

import subprocess

from test_tools.conftest import Tools


def test_it_ends_though_another_process_holds_its_pipe_open(tmp_path):
    tools = Tools(tmp_path)
    with subprocess.Popen(['sleep', '60'], pass_fds=[tools.server.stdin.fileno()]) as other:
        tools.close()
        assert tools.server.returncode is not None and other.poll() is None
        other.kill()
