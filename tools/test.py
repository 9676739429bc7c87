"""Test a model: ``python tools/test.py CONFIG CHECKPOINT [options]``."""

import argparse
import gc
import os

from mmrefseg.runs.options import (
    TEXT_KEYS,
    KeyValueAction,
    add_run_options,
    check_checkpoint,
    check_config,
    check_prefix,
    parse_args,
)
from mmrefseg.runs.tool_errors import one_sentence, tool
from mmrefseg.utils import UserInputError, check_output, dump_json
from mmrefseg.utils.command_line import ToolParser


def build_parser() -> argparse.ArgumentParser:
    """mmdet 3.x's options, mmdet 2.x's for submissions, and the originals' words."""
    parser = ToolParser(description='Test a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file')
    parser.add_argument('--load-from', '--finetune-from', metavar='CHECKPOINT', help='the same as CHECKPOINT')
    parser.add_argument(
        '--which-set', metavar='SPLIT', help='split to test on: train, val, testA, testB, test'
    )
    parser.add_argument(
        '--format-only',
        action='store_true',
        help='write the predictions for a submission, compute no metrics',
    )
    parser.add_argument(
        '--options',
        nargs='+',
        action=KeyValueAction,
        default={},
        metavar='KEY=VALUE',
        help='for the metrics: jsonfile_prefix=PATH (of the predictions, without ending), protocol=avg, ...',
    )
    parser.add_argument('--json', metavar='FILE', help='write the metrics to this json file')
    parser.add_argument('--out', metavar='FILE', help='write all predictions to this pickle file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument(
        '--show-dir', help='draw the predictions into this folder (if relative, below work_dir/<time stamp>)'
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds between two windows of --show')
    parser.add_argument('--tta', action='store_true', help="the config's test-time augmentation")
    add_instance_options(parser)
    add_run_options(parser)
    return parser


def add_instance_options(parser: argparse.ArgumentParser) -> None:
    """What instance segmentation has besides."""
    parser.add_argument(
        '--classwise', action='store_true', help='AP of each class too (instance segmentation)'
    )
    parser.add_argument(
        '--submission-keys',
        metavar='KEY,KEY,...',
        help='what each line of the .segm.json of --format-only holds: some of image_id, bbox, score, '
        'category_id, segmentation (default: all)',
    )


def instance_options(args: argparse.Namespace) -> dict[str, object]:
    """The same, as arguments of the metric by the flag that the user wrote."""
    if args.submission_keys and not args.format_only:
        raise UserInputError.of(
            '--submission-keys', 'no --format-only', 'both or none', 'add --format-only to write a submission'
        )
    given = {'classwise': args.classwise, 'submission_keys': args.submission_keys}
    return {key: value for key, value in given.items() if value}


def chosen_checkpoint(args: argparse.Namespace) -> str:
    """The one checkpoint of the command line."""
    given = {path for path in (args.checkpoint, args.load_from) if path is not None}
    if len(given) != 1:
        found = f'{len(given)} checkpoints' if given else 'no checkpoint'
        raise UserInputError.of('tools/test.py', found, 'one', 'write CONFIG CHECKPOINT')
    return given.pop()


def check_outputs(args: argparse.Namespace) -> None:
    """See that what the test writes at its end can be written."""
    check_output(args.work_dir, '--work-dir', folder=True)
    check_output(args.json, '--json')
    check_output(args.out, '--out')
    if args.show_dir and os.path.isabs(args.show_dir):
        check_output(args.show_dir, '--show-dir', folder=True)
    for key in TEXT_KEYS:
        if key in args.options:
            check_prefix(args.options[key], f'--options {key}')


@tool
def main(argv: list[str] | None = None) -> None:
    """Test."""
    args = parse_args(build_parser(), argv)
    checkpoint = chosen_checkpoint(args)
    check_config(args.config)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserInputError.of(
            f'--out {args.out}',
            'another ending',
            '.pkl',
            'for json use --format-only (predictions) or --json',
        )
    check_outputs(args)
    check_checkpoint(checkpoint)
    test(args, checkpoint)


def test(args: argparse.Namespace, checkpoint: str) -> None:
    """Test with options whose files are there."""
    from mmrefseg.engine.hooks.checkpoint_hooks import begin_metrics
    from mmrefseg.runs.config import (  # after what needs no torch has been said
        build_runner,
        close_processes,
        load_config,
        set_terminal,
        set_work_dir,
        start_from,
    )
    from mmrefseg.runs.config_values import check_data_files
    from mmrefseg.runs.testing import (
        build_test_metrics,
        change_for_testing,
        prediction_dump,
        print_table,
        summarize,
    )

    gc.freeze()  # each data set collects garbage when it is made; not what torch and mmdet consist of
    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    config.resume = False
    set_terminal(config, args.full_log)
    set_work_dir(config, args.config, args.work_dir)
    start_from(config, checkpoint)
    change_for_testing(config, args, instance_options(args))
    check_data_files(config, ('test_dataloader',))
    with one_sentence(args.config):
        runner = build_runner(config)
        begin_metrics(build_test_metrics(runner), config.load_from)
        if args.out:
            runner.test_evaluator.metrics.append(prediction_dump(args.out))
        metrics = runner.test()
    if runner.rank == 0:
        print_table(config, runner.test_evaluator, metrics)
        if args.json:
            dump_json(summarize(config, args.config, runner.test_evaluator, metrics), args.json, indent=2)
    del runner  # it holds the process group
    close_processes()


if __name__ == '__main__':
    main()
