"""The study as one HTML file that needs nothing else: pictures are embedded."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from .cases import Case
from .study import FailureStudy

TITLES = {
    'all_density': 'Density of IoU, all cases',
    'failure_density': 'Density of IoU, failures',
    'cumulative': 'Cases that reach a threshold',
}


def data_uri(content: bytes, kind: str) -> str:
    """A file as the text of a ``src`` attribute; ``kind`` is ``png`` or ``jpeg``."""
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'


def render_page(
    study: FailureStudy,
    plots: Mapping[str, bytes],
    sections: Sequence[tuple[str, Sequence[tuple[Case, bytes]]]],
    title: str,
) -> str:
    """The whole page.

    Args:
        study: Its numbers and groups.
        plots: PNG files by name (:meth:`FailureStudy.plots`).
        sections: Title and drawn cases (:meth:`FailureStudy.draw`); may be empty.
        title: Of the page.

    Returns:
        HTML.
    """
    template = resources.files(__package__).joinpath('templates', 'failures.html').read_text(encoding='utf-8')
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(
        title=title,
        study=study,
        numbers=study.numbers,
        uri=data_uri,
        plots=plots,
        overview=[(TITLES[name], content) for name, content in plots.items() if name in TITLES],
        sections=sections,
        categories=study.categories or {},
        num_pictures=len(plots) + sum(len(members) for _, members in sections),
    )
