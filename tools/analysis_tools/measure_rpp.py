"""What RPP score does a mask of a known IoU get? True masks are shrunken, grown and moved, and scored.

    python tools/analysis_tools/measure_rpp.py data/annotations/refcoco-unc/instances.json --split val

Prints, for each change, the mean IoU with the true mask, the mean RPP score against the true box, and the
share that the paper's threshold of 0.1 accepts; then which threshold accepts half, and nine tenths, of all
changed masks of about a given IoU. The table in docs/pseudo_labels.md comes from here.
"""

import cv2
import numpy as np
from rich.table import Table

from mmrefseg.datasets.annotations import load_split
from mmrefseg.pseudo_labels import projection_term
from mmrefseg.structures.masks import to_rle
from mmrefseg.structures.rle import decode_mask, encode_mask, ious
from mmrefseg.utils import UserInputError, check_output, cli, dump_json, plain_console, track
from mmrefseg.utils.command_line import ToolParser

SHARES = (0.01, 0.02, 0.05, 0.08, 0.12, 0.16)
MOVES = ((1, 0), (0, 1), (1, 1), (-1, -1))
IOUS = (0.6, 0.7, 0.8, 0.9)


def changes(mask: np.ndarray, bbox: list[float]) -> dict[tuple[str, float], np.ndarray]:
    """The mask eroded, dilated and moved by shares of its box's mean side, by (name, share)."""
    side = 0.5 * (bbox[2] + bbox[3])
    image = mask.astype(np.uint8)
    changed = {}
    for share in SHARES:
        pixels = round(share * side)
        if pixels < 1:
            continue
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
        changed['shrunken', share] = cv2.erode(image, kernel, borderValue=0) > 0
        changed['grown', share] = cv2.dilate(image, kernel) > 0
        for number, (right, down) in enumerate(MOVES):
            matrix = np.float32([[1, 0, right * pixels], [0, 1, down * pixels]])
            moved = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_NEAREST)
            changed[f'moved {number}', share] = moved > 0
    return changed


def measure(objects: list[dict]) -> list[tuple[str, float, float, float]]:
    """(name, share, IoU, RPP score) of every change of every object's mask."""
    rows = []
    for record in track(objects, 'measuring'):
        height, width = int(record['height']), int(record['width'])
        truth = to_rle(record['mask'], height, width)
        rows.append(('unchanged', 0.0, 1.0, projection_term(truth, record['bbox'])))
        for (name, share), mask in changes(decode_mask(truth), record['bbox']).items():
            rle = encode_mask(mask)
            iou = float(ious([rle], [truth])[0, 0])
            rows.append((name.split()[0], share, iou, projection_term(rle, record['bbox'])))
    return rows


def by_change(rows: list[tuple[str, float, float, float]]) -> list[dict]:
    groups: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for name, share, iou, term in rows:
        groups.setdefault((name, share), []).append((iou, term))
    table = []
    for (name, share), values in sorted(groups.items()):
        ious, terms = np.array(values).T
        table.append(
            {
                'change': name,
                'share': share,
                'masks': len(values),
                'iou': float(ious.mean()),
                'rpp': float(terms.mean()),
                'accepted_at_0.1': float((terms < 0.1).mean()),
            }
        )
    return table


def by_iou(rows: list[tuple[str, float, float, float]]) -> list[dict]:
    """Quantiles of the scores of changed masks within 0.025 of an IoU: thresholds that accept a share."""
    ious, terms = np.array([row[2:] for row in rows if row[0] != 'unchanged']).T
    table = []
    for iou in IOUS:
        near = terms[np.abs(ious - iou) < 0.025]
        if len(near):
            half, most = np.quantile(near, [0.5, 0.9])
            table.append(
                {
                    'iou': iou,
                    'masks': len(near),
                    'accepts_half': float(half),
                    'accepts_nine_tenths': float(most),
                    'accepted_at_0.1': float((near < 0.1).mean()),
                }
            )
    return table


def print_rows(rows: list[dict], title: str) -> None:
    table = Table(title=title)
    for key in rows[0]:
        table.add_column(key.replace('_', ' '), justify='left' if key == 'change' else 'right')
    for row in rows:
        table.add_row(*(f'{value:.3f}' if isinstance(value, float) else str(value) for value in row.values()))
    plain_console().print(table)


@cli
def main(argv: list[str] | None = None) -> None:
    parser = ToolParser(description='What RPP score does a mask of a known IoU get?')
    parser.add_argument('annotations', help='annotation file of the working format')
    parser.add_argument('--split', default='val')
    parser.add_argument('--limit', type=int, default=1000, help='so many objects at most')
    parser.add_argument('--json', help='write the tables here')
    args = parser.parse_args(argv)
    check_output(args.json, '--json')
    objects = [
        record for record in load_split(args.annotations, args.split) if record.get('mask') is not None
    ]
    if not objects or args.limit < 1:
        raise UserInputError.of(args.annotations, 'no masks', 'objects with masks', 'choose another split')
    rows = measure(objects[: args.limit])
    tables = {'by_change': by_change(rows), 'by_iou': by_iou(rows)}
    print_rows(tables['by_change'], f'{min(len(objects), args.limit)} masks of {args.split}, changed')
    if tables['by_iou']:
        print_rows(tables['by_iou'], 'RPP thresholds by the IoU of a changed mask')
    if args.json:
        dump_json(tables, args.json, indent=2)


if __name__ == '__main__':
    main()
