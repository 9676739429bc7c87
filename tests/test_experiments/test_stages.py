"""Chains of commands: order, resuming, failing, progress."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from mmrefseg.experiments.stages import Stage, python, run_stages
from mmrefseg.utils import UserInputError


def stage(name, output, code, **kwargs):
    return Stage(name, (sys.executable, '-c', code), output, **kwargs)


def quiet():
    return Console(file=io.StringIO())


def touch(path, text='x'):
    return f'open({str(path)!r}, "a").write({text!r})'


def test_runs_in_order_and_only_once(tmp_path):
    log = tmp_path / 'order'
    stages = [
        stage('first', log, touch(log, 'a')),
        stage('second', tmp_path / 'b', f'{touch(log, "b")}; {touch(tmp_path / "b")}'),
    ]
    first = run_stages(stages, tmp_path / 'stages', quiet())
    assert log.read_text() == 'ab'
    again = run_stages(stages, tmp_path / 'stages', quiet())
    assert log.read_text() == 'ab'
    assert again == pytest.approx(first)  # seconds of earlier runs count


def test_another_command_or_a_lost_output_runs_again(tmp_path):
    out = tmp_path / 'out'
    run_stages([stage('one', out, touch(out, 'a'))], tmp_path / 'stages', quiet())
    run_stages([stage('one', out, touch(out, 'b'))], tmp_path / 'stages', quiet())
    assert out.read_text() == 'ab'
    out.unlink()
    run_stages([stage('one', out, touch(out, 'b'))], tmp_path / 'stages', quiet())
    assert out.read_text() == 'b'


@pytest.mark.parametrize('code', ['print("the reason"); raise SystemExit(3)', 'print("the reason")'])
def test_a_failure_names_the_log_and_stops(tmp_path, code):
    after = tmp_path / 'after'
    stages = [stage('bad one', tmp_path / 'never', code), stage('after', after, touch(after))]
    with pytest.raises(UserInputError, match=r'bad one.*the reason.*bad_one\.log'):
        run_stages(stages, tmp_path / 'stages', quiet())
    assert not after.exists()
    assert 'the reason' in (tmp_path / 'stages' / 'bad_one.log').read_text()


def test_stages_of_one_name_would_forget_each_other(tmp_path):
    stages = [stage(name, tmp_path / 'out', touch(tmp_path / 'out')) for name in ('Select (5 %)', 'select 5')]
    with pytest.raises(ValueError, match='same name'):
        run_stages(stages, tmp_path / 'stages', quiet())
    assert not (tmp_path / 'out').exists()


def test_a_missing_tool_is_said_before_anything_runs():
    with pytest.raises(UserInputError, match=r'demo/none\.py: found no such file.*checkout'):
        python('demo/none.py')


def test_progress_is_read_from_the_logs_of_the_tools(tmp_path):
    train = stage('train', tmp_path / 'x', '', epochs=4)
    assert train.progress('11/21 - INFO - Epoch(train)  [2][ 50/100]  lr: 1e-4') == pytest.approx(0.375)
    assert train.progress('Epoch(val) [4][13/13]') is None
    steps = stage('steps', tmp_path / 'x', '', epochs=1)
    assert steps.progress('11/28 - INFO - Iter(train) [ 50/200]  lr: 1e-4') == pytest.approx(0.25)
    assert steps.progress('Iter(val) [13/13]') is None
    test = stage('test', tmp_path / 'x', '')
    assert test.progress('Epoch(test) [ 5/20]    eta: 0:00:01') == pytest.approx(0.25)
    assert test.progress('something else') is None


SCRIPT = """
import os, sys
import mmrefseg.registration
print(os.getppid() == {parent}, sys.argv[1:], os.environ['STAGE_WORD'])
open(sys.argv[1], 'w').write('made')
sys.exit({code})
"""

RUNNER = """
import signal
from pathlib import Path
from mmrefseg.experiments.stages import Stage, run_stages
from mmrefseg.utils import cli

@cli
def main():
    name, command, output = {stage!r}
    run_stages([Stage(name, command, Path(output))], Path({folder!r}))

if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore it
    main()
"""


@pytest.mark.parametrize(('code', 'gpu'), [(0, False), (3, False), ('"a word"', False), (3, True)])
def test_scripts_are_forked_by_a_server_unless_there_is_a_gpu(tmp_path, monkeypatch, code, gpu):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    script, out = tmp_path / 'tool.py', tmp_path / 'out'
    script.write_text(SCRIPT.format(code=code, parent=os.getpid()))
    monkeypatch.setenv('STAGE_WORD', f'word {code}')
    stages = [Stage('tool', python(script, out), out)]
    if code:
        with pytest.raises(UserInputError, match=f'ended with code {code if code == 3 else 1}'):
            run_stages(stages, tmp_path / 'stages', quiet())
    else:
        run_stages(stages, tmp_path / 'stages', quiet())
    assert out.read_text() == 'made'
    log = (tmp_path / 'stages' / 'tool.log').read_text()
    assert log.startswith(f"{gpu} ['{out}'] word {code}\n")
    assert ('a word' in log) == (code == '"a word"')


def test_a_script_that_raises_leaves_its_traceback_in_the_log(tmp_path):
    script = tmp_path / 'tool.py'
    script.write_text('raise ValueError("the reason")')
    with pytest.raises(UserInputError, match=r'code 1.*the reason'):
        run_stages([Stage('tool', python(script), tmp_path / 'out')], tmp_path / 'stages', quiet())
    assert 'Traceback' in (tmp_path / 'stages' / 'tool.log').read_text()


@pytest.mark.parametrize('stop', ['Ctrl-C', 'kill'])
def test_what_is_interrupted_leaves_no_process_behind(tmp_path, stop):
    script, pid = tmp_path / 'tool.py', tmp_path / 'pid'
    script.write_text(f'import os, time\nopen({str(pid)!r}, "w").write(f"{{os.getpid()}} ")\ntime.sleep(600)')
    runner = tmp_path / 'runner.py'
    runner.write_text(RUNNER.format(stage=('slow one', python(script), 'out'), folder=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, runner], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (pid.exists() and ' ' in pid.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    if stop == 'kill':
        os.kill(process.pid, signal.SIGTERM)  # that process alone, not the stage's
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'slow one: stopped; the same command goes on with this stage and keeps those before it' in said
    assert said.endswith('interrupted\n') and 'Traceback' not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_where_no_bar_moves_a_line_says_how_far_a_stage_is(tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefseg.experiments.stages.SAID_SECONDS', 0.0)
    line = 'Epoch(train) [{0}][ 5/10]'
    code = f'import time\nfor epoch in (1, 2): print("{line}".format(epoch), flush=True); time.sleep(0.5)'
    code += f'\n{touch(tmp_path / "out")}'
    console = quiet()
    slow = Stage('slow one', (sys.executable, '-c', code), tmp_path / 'out', epochs=2)
    run_stages([slow], tmp_path / 'stages', console)
    assert 'slow one: 25 %, 0 min to go\nslow one: 75 %, 0 min to go\n' in console.file.getvalue()
