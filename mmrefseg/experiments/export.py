"""How the weights of the package are made: the stages, and the export that scores what it writes."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from mmengine.config import Config

from ..checkpoints.shipped import Provenance, fingerprint, halve, select, with_base, write_safetensors
from ..compat.carried import as_metadata
from ..compat.checkpoint import load_checkpoint_file
from ..datasets.annotations import load_annotation_file
from ..datasets.vocabulary import build_vocabulary
from ..runs.config import build_runner, innermost_datasets, load_config
from ..runs.testing import set_split
from ..runs.words import language_models
from ..utils import UserInputError, file_sha256
from ..utils.places import PACKAGE, SCHEME, shipped, shipped_weights
from .few_masks import BOX_REFINER, PartialStudy, Variant
from .stages import Stage, python

REC = 'configs/extended/box-frame_tiny_rec_refshapes.py'
MASKS = 'configs/extended/box-frame_tiny_m05-frozen_refshapes.py'
QUALITY = 'configs/extended/box-refiner_tiny_m05-quality_refshapes.py'
MASK_KEYS = ('head.roi_memory', 'head.mask_cell_head', 'head.task_embedding', 'head.decoder.position')
"""What the network of masks has besides the one of boxes, or in another shape."""


def shipped_stages(folder: Path, seed: int, weights: Path, options: tuple[str, ...] = ()) -> list[Stage]:
    """Train and export the package's weights: boxes, then two ways to draw masks in them.

    Args:
        folder: Of the trainings and their logs.
        seed: Of the mask sample and of all trainings.
        weights: Where the files go. What draws masks is trained on the boxes-only file in the package, so
            only the package's own folder makes files that belong together.
        options: ``key=value`` config options for all trainings (to make tests short).
    """
    study = PartialStudy(folder, seed, options=options)
    names = ('rec_tiny', 'box-frame_tiny_masks', 'box-refiner_tiny_m05')
    rec, masks, refiner = (weights / f'{name}_refshapes.safetensors' for name in names)
    boxes, sample = f'{SCHEME}{rec.stem}', study.sample(5)

    def train(name: str, config: str, annotations: Path, start: str | Path | None) -> Stage:
        label = f'train {name}'
        return study.train(shipped(config), study.work_dir(name), label, start, annotations)

    stages = {
        'rec': train('rec', REC, study.full_annotations, None),
        'masks': train('masks', MASKS, sample, boxes),
    }
    on_boxes = ('--extends', boxes, '--keys')
    refined = _refined(
        PartialStudy(
            folder / BOX_REFINER.name, seed, options=options, network=BOX_REFINER, rec=boxes, shared=folder
        )
    )
    return [
        study.data(),
        study.samples((5,)),
        stages['rec'],
        _export(REC, 'BoxFrame', rec, [stages['rec']]),
        stages['masks'],
        _export(MASKS, 'BoxFrame', masks, [stages['masks']], *on_boxes, *MASK_KEYS),
        *refined,
        _export(
            QUALITY,
            'BoxRefiner',
            refiner,
            refined,
            *on_boxes,
            'refiner',
            'quality',
            '--extends-as',
            'segmentor',
        ),
    ]


def _refined(study: PartialStudy) -> list[Stage]:
    """Few masks, pseudo masks, selection, retraining, scores."""
    few, again = Variant(5), Variant(5, 'rpp')
    return [*study.variant(few, ()), study.predict(5), *study.variant(again, ()), study.quality(again)]


def _export(config: str, network: str, file: Path, trainings: list[Stage], *more: str) -> Stage:
    """Write what the last of the trainings has made; all of them are named in the file."""
    command = python(
        'tools/model_converters/export_weights.py', config, trainings[-1].output, file,
        '--network', network, '--command', ' && '.join(map(_said, trainings)), *more,
    )  # fmt: skip
    return Stage(f'score and write {file.name}', command, file)


def _said(training: Stage) -> str:
    """The command of a training as a reader would write it in the checkout."""
    return _portable(' '.join(['python', *training.command[1:]]))


def _portable(text: str) -> str:
    """A text whose paths below the current folder or the checkout are relative: the file goes elsewhere."""
    for place in (Path.cwd(), PACKAGE / '.mim', PACKAGE.parent):
        text = text.replace(f'{place}/', '')
    return text


def export_weights(args: argparse.Namespace) -> Provenance:
    """Write a checkpoint as a file of the package, scored as it is in the file.

    Args:
        args: Of ``tools/model_converters/export_weights.py``.

    Returns:
        What is written about the weights.

    Raises:
        UserInputError: If the checkpoint or the config does not fit, or the commit is not known.
    """
    checkpoint = load_checkpoint_file(args.src)
    seed = (checkpoint.get('meta') or {}).get('seed', 0)
    state = halve(select(checkpoint.get('state_dict', checkpoint), args.keys))
    config = load_config(shipped(args.config), args.cfg_options)
    set_split(config, args.split)
    dataset = innermost_datasets(config.test_dataloader)[0]
    splits = load_annotation_file(Path(dataset.get('data_root') or '') / dataset.ann_file)
    ((_, reader),) = language_models(config.model)
    words = build_vocabulary(**reader['vocabulary'])
    provenance = Provenance(
        network=args.network,
        config=str(args.config),
        seed=seed,
        commit=args.commit or _commit(),
        command=args.command or f'python tools/train.py {args.config} --seed {seed}',
        data=Path(dataset.ann_file).parent.name,
        data_sha256=fingerprint(splits.values()),
        split=args.split,
        split_sha256=fingerprint([splits[args.split]]),
        metrics=_score(config, with_base(state, args.extends, args.extends_as)),
        readout=_readout(config),
        words=tuple(words.words),
        tokenizer=words.tokenizer.name,
        max_tokens=words.max_tokens,
        extends=args.extends,
        extends_as=args.extends_as,
        extends_sha256=file_sha256(shipped_weights(args.extends)) if args.extends else '',
    )
    carried = {key: _portable(text) for key, text in as_metadata(checkpoint.get('meta') or {}).items()}
    write_safetensors(args.dst, state, carried | provenance.to_metadata())
    return provenance


def _score(config: Config, state: dict) -> dict[str, float]:
    """Metrics of weights, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / 'weights.safetensors'
        write_safetensors(weights, state)
        config.load_from, config.resume = str(weights), False
        config.work_dir = folder
        metrics = build_runner(config).test()
    return {name: round(float(value), 2) for name, value in metrics.items()}


def _readout(config: Config) -> str:
    if config.model.type == 'RefinedSegmentor':
        return 'refiner'
    head = config.model.head
    return head.get('contours_from', 'decoder') if head.get('with_mask') else 'none'


def _commit() -> str:
    """The checkout's commit, with ``-dirty`` where it has changes."""
    command = ['git', 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    if done.returncode:
        raise UserInputError.of(
            str(PACKAGE.parent), 'no git checkout', 'one', 'name the commit with --commit'
        )
    return done.stdout.strip()
