"""From a folder of photos to configs that train on it, and the stages that run them.

Two stages, as in the recipes for few masks (docs/refiner.md): the network of boxes and sentences, which
starts from the package's own weights, then the refiner that draws the masks in the boxes: from the masks
there are, and from the boxes and colours of the other objects.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..datasets.converters.own_folder import OwnData
from ..runs.options import option_value
from ..utils import UserInputError, atomic_write, dump_json, load_json, read_text
from ..utils.errors import printable, short
from .stages import Stage, python

# A typical object shall be so long, in pixels of the network's image: two cells of its finest useful stride.
OBJECT_PIXELS = 16
IMAGE_SIZES = (128, 192, 256, 320)
BATCH_SIZES = (16, 8, 4, 2, 1)
# Bytes that a training image takes at 128 x 128 pixels, growing with the pixels, and the process beside it.
# Measured on CPU with RefShapes' four sentences an image: 684 and 714 MB with 4 and 8 images of 128 pixels,
# 839 and 1,055 MB of 256; an image may have twice as many sentences.
IMAGE_BYTES = 25e6
PROCESS_BYTES = 0.8e9
# Share of the free memory that a training may take.
MEMORY_SHARE = 0.6
# Steps of the two stages; what is shown once an epoch is counted in epochs. A small folder reaches the most
# epochs first, so these grow with the asked length, too.
BOX_STEPS, MASK_STEPS = 1000, 600
MOST_EPOCHS = 300
MOST_TIMES = 1000
# In the course of a stage, to go on from; the last two are kept.
CHECKPOINTS = 10
CHOICES = 'choices.json'
MOST_WORDS = 40
SHIPPED = 'mmrefseg://rec_tiny_refshapes'
STAGES = (('boxes', 'boxes and sentences'), ('masks', 'masks in the boxes'), ('scores', 'scores on val'))
"""Name of the config and the folder, and title, of each stage in their order."""


# The texts of the configs.
_BOXES = """# Boxes and sentences of {source}: {objects} objects in {images} images.
# Made from what the folder holds; change what you like, and train it with tools/train.py.
_base_ = [
    'mmrefseg::_base_/default_runtime.py',
    'mmrefseg::_base_/models/box-frame_tiny.py',
    'mmrefseg::_base_/schedules/refshapes.py',
]
image_size = ({image_size}, {image_size})
batch_size = {batch_size}
max_epochs = {epochs}
load_from = {weights!r}  # its words come first, yours are added

ann_file = {ann_file!r}
images = {image_folder!r}
codec = dict(
    type='ContourCodec', num_points=18, num_bins=128, sampling='even_above', bin_center=True, pad_divisor=32
)
{categories}model = dict(
    language_model=dict(
        vocabulary=dict(ann_file=ann_file, max_tokens={max_tokens}), max_tokens={max_tokens}
    ),
    head=dict(codec=codec),
    auxiliary_heads=[{heads}],
)

train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='RefResize', scale=image_size),
    dict(type='EncodeContour', codec=codec),
    dict(type='PackRefInputs'),
]
box_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=image_size),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='PackRefInputs'),
]
dataset = dict(
    type='RefSegDataset', ann_file=ann_file, data_prefix=dict(img_path=images), group_by='image', max_pairs=8
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, split='train', require_masks=False, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, split='val', test_mode=True, pipeline=box_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='RECMetric')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval={kept_every}, save_best='rec/acc50'))
"""
_MASKS = """# Masks in the boxes of boxes.py, {learns}.
_base_ = './boxes.py'
max_epochs = {epochs}
lr = 3e-3
load_from = {boxes!r}

# What only teaches stays behind; the network of boxes stays as it is.
boxes_model = dict(_base_.model)
boxes_model.pop('auxiliary_heads')
teach = {teach}
model = dict(
    _delete_=True,
    type='RefinedSegmentor',
    segmentor=boxes_model,
    refiner=dict(type='BoxRefiner', size=48, channels=16, **teach),
)

mask_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=True),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='PackRefInputs'),
]
box_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='PackRefInputs'),
]
test_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='LoadRefAnnotations', with_mask={scored}),
    dict(type='PackRefInputs'),
]
dataset = _base_.dataset
{train_set}
train_dataloader = dict(dataset=train_set)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, require_masks={scored}))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type={metric!r})
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(_delete_=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval={kept_every}, save_best={best!r}))
"""
_BOTH = """masks = dict(dataset, split='train', require_masks=True, pipeline=mask_pipeline)
boxes = dict(dataset, split='train', require_masks=False, pipeline=box_pipeline)
# An image with a mask comes so often an epoch with that object alone, and every image once for its boxes.
masks = dict(type='RepeatDataset', times={repeats}, dataset=masks)
train_set = dict(_delete_=True, type='ConcatDataset', datasets=[masks, boxes])"""


@dataclass(frozen=True)
class Choices:
    """What the configs are made with.

    Attributes:
        image_size: Side of the network's image in pixels.
        batch_size: Images a step.
        box_epochs: Of the first stage.
        mask_epochs: Of the second.
        repeats: How often an image with a mask comes in an epoch of the second stage; 0 if none has one, None
            if all objects have one.
        max_tokens: Words of a sentence that are read.
        num_categories: Of the head that names the class; 0 leaves it out.
    """

    image_size: int
    batch_size: int
    box_epochs: int
    mask_epochs: int
    repeats: int | None
    max_tokens: int
    num_categories: int


def choose(data: OwnData, memory: float, image_size: int | None = None, steps: float = 1.0) -> Choices:
    """What suits the data and the memory there is.

    Args:
        data: Of the folder.
        memory: Free bytes, of the GPU if there is one.
        image_size: To use instead of the one that is chosen by the objects' sizes.
        steps: Factor for the length of both stages, above 0 and at most ``MOST_TIMES``.

    Raises:
        UserInputError: If the memory is too small for one image, or the size or factor is none that works.
    """
    check_times(steps)
    if image_size is not None and (image_size < 64 or image_size % 32):
        raise UserInputError.of('--image-size', str(image_size), 'a multiple of 32 from 64 on', 'choose one')
    size = image_size or next(
        (side for side in IMAGE_SIZES if data.typical_object(side) >= OBJECT_PIXELS), IMAGE_SIZES[-1]
    )
    each = IMAGE_BYTES * (size / 128) ** 2
    most = (memory * MEMORY_SHARE - PROCESS_BYTES) / each
    if most < 1:
        raise UserInputError.of(
            'memory',
            f'{memory / 1e9:.1f} GB free',
            f'{(each + PROCESS_BYTES) / MEMORY_SHARE / 1e9:.1f} GB for images of {size} pixels',
            'close other programs, or choose a smaller --image-size',
        )
    batch = next(number for number in BATCH_SIZES if number <= min(most, 8, max(1, data.num_images)))
    per_epoch = math.ceil(data.num_images / batch)
    share = data.num_masks / data.num_objects
    repeats = None if share == 1 else 0 if not data.num_masks else max(1, min(50, round(0.15 / share)))
    return Choices(
        image_size=size,
        batch_size=batch,
        box_epochs=_epochs(BOX_STEPS, per_epoch, steps),
        mask_epochs=_epochs(MASK_STEPS, per_epoch * (2 if repeats else 1), steps),
        repeats=repeats,
        max_tokens=max(4, min(MOST_WORDS, data.longest_sentence + 2)),
        num_categories=data.num_categories if data.num_categories > 2 else 0,
    )


def _kept_every(epochs: int) -> int:
    """Epochs between checkpoints, from which a training that was stopped goes on."""
    return max(1, epochs // CHECKPOINTS)


def _epochs(steps: int, per_epoch: int, times: float) -> int:
    return max(1, round(times * min(MOST_EPOCHS, steps / per_epoch)))


def check_times(steps: float) -> None:
    """See that a training can be so many times as long.

    Raises:
        UserInputError: If not.
    """
    if not 0 < steps <= MOST_TIMES:
        raise UserInputError.of(
            '--steps', f'{steps:g}', f'a number above 0, at most {MOST_TIMES}', 'write 2 for twice as long'
        )


def free_memory() -> float:
    """Bytes that a training can take: of the first GPU, else of the machine."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    try:
        with open('/proc/meminfo', encoding='ascii') as file:
            lines = dict(line.split(':') for line in file)
        return float(lines['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return float(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')) / 2


def kept_choices(folder: Path, asked: dict[str, Any]) -> Choices | None:
    """The choices of a training that has begun: another amount of free memory must not change them.

    Args:
        folder: Of the run.
        asked: The options that they were made with, as :func:`keep_choices` got them.

    Returns:
        None if none has begun, or with other options.
    """
    path = folder / CHOICES
    if not (folder / 'boxes').is_dir() or not path.is_file():
        return None
    content = load_json(path)
    try:
        return Choices(**content['choices']) if content['asked'] == asked else None
    except (KeyError, TypeError):
        return None


def keep_choices(choices: Choices, folder: Path, asked: dict[str, Any]) -> None:
    """Write them for :func:`kept_choices`."""
    dump_json({'asked': asked, 'choices': asdict(choices)}, folder / CHOICES)


SCORES = {
    'miou': 'mean IoU',
    'oiou': 'overall IoU',
    'acc50': 'boxes with IoU ≥ 0.5',
    'box_miou': 'mean IoU of boxes',
}
"""What scores on ``val`` are called; others go by their own names."""


def named_scores(scores: dict[str, Any]) -> str:
    """Scores on ``val`` in words, and whether masks were among what was scored."""
    said = [
        f'{SCORES.get(name, name)} {value:.1f} %'
        for name, value in scores.items()
        if isinstance(value, float)
    ]
    return ', '.join(said) + ('' if 'miou' in scores else '; no mask of val is known, so none was scored')


def hint(scores: dict[str, Any]) -> str | None:
    """What to say of a training whose scores on ``val`` are all 0; None of another."""
    values = [value for value in scores.values() if isinstance(value, float)]
    if not values or any(values):
        return None
    return (
        'hint: nothing was found in the photos that were held out, as happens with few; '
        'look at those that it has learned from (mmrefseg predict), and label more'
    )


def write_own_run(data: OwnData, choices: Choices, folder: Path) -> tuple[Path, Path]:
    """Write what a training on a folder needs: ``instances.json``, ``boxes.py`` and ``masks.py``.

    Args:
        data: Of the folder.
        choices: See :func:`choose`.
        folder: Of the run.

    Returns:
        The two configs, in the order in which they are trained.

    Raises:
        UserInputError: If the folder has a training that began with something else.
    """
    texts = {
        'instances.json': f'{json.dumps(data.splits)}\n',
        'boxes.py': box_config(data, choices, folder),
        'masks.py': mask_config(data, choices, folder),
    }
    if (folder / 'boxes').is_dir():
        _check_same(texts, folder)
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write(text)
    return folder / 'boxes.py', folder / 'masks.py'


def _check_same(texts: dict[str, str], folder: Path) -> None:
    """See that a training that has begun goes on with what it began with: what is done is not done again."""
    for name, text in texts.items():
        path = folder / name
        if path.is_file() and read_text(path) != text:
            raise UserInputError.of(
                f'--folder {folder}',
                f'a training with another {name}',
                'the same photos, annotations, masks and options, to go on',
                'name a new folder, or remove this one',
            )


def check_options(configs: Sequence[Path], options: Sequence[str]) -> None:
    """See that config options fit something in all configs, as each training does in its course.

    It takes seconds where there are options. What only the building of a model can tell is not looked at.

    Args:
        configs: As :func:`write_own_run` has written them.
        options: ``key=value`` each.

    Raises:
        UserInputError: If one does not.
    """
    if not options:
        return
    from ..runs.overrides import read_config  # mmengine's runner

    given = {}
    for option in options:
        key, _, text = option.partition('=')
        try:
            given[key] = option_value(key, text)
        except ValueError as error:
            found = f'{short(text)}, which cannot be read ({error})'
            raise UserInputError.of(f'--cfg-options {key}', found, 'a value', 'check brackets') from None
    for config in configs:
        read_config(str(config), given, imports=False)


def box_config(data: OwnData, choices: Choices, folder: Path) -> str:
    """The text of the first stage's config: boxes and sentences."""
    heads = ['_base_.word_head', '_base_.fused_cell_head', '_base_.encoded_cell_head']
    categories = ''
    if choices.num_categories:
        heads.insert(0, 'category_head')
        categories = f'category_head = dict(_base_.category_head, num_categories={choices.num_categories})\n'
    return _BOXES.format(
        source=printable(data.source),
        objects=data.num_objects,
        images=data.num_images,
        image_size=choices.image_size,
        batch_size=choices.batch_size,
        epochs=choices.box_epochs,
        kept_every=_kept_every(choices.box_epochs),
        weights=SHIPPED,
        ann_file=str(folder.resolve() / 'instances.json'),
        image_folder=os.path.abspath(data.images),
        categories=categories,
        max_tokens=choices.max_tokens,
        heads=', '.join(heads),
    )


def mask_config(data: OwnData, choices: Choices, folder: Path) -> str:
    """The text of the second stage's config: masks in the boxes."""
    # Masks are scored on the objects of val that have one; where none has, boxes are.
    scored = any(record.get('mask') is not None for record in data.splits['val'])
    metric, best = ('RESMetric', 'res/miou') if scored else ('RECMetric', 'rec/acc50')
    learns = {
        None: 'from the masks of all objects',
        0: 'from boxes and colours, as no object has a mask',
    }.get(choices.repeats, f'from {data.num_masks} masks, and from boxes and colours where there is none')
    if choices.repeats:
        train_set = _BOTH.format(repeats=choices.repeats)
    else:
        pipeline = 'box_pipeline' if choices.repeats == 0 else 'mask_pipeline'
        train_set = f'train_set = dict(require_masks={choices.repeats is None}, pipeline={pipeline})'
    return _MASKS.format(
        learns=learns,
        epochs=choices.mask_epochs,
        kept_every=_kept_every(choices.mask_epochs),
        boxes=str(folder.resolve() / 'boxes' / 'best.pth'),
        teach='dict(box_weight=1.0, same_colour=0.5)' if choices.repeats is not None else 'dict()',
        train_set=train_set,
        scored=scored,
        metric=metric,
        best=best,
    )


def own_stages(
    folder: Path, choices: Choices, seed: int, options: Sequence[str] = (), loggers: Sequence[str] = ()
) -> list[Stage]:
    """The commands that train on a folder and score the result on ``val``.

    Args:
        folder: Of the run, with the two configs.
        choices: Those that they were made with.
        seed: Of both trainings.
        options: ``key=value`` config options of both trainings.
        loggers: What both also write to: words of ``--log-to``.
    """
    stages, more = [], ['--log-to', ','.join(loggers)] if loggers else []
    if options:
        more += ['--cfg-options', *options]
    for (name, title), epochs in zip(STAGES[:2], (choices.box_epochs, choices.mask_epochs), strict=True):
        work_dir = folder / name
        command = python(
            'tools/train.py', folder / f'{name}.py', '--work-dir', work_dir, '--seed', seed, '--resume', *more
        )
        stages.append(Stage(title, command, work_dir / 'best.pth', epochs=epochs))
    scores = folder / 'val.json'
    command = python(
        'tools/test.py', folder / 'masks.py', folder / 'masks' / 'best.pth',
        '--json', scores, '--work-dir', folder / 'masks',
    )  # fmt: skip
    return [*stages, Stage(STAGES[2][1], command, scores)]
