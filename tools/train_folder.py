"""Train on a folder of photos: find what is known of them, write the configs, train, score.

    python tools/train_folder.py my_folder/
    python tools/train_folder.py my_folder/ --folder work_dirs/mine --dry-run    # look at the configs first

The folder holds photos and annotations: boxes, sentences, masks of some objects, in any format of
docs/formats.md. What was found, chosen and made lies in the folder of the run: instances.json, boxes.py,
masks.py, the logs, the checkpoints (masks/best.pth) and val.json. What is done is not done again:
after a stop the same command goes on from the last checkpoint.
"""

import argparse
from pathlib import Path

from mmrefseg.datasets.converters.own_folder import read_own_folder
from mmrefseg.experiments.arguments import key_value, named_folder, positive, seed
from mmrefseg.experiments.own_folder import (
    check_options,
    check_times,
    choose,
    free_memory,
    hint,
    keep_choices,
    kept_choices,
    named_scores,
    own_stages,
    write_own_run,
)
from mmrefseg.experiments.stages import run_stages
from mmrefseg.runs.loggers import logger_names
from mmrefseg.utils import UserInputError, check_output, cli, load_json
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', help='the folder of photos and annotations')
    parser.add_argument(
        '--folder', type=named_folder, help='where results go (default: work_dirs/<name of the folder>)'
    )
    parser.add_argument(
        '--annotations', metavar='JSON', help='of the working format, instead of those in the folder'
    )
    parser.add_argument('--dry-run', action='store_true', help='write and print the configs, train nothing')
    parser.add_argument(
        '--image-size', type=positive, metavar='PIXELS', help="the side of the network's image"
    )
    parser.add_argument(
        '--steps', type=float, default=1.0, metavar='FACTOR', help='train so many times as long (default: 1)'
    )
    parser.add_argument('--seed', type=seed, default=0, help='default: %(default)s')
    parser.add_argument(
        '--cfg-options', type=key_value, nargs='+', default=[], metavar='KEY=VALUE', help='for both trainings'
    )
    parser.add_argument(
        '--log-to',
        metavar='NAME,...',
        help='both trainings also write to tensorboard, wandb or mlflow, where it is installed',
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> int:
    """Look, choose, write, train."""
    args = parse_args(argv)
    check_times(args.steps)
    loggers = logger_names(args.log_to)
    folder = args.folder or Path('work_dirs') / (Path(args.data).resolve().name or 'folder')
    check_output(folder, '--folder', folder=True)
    if folder.resolve() == Path(args.data).resolve():
        raise UserInputError.of(
            f'--folder {folder}', 'the folder of the photos', 'one of the run alone', 'choose another'
        )
    data = read_own_folder(args.data, args.annotations)
    print(data.summary())
    for remark in data.remarks:
        print(f'note: {remark}')
    asked = {'image_size': args.image_size, 'steps': args.steps}
    choices = kept_choices(folder, asked) or choose(data, free_memory(), args.image_size, args.steps)
    configs = write_own_run(data, choices, folder)
    check_options(configs, args.cfg_options)
    keep_choices(choices, folder, asked)
    if args.dry_run:
        print(*(path.read_text(encoding='utf-8') for path in configs), sep='\n')
    print(
        f'images of {choices.image_size} pixels, {choices.batch_size} a step; '
        f'{choices.box_epochs} epochs for boxes, {choices.mask_epochs} for masks: {configs[0]}, {configs[1]}'
    )
    if args.dry_run:
        return 0
    seconds = run_stages(own_stages(folder, choices, args.seed, args.cfg_options, loggers), folder / 'stages')
    scores = load_json(folder / 'val.json')
    print(f'on val: {named_scores(scores)}')
    if hint(scores):
        print(hint(scores))
    print(f'trained in {seconds / 60:.1f} minutes: {folder / "masks" / "best.pth"}, with {configs[1]}')
    return 0


if __name__ == '__main__':
    main()
