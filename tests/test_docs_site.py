"""The documents as a site: it builds without a warning, holds all pages, and loads nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mmdet import registry
from mmengine.registry import Registry

ROOT = Path(__file__).resolve().parents[1]


def load(name: str):
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'docs' / 'site' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hooks, docstrings = load('hooks'), load('docstrings')


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it."""
    recipe = re.search(
        r'^docs:.*\n((?:\t.*\n)+)', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.MULTILINE
    )
    assert 'mkdocs build --strict' in recipe[1]
    folder = tmp_path_factory.mktemp('docs') / 'site'
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'WARNING' not in done.stderr
    return folder


class Loaded(HTMLParser):
    """What a browser fetches by itself for a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == 'link' and given.get('rel') in ('stylesheet', 'icon', 'preconnect', 'preload', 'prefetch'):
            self.found.append(given.get('href') or '')
        elif tag != 'a':
            self.found += [given[key] for key in ('src', 'srcset', 'data', 'poster') if given.get(key)]


def test_what_a_browser_fetches_is_found():
    page = (
        '<link rel="stylesheet" href="//fonts.googleapis.com/x"><a href="https://arxiv.org"><img src="a.png">'
    )
    assert Loaded(page).found == ['//fonts.googleapis.com/x', 'a.png']


def test_nothing_comes_from_elsewhere(site):
    pages = sorted(site.rglob('*.html'))
    assert len(pages) >= 40
    for page in pages:
        loaded = Loaded(page.read_text(encoding='utf-8')).found
        assert len(loaded) >= 5, page
        for address in loaded:
            assert not re.match(r'(\w+:)?//', address), f'{page.relative_to(site)}: {address}'
    for style in site.rglob('*.css'):
        text = style.read_text(encoding='utf-8')
        assert not re.search(r'(@import|url\()\s*["\']?(\w+:)?//', text), style.name


def test_every_page_is_in_the_navigation():
    """In that of docs/README.md, which is the site's; pages of it that are not there end the build."""
    nav = hooks.navigation((ROOT / hooks.INDEX).read_text(encoding='utf-8'))
    assert [title for section in nav for title in section] == [
        'Start here', 'Recipes', 'Systems', 'Data and formats', 'Reference', 'Inside',
    ]  # fmt: skip
    listed = [
        page for section in nav for pages in section.values() for each in pages for page in each.values()
    ]
    assert len(listed) == len(set(listed))
    there = {path.name for path in (ROOT / 'docs').glob('*.md')} | set(
        map(hooks.site_path, hooks.pages_outside())
    )
    assert set(listed) == there


def test_links_lead_to_pages_of_the_site():
    text = '[a](../configs/lavt/README.md#x) ![b](images/b.png) [c](text.md) [d](#e) [f](https://g.h)\n'
    fenced = '```\n[a](../configs/lavt/README.md)\n```\n'
    assert hooks.led_to_pages(text + fenced, 'docs/own_data.md') == (
        '[a](configs/lavt/index.md#x) ![b](images/b.png) [c](text.md) [d](#e) [f](https://g.h)\n' + fenced
    )
    assert hooks.led_to_pages('[a](docs/text.md) [b](CITATION.cff)', 'README.md') == '[a](text.md) b'
    assert hooks.led_to_pages('[a](../../docs/lavt.md)', 'configs/lavt/README.md') == '[a](../../lavt.md)'
    assert hooks.led_to_pages('[a](../refiner.md)', 'docs/notebooks/x.ipynb') == '[a](../refiner.md)'


def test_docstrings_become_markdown():
    text = 'See :func:`~a.b` and :class:`.C`.\n\n>>> 1 + 1\n2\n\nMore.'
    assert docstrings.as_markdown(text) == 'See `a.b` and `C`.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore.'


def test_all_that_a_config_can_name_is_in_the_api(site):
    """Each class of the package in mmdet's registries has its place in the page of its room."""
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    ours = {
        kind
        for each in registries
        for kind in each.module_dict.values()
        if kind.__module__.startswith('mmrefseg.')
    }
    assert len(ours) >= 50
    pages = {room: (site / 'api' / f'{room}.html').read_text(encoding='utf-8') for room in hooks.ROOMS}
    absent = [
        name
        for name in sorted(f'{kind.__module__}.{kind.__qualname__}' for kind in ours if kind.__doc__)
        if f'id="{name}"' not in pages.get(name.split('.')[1], '')
    ]
    assert not absent


def test_the_python_api(site):
    page = (site / 'api.html').read_text(encoding='utf-8')
    for name in ('load', 'apis.predictor.Predictor.predict', 'apis.prediction.Prediction.to_coco'):
        assert f'id="mmrefseg.{name}"' in page
    assert ':func:' not in page and ':class:' not in page
    # meaning and exceptions of a parameter, from the docstring
    assert 'By default the' in page or 'by default the' in page
    assert page.count('UserInputError') >= 3


def test_search_from_a_folder(site, browser):
    """Opened without a server, the pages complain of nothing, and the search finds."""
    with browser.open(site / 'index.html') as tab:
        tab.evaluate("document.querySelector('.md-search__input').focus()")
        tab.evaluate(
            "(field => { field.value = 'nested samples'; field.dispatchEvent(new Event('keyup')); })"
            "(document.querySelector('.md-search__input'))"
        )
        tab.wait_for("document.querySelectorAll('.md-search-result__item a').length > 0")
        found = tab.evaluate("document.querySelector('.md-search-result__list').innerText")
        assert not tab.log
    assert 'sample' in found.lower()
