"""The page on which a person looks at a selection, and accepts or rejects masks."""

import base64
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import cv2
import numpy as np
from markupsafe import Markup

from ..datasets.images import ImagePaths, read_annotated_image
from ..structures.boxes import xywh_to_xyxy
from ..structures.rle import box_of, decode_mask
from ..utils import atomic_write
from ..visualization.drawing import PREDICTION, TRUTH, crop_around, trace_outlines
from ..visualization.pages import data_uri, jpeg, read_template, render
from .decisions import Subject, as_content
from .review import VALUE_NAMES, Shown, figures, reason, score_histogram, sentences
from .selection import Outcome, Selector
from .selection_report import area_name

# Pixels of a crop's longer side: a small one is enlarged to the first, a large one reduced to the second.
SHORTEST, LONGEST = 240, 480
MEGABYTE = 1_000_000
# In a page, an image takes so much more room than in a file.
BASE64 = 4 / 3
SIZES = {'small': 'small (below 32²)', 'medium': 'medium (below 96²)', 'large': 'large'}


class Card(NamedTuple):
    """An object as the page draws it.

    Attributes:
        shown: The object.
        image: A JPEG file of the part of the image around it.
        size: Width and height of that part, in the unit of ``path`` and ``box``: a pixel of the image, or
            several where the part is larger than what is drawn.
        path: The mask's borders, as the ``d`` of an SVG path.
        box: The true box, x, y, width, height.
    """

    shown: Shown
    image: bytes
    size: tuple[int, int]
    path: str
    box: tuple[float, float, float, float]


def draw_card(shown: Shown, image: np.ndarray) -> Card:
    """Cut the object out of its image, and trace its mask.

    Args:
        shown: The object; its outcome has a mask.
        image: (H, W, 3) uint8, RGB.
    """
    record, rle = shown.outcome.record, shown.outcome.chosen.rle
    boxes = xywh_to_xyxy(np.array([record['bbox'], box_of(rle)], dtype=float))
    x1, y1, x2, y2 = crop_around(boxes[: 1 if shown.outcome.chosen.empty else 2], *image.shape[:2])
    longer = max(x2 - x1, y2 - y1)
    image = _scaled(image[y1:y2, x1:x2], float(np.clip(longer, SHORTEST, LONGEST)) / longer)
    # What is reduced in the image needs no borders finer than that.
    mask = _scaled(decode_mask(rle)[y1:y2, x1:x2], min(LONGEST / longer, 1))
    height, width = mask.shape
    path = ''.join(
        'M' + 'L'.join(f'{x:.4g} {y:.4g}' for x, y in border.tolist()) + 'Z'
        for border in trace_outlines(mask >= 0.5)
    )
    left, top, *size = record['bbox']
    scale = np.array([width / (x2 - x1), height / (y2 - y1)] * 2)
    box = tuple((np.array([left - x1, top - y1, *size]) * scale).tolist())
    return Card(shown, jpeg(image), (width, height), path, box)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """An image, or a mask as shares of its pixels, at a share of its size; a pixel wide and high at least."""
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    content = image if image.ndim == 3 else image.astype(np.float32)
    enlarge = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(content), (width, height), interpolation=enlarge)


def draw_cards(shown: Iterable[Shown], images: str | os.PathLike, template: str | None = None) -> list[Card]:
    """Draw every object to show.

    Args:
        shown: The objects.
        images: Where the images lie.
        template: File name of an ``image_id`` for records without ``file_name``; COCO's by default.

    Raises:
        UserInputError: If an image is missing, cannot be decoded, or has another size than its record says.
    """
    path_of = ImagePaths(os.fspath(images), template)
    cards = []
    for item in shown:
        record = item.outcome.record
        path = path_of(record, f'ref_id {record["ref_id"]}')
        cards.append(draw_card(item, read_annotated_image(path, int(record['height']), int(record['width']))))
    return cards


class Page(NamedTuple):
    """What a page says.

    Attributes:
        report: The report of the selection (:func:`summarise_selection` and what the tool adds).
        histogram: :func:`mmrefseg.pseudo_labels.review.score_histogram`.
        cards: The objects to look at.
        selector: What has decided.
        subject: What decisions on the page are about.
        categories: Names by ``category_id``; those that are not there go by their number.
        command: What takes the decisions back.
    """

    report: dict[str, Any]
    histogram: dict[str, Any]
    cards: Sequence[Card]
    selector: Selector
    subject: Subject
    categories: Mapping[Any, str]
    command: str

    @classmethod
    def of(
        cls,
        outcomes: Sequence[Outcome],
        cards: Sequence[Card],
        selector: Selector,
        **rest: Any,
    ) -> 'Page':
        """With the histogram of a whole selection."""
        return cls(histogram=score_histogram(outcomes, selector), cards=cards, selector=selector, **rest)


def write_page(page: Page, path: str | os.PathLike, largest: float) -> None:
    """Write the page; its images within it, or, if they take more room than that, in a folder beside it.

    Args:
        page: What it says.
        path: The file; the folder is ``<its name without ending>_images``.
        largest: Megabytes of images that may be within the page.
    """
    inside = BASE64 * sum(len(card.image) for card in page.cards) <= largest * MEGABYTE
    path = Path(path)
    folder = path.with_name(f'{path.stem}_images')

    def source(card: Card) -> str:
        if inside:
            return data_uri(card.image, 'jpeg')
        name = f'{card.shown.outcome.record["ref_id"]}.jpg'
        with atomic_write(folder / name, 'wb') as file:
            file.write(card.image)
        return f'{quote(folder.name)}/{name}'

    text = render_page(page, source)
    with atomic_write(path) as file:
        file.write(text)


def render_page(page: Page, source: Callable[[Card], str]) -> str:
    """The page as HTML.

    Args:
        page: What it says.
        source: What the ``src`` of a card's image is.
    """
    script = read_template(__package__, 'selection.js')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    names = {str(key): name for key, name in page.categories.items()}

    def name_of(category: Any) -> str:
        return names.get(str(category), f'category {category}')

    shown = [str(card.shown.outcome.record['category_id']) for card in page.cards]
    by_category = [(name_of(key), row) for key, row in page.report['by_category'].items()]
    return render(
        __package__,
        'selection.html',
        page=page,
        report=page.report,
        value_name=VALUE_NAMES[page.selector.name],
        name_of=name_of,
        shown_categories=sorted({(name_of(category), category) for category in shown}),
        categories=sorted(by_category, key=_rate),
        sizes=[(SIZES[key], page.report['by_area'][key]) for key in SIZES if key in page.report['by_area']],
        number=_as_javascript,
        area_name=area_name,
        sentences=sentences,
        figures=figures,
        reason=lambda outcome: reason(outcome, page.selector),
        source=source,
        # Nothing but this script may run, whatever a file of annotations says.
        script=Markup(script),
        script_digest=digest,
        about={
            'key': page.subject.key,
            'lower_is_better': page.selector.strategy.lower_is_better,
            'content': as_content(page.subject, page.selector.decisions),
        },
        mask_color=PREDICTION,
        box_color=TRUTH,
    )


def _rate(row: tuple[str, dict]) -> tuple[float, str]:
    """The least accepted first; those of which nothing was to accept last."""
    name, numbers = row
    return math.inf if numbers['accept_rate'] is None else numbers['accept_rate'], name


def _as_javascript(value: float) -> str:
    return str(float(value)).replace('inf', 'Infinity').replace('nan', 'NaN')
