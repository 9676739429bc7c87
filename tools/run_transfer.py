"""What published weights add on RefShapes and on few real images (docs/encoders.md).

    make transfer ARGS=words                   # a sentence encoder reads words that were never trained on
    make transfer ARGS="words --seeds 0"
    make transfer ARGS=imagenet                # ImageNet's features: steps and minutes to Acc@0.5 of 80
    make transfer ARGS="few-images --data shared/data/mini_refcoco"    # which box is meant

`make test-weights` fetches the weights first. Every stage that is done is kept; after each seed the table so
far is written to work_dirs/experiment/transfer: words.json and words.md, and so for the others.
"""

import argparse
from pathlib import Path

from rich.markdown import Markdown

from mmrefseg.experiments.arguments import seed, tool_parser
from mmrefseg.experiments.few_images import write_few_images
from mmrefseg.experiments.imagenet import ImageNetStudy, write_imagenet
from mmrefseg.experiments.stages import run_stages
from mmrefseg.experiments.words import READERS, WordStudy, write_words
from mmrefseg.utils import check_output, cli, plain_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = tool_parser(__doc__, 'work_dirs/experiment/transfer')
    parser.add_argument('study', choices=list(STUDIES), help='what is asked')
    parser.add_argument(
        '--seeds', type=seed, nargs='+', default=[0, 1, 2], help='of the trainings (default: 0 1 2)'
    )
    parser.add_argument(
        '--readers',
        nargs='+',
        choices=[reader.name for reader in READERS],
        help='of words: what reads the sentences, in the order it runs (default: all)',
    )
    parser.add_argument('--data', metavar='FOLDER', help='of few-images: mini_refcoco, of the test data')
    args = parser.parse_args(argv)
    if (args.data is None) == (args.study == 'few-images'):
        found = (
            'no --data, which few-images reads' if args.data is None else f'{args.study}, which takes none'
        )
        parser.error(f'--data: found {found}; {"name the folder" if args.data is None else "leave it out"}')
    if args.readers and args.study != 'words':
        parser.error(f'--readers: found {args.study}, which has none; leave it out')
    return args


def run_words(args: argparse.Namespace) -> str:
    """Every reader with every seed; returns the table."""
    readers = [reader for reader in READERS if args.readers is None or reader.name in args.readers]
    studies = [
        WordStudy(args.folder / 'words' / f'seed{number}', number, args.size, tuple(args.cfg_options))
        for number in dict.fromkeys(args.seeds)
    ]
    table = ''
    for study in studies:
        study.check(readers)
        study.write_start()
        run_stages(list(study.stages(readers)), study.folder / 'stages')
        table = write_words(studies, args.folder)
    return table


def run_imagenet(args: argparse.Namespace) -> str:
    """Both starts with every seed; returns the table."""
    studies = [
        ImageNetStudy(args.folder / 'imagenet' / f'seed{number}', number, args.size, tuple(args.cfg_options))
        for number in dict.fromkeys(args.seeds)
    ]
    table = ''
    for study in studies:
        study.check()
        run_stages(list(study.stages()), study.folder / 'stages')
        table = write_imagenet(studies, args.folder)
    return table


def run_few_images(args: argparse.Namespace) -> str:
    """All in closed form; returns the table."""
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope

    import mmrefseg.registration  # noqa: F401  (registers the models)

    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('WARNING')  # else every parameter has three lines
    return write_few_images(Path(args.data), args.folder)


STUDIES = {'words': run_words, 'imagenet': run_imagenet, 'few-images': run_few_images}


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    plain_console().print(Markdown(STUDIES[args.study](args)))


if __name__ == '__main__':
    main()
