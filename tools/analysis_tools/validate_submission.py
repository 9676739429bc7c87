"""Say what is wrong with a submission, entry by entry.

    python tools/analysis_tools/validate_submission.py FILE --test-json data/test.json

Ends with 0 if nothing is, with 1 if something is, with 2 if a file cannot be read.
"""

import argparse
from itertools import islice
from typing import Any

from mmrefseg.evaluation.submission import SubmissionChecker
from mmrefseg.utils import UserInputError, cli, load_json
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description='Say what is wrong with a submission, entry by entry.')
    parser.add_argument('submission', help='json list as tools/test.py --format-only writes it')
    parser.add_argument('--test-json', required=True, help='the COCO file of the test images')
    parser.add_argument(
        '--kind', choices=('segm', 'bbox'), help='masks or boxes (default: bbox for *.bbox.json, else segm)'
    )
    parser.add_argument('--limit', type=int, default=20, help='report at most so many problems (0: all)')
    return parser.parse_args(argv)


def load_test(path: str) -> dict[str, Any]:
    """The images and categories of the test file, checked as far as they are needed."""
    content = load_json(path)
    wanted = {'images': ('id', 'height', 'width'), 'categories': ('id',)}
    for name, keys in wanted.items():
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and row.keys() >= {*keys} for row in rows
        ):
            raise UserInputError.of(
                path, f'no list {name!r} of objects with {", ".join(keys)}', 'a COCO file', 'check the path'
            )
    return content


@cli
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    kind = args.kind or ('bbox' if args.submission.endswith('.bbox.json') else 'segm')
    test, entries = load_test(args.test_json), load_json(args.submission)
    if not isinstance(entries, list):
        found = f'a json {type(entries).__name__}'
        raise UserInputError.of(args.submission, found, 'a list of entries', 'write [{...}, ...]')
    checker = SubmissionChecker(test, kind)
    problems = list(checker.problems(entries))
    for place, fault in islice(problems, args.limit or None):
        print(f'entry {place}: {fault}')
    wrong = len({place for place, _ in problems})
    if problems:
        more = len(problems) - min(len(problems), args.limit or len(problems))
        hidden = f' ({more} more problems: --limit 0 shows all)' if more else ''
        print(f'{args.submission}: {wrong} of {len(entries)} entries are wrong{hidden}')
        return 1
    images = len({entry['image_id'] for entry in entries})
    print(f'{args.submission}: {len(entries)} entries on {images} images, nothing is wrong')
    for remark in checker.remarks(entries):
        print(f'note: {remark}')
    return 0


if __name__ == '__main__':
    main()
