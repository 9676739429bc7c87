"""One progress bar for every long loop of the package, and the console that tables are printed on."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # rich takes a tenth of a second to import, and most imports of this module draw nothing
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar('T')
# `extra` of a log record: shown on the terminal although it is no line of an interval, or never shown there
ON_TERMINAL = {'terminal': True}
FILE_ONLY = {'terminal': False}


def plain_console(stderr: bool = False) -> 'Console':
    """A rich console on which names stay what they are: ``[/red]`` in a category is no markup, ``:cat:`` no
    emoji."""
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout, markup=False, emoji=False)


def progress_bar() -> 'Progress':
    """A rich progress bar on stderr: description, bar, count, elapsed and remaining time."""
    from rich import progress

    return progress.Progress(
        progress.TextColumn('{task.description}'),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=plain_console(stderr=True),
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` with a progress bar on stderr.

    Args:
        items: What to go through.
        description: What is being done, in a few words.
        total: The number of items, where ``len(items)`` does not tell.
    """
    if total is None and hasattr(items, '__len__'):
        total = len(items)
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)
