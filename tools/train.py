"""Train a model: ``python tools/train.py CONFIG [options]``."""

import argparse
import gc
from pathlib import Path

from mmrefseg.runs.loggers import add_loggers, logger_names
from mmrefseg.runs.options import add_run_options, check_checkpoint, check_config, parse_args
from mmrefseg.runs.tool_errors import one_sentence, tool
from mmrefseg.utils import check_output
from mmrefseg.utils.command_line import ToolParser


def build_parser() -> argparse.ArgumentParser:
    """mmdet 3.x's options, and the originals' words for where to start from."""
    parser = ToolParser(description='Train a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on with an interrupted run: from the newest checkpoint in the work directory, or from this',
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument('--load-from', metavar='CHECKPOINT', help='start from these weights, at epoch 1')
    start.add_argument(
        '--finetune-from',
        metavar='CHECKPOINT',
        dest='load_from',
        help='the same: tensors of another shape start anew and are listed in the log',
    )
    parser.add_argument('--seed', type=int, help='of the run and of what is drawn from its training data')
    parser.add_argument('--deterministic', action='store_true', help='deterministic GPU kernels')
    parser.add_argument(
        '--log-to',
        metavar='NAME,...',
        help='also write curves and images to tensorboard, wandb or mlflow, where it is installed',
    )
    add_run_options(parser)
    return parser


@tool
def main(argv: list[str] | None = None) -> None:
    """Train."""
    args = parse_args(build_parser(), argv)
    check_config(args.config)
    args.log_to = logger_names(args.log_to)
    check_output(args.work_dir, '--work-dir', folder=True)
    if args.load_from:
        check_checkpoint(args.load_from)
    if args.resume not in (None, 'auto'):
        check_checkpoint(args.resume)
    train(args)


def train(args: argparse.Namespace) -> None:
    """Train with options whose files are there."""
    from mmrefseg.runs.config import (  # after what needs no torch has been said
        build_runner,
        close_processes,
        load_config,
        resume_from,
        set_amp,
        set_auto_scale_lr,
        set_seed,
        set_terminal,
        set_work_dir,
        start_from,
    )
    from mmrefseg.runs.config_values import check_data_files
    from mmrefseg.runs.terminal import told_how_it_ended

    gc.freeze()  # each data set collects garbage when it is made; not what torch and mmdet consist of
    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    set_terminal(config, args.full_log)
    set_work_dir(config, args.config, args.work_dir)
    check_data_files(config, ('train_dataloader', *(['val_dataloader'] if config.get('val_cfg') else [])))
    add_loggers(config, args.log_to, Path(config.work_dir).name)
    set_seed(config, args.seed, args.deterministic)
    if args.amp:
        set_amp(config)
    if args.auto_scale_lr:
        set_auto_scale_lr(config)
    if not resume_from(config, args.resume):
        start_from(config, args.load_from, training=True)
    with one_sentence(args.config):
        runner = build_runner(config)
    with told_how_it_ended(runner), one_sentence(args.config):
        runner.train()
    del runner  # it holds the process group
    close_processes()


if __name__ == '__main__':
    main()
