"""Chromium without a window."""

import base64
import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
)  # fmt: skip


class Browser:
    """Opens a local page without a window."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self._opened = 0

    def _command(self, *args: str) -> list[str]:
        """With a profile of its own."""
        self._opened += 1
        profile = self.folder / f'profile{self._opened}'
        return [self.program, *CHROMIUM, f'--user-data-dir={profile}', *map(str, args)]

    def run(self, *args: str) -> str:
        """Run the browser; returns what it prints."""
        done = subprocess.run(self._command(*args), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def dom(self, page: Path) -> str:
        """The page's elements after its scripts have run."""
        return self.run('--virtual-time-budget=10000', '--dump-dom', page.as_uri())

    def screenshot(self, page: Path, path: Path, width: int = 1280, height: int = 3000) -> Path:
        """An image of the page's upper part."""
        self.run(f'--window-size={width},{height}', f'--screenshot={path}', page.as_uri())
        return path

    @contextlib.contextmanager
    def open(self, page: Path | str) -> Iterator['Tab']:
        """Open a page, a file or an address, to press keys and click on."""
        to_browser, to_us = os.pipe(), os.pipe()
        # The browser listens on its file 3 and answers on its file 4; a shell puts the pipes there.
        shell = f'exec 3<&{to_browser[0]} 4>&{to_us[1]}; exec "$@"'
        process = subprocess.Popen(
            ['bash', '-c', shell, 'bash', *self._command('--remote-debugging-pipe', 'about:blank')],
            pass_fds=(to_browser[0], to_us[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(to_us[1])
        try:
            with os.fdopen(to_browser[1], 'wb', 0) as out, os.fdopen(to_us[0], 'rb') as answers:
                tab = Tab(out, answers)
                tab.go(page)
                yield tab
        finally:
            process.kill()
            process.wait()


class Tab:
    """An open page, by the DevTools protocol: json messages, each ended by a zero byte."""

    def __init__(self, out, answers) -> None:
        self._out, self._answers = out, answers
        self._number, self._session = 0, None
        target = self.ask('Target.createTarget', url='about:blank')['targetId']
        self._session = self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        self.log: list[str] = []
        self.requests: list[str] = []
        self.ask('Network.enable')
        self.ask('Runtime.enable')
        self.ask('Log.enable')
        self.ask('Page.enable')

    def ask(self, method: str, **parameters: Any) -> dict:
        """Send a command and wait for its answer; what the page complains of meanwhile goes to ``log``."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters}
        message |= {'sessionId': self._session} if self._session else {}
        self._out.write(json.dumps(message).encode() + b'\0')
        while True:
            answer = self._receive()
            if answer.get('id') == self._number:
                assert 'error' not in answer, answer
                return answer['result']

    def _receive(self) -> dict:
        text = bytearray()
        while (byte := self._answers.read(1)) != b'\0':
            assert byte, 'the browser has gone'
            text += byte
        answer = json.loads(text)
        if answer.get('method') in ('Runtime.exceptionThrown', 'Log.entryAdded'):
            self.log.append(json.dumps(answer['params']))
        if answer.get('method') == 'Network.requestWillBeSent':
            self.requests.append(answer['params']['request']['url'])
        return answer

    def go(self, page: Path | str) -> None:
        """Open another page, or the same one again, and wait until it is loaded."""
        address = page if isinstance(page, str) else page.as_uri()
        self.ask('Page.navigate', url=address)
        self.wait_for(f'document.readyState === "complete" && location.href === {address!r}')

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.ask('Runtime.evaluate', expression=script, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < until, f'in {seconds} s never: {script}'
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other: a letter, or a name such as ``ArrowRight``."""
        for key in keys:
            text = {'text': key} if len(key) == 1 else {'text': '\r'} if key == 'Enter' else {}
            self.ask('Input.dispatchKeyEvent', type='keyDown', key=key, **text)
            self.ask('Input.dispatchKeyEvent', type='keyUp', key=key)

    def click(self, selector: str) -> None:
        """Click on the middle of the first element that a selector finds."""
        middle = (
            'e.scrollIntoView({block: "center"}), [b = e.getBoundingClientRect(), b.x + b.width / 2, '
            'b.y + b.height / 2].slice(1)'
        )
        script = f'((e, b) => ({middle}))(document.querySelector({json.dumps(selector)}))'
        self.click_at(*self.evaluate(script))

    def click_at(self, x: float, y: float, button: str = 'left') -> None:
        """Click on a place of the window."""
        self.drag((x, y), (x, y), button)

    def drag(self, start: tuple[float, float], end: tuple[float, float], button: str = 'left') -> None:
        """Press the mouse at one place of the window and let go at another."""
        kinds = (
            ('mouseMoved', start, 0),
            ('mousePressed', start, 1),
            ('mouseMoved', end, 1),
            ('mouseReleased', end, 0),
        )
        for kind, (x, y), buttons in kinds:
            self.ask(
                'Input.dispatchMouseEvent', type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1
            )

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.ask('Input.insertText', text=text)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to an input of a form."""
        root = self.ask('DOM.getDocument')['root']['nodeId']
        node = self.ask('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.ask('DOM.setFileInputFiles', nodeId=node, files=[str(path)])

    def download_to(self, folder: Path) -> None:
        """Where what the page saves goes."""
        self.ask('Browser.setDownloadBehavior', behavior='allow', downloadPath=str(folder))

    def look(self, width: int, height: int, dark: bool = False) -> None:
        """Give the window a size, and the page a light or a dark scheme."""
        self.ask(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
        self.ask('Emulation.setEmulatedMedia', features=[scheme])

    def screenshot(self, path: Path) -> Path:
        """An image of what the window shows."""
        path.write_bytes(base64.b64decode(self.ask('Page.captureScreenshot', format='png')['data']))
        return path


def attribute(dom: str, name: str) -> str:
    """The value of ``data-name`` of the page's body."""
    found = re.search(rf'<body[^>]*\bdata-{name}="([^"]*)"', dom)
    assert found, dom[:500]
    return found[1]
