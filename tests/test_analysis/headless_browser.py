"""Chromium without a window."""

import re
import subprocess
from pathlib import Path

CHROMIUM = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
)  # fmt: skip


class Browser:
    """Opens a local page without a window."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self._opened = 0

    def run(self, *args: str) -> str:
        """Run the browser with a profile of its own; returns what it prints."""
        self._opened += 1
        profile = self.folder / f'profile{self._opened}'
        command = [self.program, *CHROMIUM, f'--user-data-dir={profile}', *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def dom(self, page: Path) -> str:
        """The page's elements after its scripts have run."""
        return self.run('--virtual-time-budget=10000', '--dump-dom', page.as_uri())

    def screenshot(self, page: Path, path: Path, width: int = 1280, height: int = 3000) -> Path:
        """An image of the page's upper part."""
        self.run(f'--window-size={width},{height}', f'--screenshot={path}', page.as_uri())
        return path


def attribute(dom: str, name: str) -> str:
    """The value of ``data-name`` of the page's body."""
    found = re.search(rf'<body[^>]*\bdata-{name}="([^"]*)"', dom)
    assert found, dom[:500]
    return found[1]
