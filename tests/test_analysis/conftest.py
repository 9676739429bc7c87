"""A headless browser."""

import os
import shutil

import pytest
from headless_browser import Browser


@pytest.fixture(scope='session')
def browser(tmp_path_factory) -> Browser:
    """Chromium; where it is missing a skip, in CI a failure."""
    program = shutil.which('chromium') or shutil.which('chromium-browser')
    if program is None:
        message = 'found no chromium, which opens the HTML page; apt-get install chromium'
        if os.environ.get('CI', '').lower() in ('', '0', 'false'):
            pytest.skip(message)
        pytest.fail(message)
    return Browser(program, tmp_path_factory.mktemp('browser'))
