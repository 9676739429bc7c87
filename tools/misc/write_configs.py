"""Write the configs that repeat one another: a stage on another data set, or from another share of the masks.

    python tools/misc/write_configs.py            # after an edit: bring the copies up to date
    python tools/misc/write_configs.py --check    # exit code 1 and their names, if some are not

One file of each kind is edited by hand, that of the first data set (and of 5 % of the masks). The others are
copies with the other's names in it: whole configs, to be read, searched and run without this script.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from mmrefseg.utils import atomic_write, check_output, cli
from mmrefseg.utils.command_line import ToolParser

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Data set: how a sentence calls it.
TITLES = {
    'refcoco-unc': 'RefCOCO',
    'refcocoplus-unc': 'RefCOCO+',
    'refcocog-umd': 'RefCOCOg (UMD split)',
    'refcocog-google': 'RefCOCOg (Google split)',
    'referit': 'ReferIt',
    'flickr30k': 'Flickr30k Entities',
}
THREE = ('refcoco-unc', 'refcocoplus-unc', 'refcocog-umd')
FOUR = (*THREE, 'refcocog-google')
ENCODERS = ('dinov3-b', 'siglip2-b', 'convnext-b', 'swin-b')


class Kind(NamedTuple):
    """Files that differ in names only.

    Attributes:
        name: Path below ``configs/``; ``{share}`` is 05 in the file that is edited.
        datasets: Keys of :data:`TITLES`; the first is that of the file that is edited.
        shares: Percent of the masks, where the name has one.
    """

    name: str
    datasets: tuple[str, ...]
    shares: tuple[int, ...] = (5,)

    def path(self, dataset: str, share: int = 5) -> str:
        """The file of a data set and a share."""
        return self.name.format(share=f'm{share:02d}') + f'_{dataset}.py'


KINDS = (
    Kind('partial_res/partial-res_darknet53_rec', THREE),
    Kind('partial_res/partial-res_darknet53_m100', THREE),
    Kind('partial_res/partial-res_darknet53_{share}', THREE, (1, 5, 10)),
    Kind('partial_res/partial-res_darknet53_{share}-pseudo', THREE, (1, 5, 10)),
    Kind('partial_res/partial-res_darknet53_{share}-retrain', THREE, (1, 5, 10)),
    Kind('seqtr/seqtr_darknet53_rec', FOUR),
    Kind('seqtr/seqtr_darknet53_rec', ('referit', 'flickr30k')),
    Kind('seqtr/seqtr_darknet53_res', FOUR),
    Kind('seqtr/seqtr_darknet53_multi-task', FOUR),
    Kind('seqtr/seqtr_darknet53_rec_mixed-finetune', THREE),
    Kind('lavt/lavt_swin-b-w12_480', FOUR),
    Kind('lavt/lavt_swin-b-w12_480_{share}', THREE),
    Kind('lavt/lavt_swin-b-w12_480_{share}-pseudo', THREE),
    Kind('lavt/lavt_swin-b-w12_480_{share}-retrain', THREE),
    Kind('extended/box-refiner_darknet53_{share}-quality', THREE, (1, 5, 10)),
    Kind('extended/box-refiner_darknet53_{share}-pseudo', THREE, (0, 1, 5, 10)),
    Kind('extended/box-refiner_darknet53_{share}-retrain', THREE, (0, 1, 5, 10)),
    # a child of RefCOCO's, which is edited too
    Kind('lavt/lavt_swin-b-w12_480_released', FOUR[1:]),
    Kind('lavt/lavt-one_swin-b-w12_480', FOUR),
    *(Kind(f'encoders/encoder-res_{name}_m100', THREE) for name in ENCODERS),
    *(
        Kind(f'encoders/encoder-res_{name}_{{share}}{stage}', THREE, (1, 5))
        for name in ENCODERS
        for stage in ('', '-pseudo', '-retrain')
    ),
    *(Kind(f'encoders/encoder-res_{name}_rec', THREE) for name in ENCODERS),
    Kind('encoders/encoder-res_dinov3-b-frozen_{share}', THREE, (1, 5)),
    *(Kind(f'encoders/encoder-lavt_{name}_m100', THREE) for name in ENCODERS),
    *(Kind(f'encoders/encoder-lavt_{name}_{{share}}', THREE, (1, 5)) for name in ENCODERS),
    *(
        Kind(f'encoders/encoder-lavt_{name}_{{share}}{stage}', THREE)
        for name in ENCODERS
        for stage in ('-pseudo', '-retrain')
    ),
    Kind('extended/box-refiner_lavt-swin-b_m100', THREE),
    Kind('extended/box-refiner_lavt-swin-b_{share}', THREE),
)


def renamed(text: str, source: str, dataset: str, share: int) -> str:
    """The text of a config with the names of another data set and share in it.

    Args:
        text: The config of ``source`` and 5 % of the masks.
        source: The data set that it is of.
        dataset: The data set that it becomes one of.
        share: Percent of the masks.
    """
    text = text.replace(source, dataset).replace(TITLES[source], TITLES[dataset])
    shares = (('m05', 'm{:02d}'), ('sample_5', 'sample_{}'), ('5 %', '{} %'), ('--ratio 5', '--ratio {}'))
    for old, new in ((old, new.format(share)) for old, new in shares):
        text = text.replace(old, new)
    return text


def copies(configs: Path = CONFIGS) -> dict[str, str]:
    """Path below ``configs`` of every file that is written, and its content."""
    found = {}
    for kind in KINDS:
        source = kind.datasets[0]
        text = (configs / kind.path(source)).read_text(encoding='utf-8')
        for dataset in kind.datasets:
            for share in kind.shares:
                if (dataset, share) != (source, 5):
                    found[kind.path(dataset, share)] = renamed(text, source, dataset, share)
    return found


@cli
def main(argv: list[str] | None = None) -> int:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing, say what differs')
    parser.add_argument('--out', type=Path, default=CONFIGS, help='folder that is written to, or checked')
    args = parser.parse_args(argv)
    if not args.check:
        check_output(args.out, '--out', folder=True)
    texts = copies()
    there = {name: args.out / name for name in texts if (args.out / name).is_file()}
    wrong = [name for name in texts if name not in there or there[name].read_bytes() != texts[name].encode()]
    if args.check:
        for name in wrong:
            print(f'{args.out / name} differs from what tools/misc/write_configs.py writes', file=sys.stderr)
    else:
        for name in wrong:
            with atomic_write(args.out / name) as file:
                file.write(texts[name])
    print(f'{len(texts)} files, {len(wrong)} {"differ" if args.check else "written"}')
    return 1 if args.check and wrong else 0


if __name__ == '__main__':
    main()
