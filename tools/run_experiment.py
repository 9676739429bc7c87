"""The paper's table in small: 1, 5 and 10 % of the masks, with and without pseudo masks, by two networks.

    make experiment                            # hours on two cores; stop and start it as you like
    make experiment ARGS="--networks partial-res --ratios 5"
    make experiment ARGS=--ablation            # what each part of BoxFrame adds, one seed
    make experiment ARGS=--rivals              # ways to learn without masks, on BoxRefiner (docs/refiner.md)
    make experiment ARGS="--rivals ceiling rpp --ratios 1"
    make experiment ARGS=--choice              # half of the masks, chosen, against masks at random

Both start from one boxes-only network. Every stage that is done is kept. After each seed the table so far is
written to work_dirs/experiment: summary.json, table.md and miou.png; ablation.json and .md, rivals.json and
.md, choice.json and .md with the options of these names. Seeds may run side by side (--seeds 0 in one
terminal, --seeds 1 in another, each with OMP_NUM_THREADS=1); the same command with all of them then makes the
table.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.markdown import Markdown

from mmrefseg.experiments.ablation import Ablation
from mmrefseg.experiments.arguments import positive, seed, tool_parser
from mmrefseg.experiments.choice import ChoiceStudy, write_choice
from mmrefseg.experiments.experiment_tables import LABELS, markdown_table, write_experiment_report
from mmrefseg.experiments.few_masks import (
    BOX_REFINER,
    NETWORKS,
    SELECTIONS,
    SHIPPED_REC,
    PartialStudy,
    Variant,
)
from mmrefseg.experiments.rivals import METHODS, SHARES, RivalStudy
from mmrefseg.experiments.rivals_table import read_rivals, write_rivals
from mmrefseg.experiments.stages import run_stages
from mmrefseg.utils import check_output, cli, plain_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = tool_parser(__doc__, 'work_dirs/experiment')
    parser.add_argument(
        '--seeds',
        type=seed,
        nargs='+',
        default=[0, 1, 2],
        help='the table shows their mean and spread (default: 0 1 2); --ablation takes the first',
    )
    parser.add_argument(
        '--networks',
        nargs='+',
        choices=[name for name in NETWORKS if name != BOX_REFINER.name],
        help='in the order they run (default: partial-res box-frame); --rivals are of BoxRefiner',
    )
    parser.add_argument(
        '--ratios',
        type=int,
        nargs='+',
        choices=(0, 1, 5, 10, 100),
        help='percent of masks, in the order they run; 100 is the ceiling, 0 is for --rivals alone '
        '(default: 5 100 1 10; of --rivals 0 1 5 10, and what learns from all masks always)',
    )
    parser.add_argument(
        '--selections',
        nargs='+',
        choices=list(SELECTIONS),
        help='what joins the masks, in the order it runs (default: all)',
    )
    add_start_and_mode(parser)
    args = parser.parse_args(argv)
    if args.rec_epochs and not args.ablation:
        parser.error(
            '--rec-epochs: found no --ablation, which it belongs to; add it, or leave --rec-epochs out'
        )
    if args.earlier and args.rivals is None:
        parser.error('--earlier: found no --rivals, which it belongs to; add it, or leave --earlier out')
    if args.choice:
        refuse(parser, args, '--choice', ('from_scratch', 'networks', 'selections', 'ratios'))
    if args.rivals is None and 0 in (args.ratios or ()):
        parser.error('--ratios: found 0, which no network of the table can learn from; add --rivals')
    if args.rivals is not None:
        refuse(parser, args, '--rivals', ('from_scratch', 'networks', 'selections'))
    return args


def refuse(
    parser: argparse.ArgumentParser, args: argparse.Namespace, mode: str, options: Iterable[str]
) -> None:
    """Say which option was given in vain."""
    for option in options:
        if getattr(args, option):
            name = option.replace('_', '-')
            parser.error(f'--{name}: found {mode}, which does without it; leave one of the two out')


def add_start_and_mode(parser: argparse.ArgumentParser) -> None:
    """What everything starts from, and what runs instead of the table."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        '--rec',
        default=SHIPPED_REC,
        metavar='CHECKPOINT',
        help='the boxes-only network that all start from (default: %(default)s)',
    )
    start.add_argument(
        '--from-scratch', action='store_true', help='train the boxes-only network too, one per seed'
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument('--ablation', action='store_true', help='what each part of BoxFrame adds, instead')
    instead.add_argument(
        '--rivals',
        nargs='*',
        choices=[method.name for method in METHODS],
        metavar='METHOD',
        help='ways to learn from boxes without masks, instead: all, or some of '
        + ', '.join(method.name for method in METHODS),
    )
    instead.add_argument(
        '--choice',
        action='store_true',
        help='half of the masks, chosen by choose_masks_to_draw.py, against masks at random, instead; '
        'the network of the first seed chooses',
    )
    parser.add_argument(
        '--earlier',
        type=Path,
        metavar='FILE',
        help='with --rivals: a rivals.json of seeds that ran elsewhere, which join the table '
        '(docs/results/rivals.json has those of the documents)',
    )
    parser.add_argument(
        '--rec-epochs',
        type=positive,
        metavar='N',
        help="with --ablation: epochs of the trainings from boxes only (default: the configs')",
    )


def make_study(args: argparse.Namespace, seed: int, network: str) -> PartialStudy:
    """One network with one seed; the networks of a seed share its sample and its boxes-only network."""
    shared = args.folder / f'seed{seed}'
    return PartialStudy(
        shared / network,
        seed,
        args.size,
        options=tuple(args.cfg_options),
        network=NETWORKS.get(network, NETWORKS['box-frame']),
        rec=None if args.from_scratch else args.rec,
        shared=shared,
    )


def run_shared(study: PartialStudy) -> None:
    """What the networks of a seed have in common."""
    run_stages([study.data(), study.samples((1, 5, 10)), *study.rec()], study.shared / 'stages')


def run_table(args: argparse.Namespace) -> str:
    """Every network with every seed; returns the table."""
    seeds, ratios = dict.fromkeys(args.seeds), dict.fromkeys(args.ratios or (5, 100, 1, 10))
    networks = args.networks or ('partial-res', 'box-frame')
    studies = [make_study(args, seed, network) for network in networks for seed in seeds]
    variants = [Variant(ratio, name) for ratio in (1, 5, 10) for name in LABELS] + [Variant(100)]
    for study in studies:
        run_shared(study)
        run_stages(study.stages(ratios, args.selections or SELECTIONS), study.folder / 'stages')
        summary = write_experiment_report(studies, variants, args.folder)
    return markdown_table(summary)


def run_ablation(args: argparse.Namespace) -> str:
    """Every part with the first seed; returns the table."""
    study = make_study(args, args.seeds[0], 'ablation')
    ablation = Ablation(study, args.rec_epochs)
    run_shared(study)
    run_stages(list(ablation.stages()), study.folder / 'stages')
    return ablation.write_report()


def make_rivals(args: argparse.Namespace, seed: int, kind: type[RivalStudy], **more) -> RivalStudy:
    """A study of the refiner with one seed; those of one seed share their trainings."""
    shared = args.folder / f'seed{seed}'
    options = tuple(args.cfg_options)
    return kind(shared / 'rivals', seed, args.size, options=options, rec=args.rec, shared=shared, **more)


def run_samples(study: RivalStudy) -> None:
    """The data, and the masks that are known."""
    run_stages([study.data(), study.samples((1, 5, 10), ('--no-masks',))], study.shared / 'stages')


def run_choice(args: argparse.Namespace) -> str:
    """Chosen masks and masks at random with every seed; returns the table."""
    table, studies = '', []
    for seed_ in dict.fromkeys(args.seeds):
        chooser = studies[0] if studies else None
        studies.append(make_rivals(args, seed_, ChoiceStudy, chooser=chooser))
    for study in studies:
        run_samples(study)
        run_stages(list(study.stages()), study.folder / 'stages')
        table = write_choice(studies, args.folder)
    return table


def run_rivals(args: argparse.Namespace) -> str:
    """Every method with every seed; returns the table."""
    table = ''
    studies = [make_rivals(args, seed_, RivalStudy) for seed_ in dict.fromkeys(args.seeds)]
    if args.earlier:
        read_rivals(args.earlier, studies[0])  # before hours of training
    for study in studies:
        run_samples(study)
        shares = [share for share in dict.fromkeys(args.ratios or SHARES) if share in SHARES]
        run_stages(list(study.stages(shares, args.rivals or None)), study.folder / 'stages')
        table = write_rivals(studies, args.folder, args.earlier)
    return table


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    run = run_table if args.rivals is None else run_rivals
    if args.ablation or args.choice:
        run = run_ablation if args.ablation else run_choice
    plain_console().print(Markdown(run(args)))


if __name__ == '__main__':
    main()
