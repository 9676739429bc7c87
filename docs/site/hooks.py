"""What mkdocs does not do by itself, for ``make docs``.

- The navigation is that of docs/README.md: its sections are the tabs, the first link of each row a page.
- Pages of the repository that lie outside of docs/ (the README, those beside configs, the changes) are pages
  of the site, too, and so are the notebooks. Links stay as GitHub follows them; here they lead to the pages.
- A page for each room of the package is made from the docstrings of what a config can name.
"""

import json
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
INDEX = 'docs/README.md'
OUTSIDE = ('README.md', 'CHANGELOG.md', 'data/README.md', 'work_dirs/README.md', 'configs/*/README.md')
FENCE = re.compile(r'(^```.*?^```$)', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'(!?\[[^\]]*\])\(([^)\s]+)\)')
# The folders of the package with something to call or to name in a config, in the order in which data goes
# through them, and whether all their modules are shown or only those that register something.
ROOMS = {
    'structures': True,
    'codecs': True,
    'datasets': False,
    'models': False,
    'evaluation': True,
    'pseudo_labels': True,
    'engine': False,
    'visualization': False,
}


def site_path(path: str) -> str:
    """Where a file of the repository lies among the site's sources; '' for one that is no page.

    Args:
        path: From the root of the repository, with forward slashes.
    """
    if path.endswith('.ipynb'):
        return posixpath.relpath(path, 'docs').removesuffix('.ipynb') + '.md'
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    if not any(Path(path).match(pattern) for pattern in OUTSIDE):
        return ''
    folder = posixpath.dirname(path)
    return f'{folder}/index.md' if folder else path.lower()


def pages_outside() -> list[str]:
    """The pages that are not in docs/, and the notebooks, from the root of the repository."""
    patterns = (*OUTSIDE, 'docs/notebooks/*.ipynb')
    return sorted(path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern))


def navigation(index: str) -> list[dict[str, list[dict[str, str]]]]:
    """The site's navigation, as mkdocs.yml would have it.

    Args:
        index: The text of docs/README.md: headings of the second level, each with a table below whose rows
            start with the link to a page.
    """
    nav = []
    for section in re.split(r'^## ', index, flags=re.MULTILINE)[1:]:
        heading, _, rest = section.partition('\n')
        rows = re.findall(r'^\| \[([^\]]+)\]\(([^)#]+)\)', rest, re.MULTILINE)
        pages = [{title: site_path(posixpath.normpath(f'docs/{link}'))} for title, link in rows]
        if pages:
            nav.append({heading.strip(): pages})
    if not nav:
        raise PluginError(f'{INDEX}: found no section with a table of pages, expected the navigation')
    nav[0] = {key: [{'Home': 'README.md'}, *pages] for key, pages in nav[0].items()}
    return nav


def led_to_pages(text: str, source: str) -> str:
    """The text of a page whose links lead to pages of the site.

    Args:
        text: Markdown, with links as they hold in the repository.
        source: The page it comes from, from the root of the repository.
    """

    def lead(match: re.Match) -> str:
        words, target = match.groups()
        path, mark, anchor = target.partition('#')
        if '://' in target or not path:
            return match[0]
        page = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), path)))
        if not page:
            return words[1:-1]  # a file that is not on the site, such as a licence: its name stays
        here = posixpath.dirname(site_path(source)) or '.'
        return f'{words}({posixpath.relpath(page, here)}{mark}{anchor})'

    parts = FENCE.split(text)
    return ''.join(part if part.startswith('```') else LINK.sub(lead, part) for part in parts)


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: its text, and its code without what it has printed."""
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    texts = ((cell['cell_type'], ''.join(cell['source'])) for cell in cells)
    return '\n\n'.join(
        text if kind == 'markdown' else f'```python\n{text.rstrip()}\n```' for kind, text in texts
    )


def room_page(room: str, whole: bool) -> str:
    """A room's page: the docstring of the room, then its modules."""
    folder = ROOT / 'mmrefseg' / room
    text = [f'# mmrefseg.{room}', '']
    for path in sorted(folder.rglob('*.py')):
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        if path.name.startswith('_'):
            continue
        if whole or 'register_module' in path.read_text(encoding='utf-8'):
            text += [f'::: {module}', '']
    return '\n'.join(text)


def generated_pages() -> dict[str, Callable[[], str]]:
    """The pages that are not in docs/: where they lie, and what makes their text."""
    pages: dict[str, Callable[[], str]] = {}
    for path in pages_outside():
        read = notebook_page if path.endswith('.ipynb') else lambda file: file.read_text(encoding='utf-8')
        pages[site_path(path)] = lambda path=path, read=read: led_to_pages(read(ROOT / path), path)
    for room, whole in ROOMS.items():
        pages[f'api/{room}.md'] = lambda room=room, whole=whole: room_page(room, whole)
    return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from docs/README.md, and add the rooms behind the last page of the API."""
    os.chdir(ROOT)  # paths of sources in mkdocs.yml
    config.nav = navigation((ROOT / INDEX).read_text(encoding='utf-8'))
    rooms = [{room: f'api/{room}.md'} for room in ROOMS]
    next(pages for section in config.nav for title, pages in section.items() if title == 'Reference').append(
        {'Modules by room': rooms}
    )
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for path, text in generated_pages().items():
        files.append(File.generated(config, path, content=text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page in docs/ to the pages of the site."""
    return markdown if page.file.generated_by else led_to_pages(markdown, f'docs/{page.file.src_uri}')
