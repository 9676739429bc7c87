"""One training set out of several, without the test pictures of any (SeqTR's "mixed")."""

from collections.abc import Mapping

from ...utils import UserInputError


def guess_source(name: str) -> str:
    """SeqTR's name for where the pictures of a data set come from."""
    for start, source in (('refcoco', 'coco'), ('referit', 'saiaprtc12'), ('flickr', 'flickr'), ('vg', 'vg')):
        if name.startswith(start):
            return source
    return name


def mix_datasets(
    datasets: Mapping[str, dict[str, list[dict]]], sources: Mapping[str, str] | None = None
) -> tuple[dict[str, list[dict]], dict[str, int]]:
    """Join training sets; keep the other splits apart under names of their own.

    RefCOCO, RefCOCO+ and RefCOCOg divide the same COCO pictures in different ways: a training picture of
    one is often a test picture of another. Pictures that any data set tests on are left out of the mixed
    training set.

    Args:
        datasets: Normalized splits by name of the data set, e.g. ``'refcoco-unc'``.
        sources: ``data_source`` by name, for records that have none; see :func:`guess_source`.

    Returns:
        The splits ``train`` and ``<split>_<name>`` (``val_refcoco_unc``...), and the number of training
        objects left out by name. In ``train`` ref_id and sent_ids count from 0; ``source_dataset`` and
        ``source_ref_id`` tell where an object came from.

    Raises:
        UserInputError: If no training object is left.
    """
    sources = sources or {}
    tested = set()
    mixed: dict[str, list[dict]] = {'train': []}
    for name, splits in datasets.items():
        source = sources.get(name, guess_source(name))
        for split, records in splits.items():
            for record in records:
                record.setdefault('data_source', source)
            if split != 'train':
                mixed[f'{split}_{name.replace("-", "_")}'] = records
                tested.update((record['data_source'], record['image_id']) for record in records)
    dropped = {}
    for name, splits in datasets.items():
        records = splits.get('train', [])
        kept = [record for record in records if (record['data_source'], record['image_id']) not in tested]
        dropped[name] = len(records) - len(kept)
        for record in kept:
            mixed['train'].append(_renumbered(record, name, mixed['train']))
    if not mixed['train']:
        raise UserInputError.of(
            'mix', 'no training object left', 'some', 'add a data set with a split "train"'
        )
    return mixed, dropped


def _renumbered(record: dict, name: str, before: list[dict]) -> dict:
    first = before[-1]['sent_ids'][-1] + 1 if before else 0
    return {
        **record,
        'ref_id': len(before),
        'sent_ids': list(range(first, first + len(record['expressions']))),
        'source_dataset': name,
        'source_ref_id': record['ref_id'],
    }
