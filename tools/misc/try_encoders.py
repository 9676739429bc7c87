"""Try encoders of Hugging Face's transformers: each takes five training steps and gives a prediction.

    python tools/misc/try_encoders.py                    # all, and write the tables of docs/encoders.md
    python tools/misc/try_encoders.py --only swin bert   # some; nothing is written

Each is made small and with random weights from its config, so that nothing is downloaded.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

from mmrefseg.utils import UserInputError, atomic_write, cli, read_text, track
from mmrefseg.utils.command_line import ToolParser
from mmrefseg.utils.errors import did_you_mean

DOCS = Path(__file__).resolve().parents[2] / 'docs' / 'encoders.md'


def between_marks(text: str, name: str, new: str) -> str:
    """A document with the part between a table's two marks replaced."""
    start, end = f'<!-- {name}: written by tools/misc/try_encoders.py -->', f'<!-- end of {name} -->'
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UserInputError.of(str(DOCS), f'no marks of {name!r}', f'{start} and {end}', 'put them back')
    return f'{before}{start}\n\n{new}\n\n{end}{after}'


@cli
def main(argv: list[str] | None = None) -> None:
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('--only', nargs='+', metavar='TYPE', help='model types; no table is written')
    args = parser.parse_args(argv)

    import torch
    from mmengine.registry import init_default_scope

    from mmrefseg.experiments.encoder_trials import TABLES, Trial, try_all

    known = {kind for encoders, _, _ in TABLES.values() for kind in encoders}
    for kind in args.only or ():
        if kind not in known:
            raise UserInputError.of(
                '--only', f'{kind!r}{did_you_mean(kind, known)}', 'a type in the table', 'mend it'
            )
    warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        for name, (encoders, _, _) in TABLES.items():
            kinds = [kind for kind in encoders if args.only is None or kind in args.only]
            if kinds:
                tables[name] = try_all(trial, name, track(kinds, name))
    if args.only is not None:
        print('\n\n'.join(tables.values()))
        return
    text = read_text(DOCS, 'the page of encoders')
    for name, table in tables.items():
        text = between_marks(text, name, table)
    with atomic_write(DOCS) as file:
        file.write(text)


if __name__ == '__main__':
    main()
