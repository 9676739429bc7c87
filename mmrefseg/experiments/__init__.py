from .ablation import Ablation
from .lavt import LavtDemo, lavt_table
from .report import demo_table, write_experiment_report
from .stages import Stage, run_stages
from .study import Network, PartialStudy, Variant

__all__ = [
    'Ablation',
    'LavtDemo',
    'Network',
    'PartialStudy',
    'Stage',
    'Variant',
    'demo_table',
    'lavt_table',
    'run_stages',
    'write_experiment_report',
]
