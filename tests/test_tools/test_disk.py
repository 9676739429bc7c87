"""Tools on disks and places that take no file: one sentence, before the work, and old files stay whole."""

import json
import re
from pathlib import Path

import pytest

from mmrefseg.compat import load_checkpoint_file

LIMITED = str(Path(__file__).with_name('limited.py'))
BEST = 'trained/best.pth'


@pytest.fixture(scope='module')
def place(tools, trained):
    """What is in the way, in the folder of the tools."""
    (tools.folder / 'a_folder.pkl').mkdir()
    (tools.folder / 'in_the_way').write_text('old')
    return tools.folder


@pytest.mark.parametrize(
    ('args', 'found'),
    [
        (('--json', 'a_folder.pkl'), '--json a_folder.pkl: found a folder, expected a file'),
        (('--json', 'in_the_way/a.json'), '--json in_the_way/a.json: found a file within the path'),
        (('--json', 'a' * 300 + '.json'), 'found a name that is too long'),
        (('--out', 'a_folder.pkl'), '--out a_folder.pkl: found a folder'),
        (('--show-dir', '/dev/null/x'), '--show-dir /dev/null/x: found a file within the path'),
        (('--work-dir', 'in_the_way'), '--work-dir in_the_way: found a file, expected a folder'),
        (('--format-only', '--options', 'jsonfile_prefix='), 'jsonfile_prefix: found an empty name'),
        (('--format-only', '--options', 'jsonfile_prefix=in_the_way/x'), 'found a file within the path'),
        (('--format-only', '--options', 'jsonfile_prefix=' + 'a' * 250), 'found a name that is too long'),
    ],
)
def test_a_test_checks_its_outputs_first(tools, place, args, found):
    """Before anything is loaded: the checkpoint is half of one."""
    (place / 'half.pth').write_bytes(b'PK')
    assert found in tools.fail('test.py', tools.config, 'half.pth', *args)
    assert (place / 'in_the_way').read_text() == 'old'


def small(place, name):
    """A file of one object, and predictions of it."""
    record = dict(image_id=1, height=8, width=8, bbox=[1, 1, 5, 5], expressions=['a'], category_id=1)
    record |= dict(mask=[[1, 1, 6, 1, 6, 6, 1, 6]], ref_id=1, sent_ids=[1])
    (place / f'{name}.json').write_text(json.dumps({'train': [record]}))
    prediction = dict(ref_id=1, sent_id=1, segmentation=record['mask'], score=0.5, bbox=[1, 1, 5, 5])
    (place / f'{name}.rank0.jsonl').write_text(json.dumps(prediction) + '\n')


OUTPUTS = {
    'choose_pseudo_data.py --predictions x --annotations x.json': ('--out', '--report', '--html'),
    'choose_masks_to_draw.py x.json --budget 1': ('--out', '--csv', '--apply'),
    'dataset_converters/convert.py instances x.json': ('--out',),
    'dataset_converters/convert.py instances x.json --to refer': ('--out FOLDER',),
    'dataset_converters/convert.py huggingface x.parquet --out o': ('--save-images FOLDER',),
    'dataset_converters/export.py labelme x.json': ('--out FOLDER',),
    'dataset_converters/export.py cvat-coco x.json': ('--out FOLDER',),
    'dataset_converters/export.py label-studio x.json': ('--out',),
    'dataset_converters/sample_masks.py x.json --ratio 50': ('--out-dir FOLDER',),
    'dataset_converters/verify_coco.py x.json': ('--mend',),
    'dataset_converters/mix_datasets.py a=x.json': ('--out',),
    'dataset_converters/build_vocab.py --ann x.json': ('--out', '--vectors-out'),
    'dataset_converters/create_refshapes.py --size tiny': ('--out FOLDER', '--preview'),
    'analysis_tools/evaluate_predictions.py x.rank0.jsonl --ann x.json --split train': (
        '--json', '--per-expression',
    ),
    'analysis_tools/analyze_failures.py x.rank0.jsonl --ann x.json --split train': ('--out FOLDER',),
    'analysis_tools/measure_rpp.py x.json --split train': ('--json',),
    'analysis_tools/codec_reach.py x.json --split train': ('--json',),
    'model_converters/lavt.py x.json': ('DST',),
    'model_converters/seqtr.py x.json': ('DST',),
    'model_converters/swin.py x.json': ('DST',),
    'model_converters/darknet.py x.json': ('DST',),
    'model_converters/detectron2.py x.json': ('DST',),
    'model_converters/mmdet2.py x.json': ('DST',),
    'model_converters/bert.py x.json': ('DST FOLDER',),
    'misc/draw_architecture.py': ('--out',),
    'misc/write_configs.py': ('--out FOLDER',),
    'run_demo.py': ('--folder FOLDER',),
    'train_folder.py x': ('--folder FOLDER',),
    'run_lavt_demo.py': ('--folder FOLDER',),
    'run_instances_demo.py': ('--folder FOLDER',),
    'run_experiment.py': ('--folder FOLDER',),
    'run_transfer.py words': ('--folder FOLDER',),
    'misc/fetch_test_weights.py': ('--folder FOLDER',),
    'model_converters/efficientnet_lite.py x.json': ('DST',),
}  # fmt: skip
NEEDED = {
    '--report': ['--out', 'o'],
    '--html': ['--out', 'o'],
    '--vectors-out': ['--out', 'o', '--vectors', 'random:3'],
}


@pytest.mark.parametrize('tool', OUTPUTS)
def test_every_tool_checks_its_outputs_first(tools, place, tool):
    small(place, 'x')
    script, *args = tool.split()
    for option in OUTPUTS[tool]:
        name, _, folder = option.partition(' ')
        path = f'in_the_way{"" if folder else "/x"}.pth'[: None if name == 'DST' and not folder else -4]
        found = 'found a file, expected a folder' if folder else 'found a file within the path'
        given = [path] if name == 'DST' else [name, path]
        sentence = tools.fail(script, *args, *NEEDED.get(name, []), *given)
        assert f'error: {name} {path}: {found}' in sentence, sentence
        assert (place / 'in_the_way').read_text() == 'old' and not (place / 'o').exists()


def test_a_training_on_a_disk_that_fills_up(tools):
    """The checkpoint that fits no more leaves nothing, and the run can be resumed from those before it."""
    work_dir = tools.folder / 'filled'
    tools.succeed('train.py', tools.config, '--work-dir', 'filled', '--cfg-options', 'train_cfg.max_epochs=2')
    (work_dir / 'latest.pth').unlink()  # a link that follows
    before = {path.name: path.read_bytes() for path in work_dir.glob('*.pth')}
    assert len(before['epoch_2.pth']) > 30000
    args = (tools.config, '--work-dir', 'filled', '--resume', 'filled/epoch_2.pth')
    sentence = tools.fail(LIMITED, '30000', 'train.py', *args)
    assert 'filled/epoch_3.pth: found a file beyond the largest size' in sentence
    after = {path.name: path.read_bytes() for path in work_dir.glob('*.pth')}
    assert after == before | {'latest.pth': before['epoch_2.pth']}
    assert not list(work_dir.glob('.*'))
    tools.succeed('train.py', *args)
    assert load_checkpoint_file(work_dir / 'epoch_3.pth')['meta']['epoch'] == 3


def test_a_data_set_on_a_disk_that_fills_up(tools):
    """What was drawn until then goes, too: it is hidden, and may be what has filled the disk."""
    args = ('--size', 'tiny', '--workers', '1', '--out', 'filled_data')
    sentence = tools.fail(LIMITED, '6000', 'dataset_converters/create_refshapes.py', *args)
    assert '.png: found a file beyond the largest size' in sentence
    assert not list((tools.folder / 'filled_data').iterdir())


def test_links_stay_links(tools, place):
    """A file and folders that are links to where there is room; the folders are yet to be made."""
    (place / 'linked').mkdir()
    (place / 'scores.json').symlink_to('linked/scores.json')
    (place / 'linked_runs').symlink_to('linked/runs')
    tools.succeed('test.py', tools.config, BEST, '--work-dir', 'linked_runs', '--json', 'scores.json')
    assert (place / 'scores.json').is_symlink() and json.loads((place / 'linked/scores.json').read_text())
    assert (place / 'linked_runs').is_symlink() and list((place / 'linked/runs').iterdir())


NAN = ('--cfg-options', 'optim_wrapper.optimizer.lr=3e37', 'train_cfg.max_epochs=2')


def test_a_loss_of_nan_ends_the_training(tools):
    sentence = tools.fail('train.py', tools.config, '--work-dir', 'nan', *NAN)
    assert re.search(r'epoch 1, step \d: found loss_mask = (nan|inf), expected a finite number', sentence), (
        sentence
    )
    assert not list((tools.folder / 'nan').glob('*.pth'))


def test_a_misspelt_option_of_a_data_set(tools):
    option = 'train_dataloader.dataset.test_mod=True'
    sentence = tools.fail('train.py', tools.config, '--work-dir', 'bad', '--cfg-options', option)
    assert "RefSegDataset takes no argument 'test_mod' (did you mean test_mode" in sentence
