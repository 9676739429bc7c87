"""Why a model fails: cases of a prediction file, grouped, plotted and drawn. Works for every model."""

from .cases import Case, collect_cases
from .groups import Group, Grouping, all_groupings
from .page import render_page
from .pictures import PictureReader, draw_cases
from .study import FailureStudy

__all__ = [
    'Case',
    'FailureStudy',
    'Group',
    'Grouping',
    'PictureReader',
    'all_groupings',
    'collect_cases',
    'draw_cases',
    'render_page',
]
