from .drawing import draw_case, draw_overlay, make_grid, save_grid
from .local_visualizer import RefVisualizer, cases_of

__all__ = ['RefVisualizer', 'cases_of', 'draw_case', 'draw_overlay', 'make_grid', 'save_grid']
