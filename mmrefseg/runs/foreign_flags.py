"""Flags that other projects' tools have and ours lack: what to write instead."""

import argparse
import sys

from ..utils.errors import UserInputError

MMDET2, MMDET3, DETECTRON2 = 'mmdet 2.x', 'mmdet 3.x', 'detectron2'
FLAGS = {
    '--resume-from': (MMDET2, '--resume CHECKPOINT'),
    '--auto-resume': (MMDET2, '--resume without a name, which takes the newest checkpoint'),
    '--no-validate': (MMDET2, '--cfg-options val_cfg=None val_dataloader=None val_evaluator=None'),
    '--gpus': (MMDET2, 'tools/dist_train.sh CONFIG GPUS'),
    '--gpu-ids': (MMDET2, 'CUDA_VISIBLE_DEVICES=0 before the command'),
    '--gpu-id': (MMDET2, 'CUDA_VISIBLE_DEVICES=0 before the command'),
    '--diff-seed': (MMDET2, '--seed: each process draws its own anyway'),
    '--options': (MMDET2, '--cfg-options KEY=VALUE'),
    '--eval': (MMDET2, 'nothing: a test computes the metrics of the config (test_evaluator)'),
    '--eval-options': (MMDET2, '--options KEY=VALUE'),
    '--fuse-conv-bn': (MMDET2, 'nothing: networks are accelerated anyway (accelerate in the config)'),
    '--gpu-collect': (MMDET2, 'nothing: results are gathered anyway'),
    '--tmpdir': (MMDET2, 'nothing: results are gathered anyway'),
    '--show-score-thr': (MMDET2, '--cfg-options default_hooks.visualization.score_thr=0.3'),
    '--config-file': (DETECTRON2, 'the config as the first word'),
    '--num-gpus': (DETECTRON2, 'tools/dist_train.sh CONFIG GPUS'),
    '--eval-only': (DETECTRON2, 'tools/test.py CONFIG CHECKPOINT'),
}
"""Flag -> whose it is, and what to write here."""
DEMO_FLAGS = {
    '--out-dir': (MMDET3, '--output PATH'),
    '--out-file': (MMDET2, '--output PATH'),
    '--pred-score-thr': (MMDET3, '--confidence-threshold P'),
    '--score-thr': (MMDET2, '--confidence-threshold P'),
    '--texts': (MMDET3, "--text 'the red car' ..."),
    '--palette': (MMDET3, '--color-mode'),
}


def refuse_foreign(
    parser: argparse.ArgumentParser,
    argv: list[str] | None = None,
    flags: dict[str, tuple[str, str]] = FLAGS,
) -> None:
    """See that a command line has no flag of another project that the parser lacks.

    Args:
        parser: Of the tool.
        argv: The words; None for those of the process.
        flags: See :data:`FLAGS`.

    Raises:
        UserInputError: With what to write instead.
    """
    for word in sys.argv[1:] if argv is None else argv:
        flag = word.split('=')[0]
        if flag in flags and flag not in parser._option_string_actions:
            whose, instead = flags[flag]
            raise UserInputError.of(flag, f"{whose}'s flag", 'one of this tool (--help)', f'write {instead}')
