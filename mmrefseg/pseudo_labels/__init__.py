"""Stage 3 of Partial-RES: score the predictions of a model that saw few masks, and keep those to learn from.

Knows nothing of models: predictions come as files.
"""

from .legacy import legacy_projection_term
from .prediction_shards import PredictionStore, prediction_files, write_annotations
from .projection import projection_term, projection_terms
from .scoring import STRATEGIES, Candidate, agreement, choose_best, judge, vote_of_all
from .selection import COMBINE, Outcome, Selector, select
from .selection_report import compare_with_truth, summarise_selection

__all__ = [
    'COMBINE',
    'STRATEGIES',
    'Candidate',
    'Outcome',
    'PredictionStore',
    'Selector',
    'agreement',
    'choose_best',
    'compare_with_truth',
    'judge',
    'legacy_projection_term',
    'prediction_files',
    'projection_term',
    'projection_terms',
    'select',
    'summarise_selection',
    'vote_of_all',
    'write_annotations',
]
