"""Every shipped config: what it names exists, and the stages hang together."""

import argparse
import ast
import importlib.util
import json
import re

import pytest
import yaml
from mmengine.registry import init_default_scope
from shipped import DATASETS, PATHS, ROOT, STAGES, depth, load, stage
from signatures import RUNNER_KEYS, problem, types_of

from mmrefseg.utils.places import is_shipped, shipped_weights

init_default_scope('mmdet')
ABLATION = ('baseline', 'token', 'token-content', 'token-content-points')


def test_how_many():
    """3 data sets x 11 stages, 4 of the ablation, 18 of SeqTR, and two networks x 11 stages of RefShapes."""
    full_size = {stage(name, dataset) for dataset in DATASETS for name in STAGES}
    ablation = {stage(f'm05-{name}') for name in ABLATION}
    seqtr = {name for name in PATHS if name.startswith('seqtr_darknet53_')}
    tiny = {f'{network}_tiny_{name}_refshapes' for network in ('partial-res', 'box-frame') for name in STAGES}
    assert len(full_size) == 33
    assert full_size | ablation <= PATHS.keys()
    assert len(seqtr) == 18
    assert tiny <= PATHS.keys()
    assert len([name for name in PATHS if PATHS[name].parent == ROOT / 'extended/ablation']) == 13
    assert len([name for name in PATHS if 'rcnn' in name]) == 11 + 16 + 2
    assert len(PATHS) == len([p for p in ROOT.rglob('*.py') if '_base_' not in p.parts]), (
        'two files of one name'
    )


@pytest.mark.parametrize('name', PATHS)
def test_types_and_arguments(name):
    """Every type is registered where it is looked for and takes the arguments that it is given."""
    seen, wrong = 0, []
    for where, registry, node in types_of(load(name).to_dict()):
        seen += 1
        found = problem(node, registry)
        if found:
            wrong.append(f'{where}: {found}')
    assert not wrong, '\n'.join(wrong)
    assert seen > 30


def test_wrong_types_are_found():
    """The check itself: a misspelt type, an unknown argument, a missing one."""
    assert 'not in MODELS' in problem(dict(type='SeqTRHeed', codec={}), 'MODELS')
    assert "unknown arguments ['num_layers']" in problem(
        dict(type='SeqTRHead', codec={}, num_layers=3), 'MODELS'
    )
    assert "missing ['codec']" in problem(dict(type='SeqTRHead'), 'MODELS')
    assert problem(dict(type='EMAHook', ema_type='MomentumAnnealingEMA', beta=1), 'HOOKS')
    assert problem(dict(type='SeqTRHead', codec={}), 'MODELS') is None


@pytest.mark.parametrize('name', PATHS)
def test_depth_of_inheritance(name):
    assert 2 <= depth(PATHS[name]) <= 3


def test_every_variable_is_read():
    """In its own file, or as ``_base_.NAME`` by another; what the runner takes is read by it."""
    files = sorted(ROOT.rglob('*.py'))
    by_children = set(re.findall(r'\b_base_\.(\w+)', '\n'.join(path.read_text() for path in files)))
    count = 0
    for path in files:
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)]
        read = {node.id for node in nodes if isinstance(node.ctx, ast.Load)} | by_children | RUNNER_KEYS
        variables = {node.id for node in nodes if isinstance(node.ctx, ast.Store)} - {'_base_'}
        assert not variables - read, path
        count += len(variables - RUNNER_KEYS)
    assert len(files) > len(PATHS) and count > 100


@pytest.mark.parametrize('name', PATHS)
def test_opens_with_what_it_is(name):
    assert re.match(r'# [A-Z]\w', PATHS[name].read_text())


@pytest.mark.parametrize(
    'name', [name for name in PATHS if '_darknet53_' in name and not name.startswith('box-refiner')]
)
def test_one_codec(name):
    """Pipelines encode as the head decodes, with the preprocessor's padding."""
    config = load(name)
    codec = config.model.head.codec
    pipeline = config.train_dataloader.dataset.pipeline
    encode = next(step for step in pipeline if step.type == 'EncodeContour')
    assert encode.codec == codec
    assert codec.pad_divisor == config.model.data_preprocessor.pad_size_divisor
    load_step = next(step for step in pipeline if step.type == 'LoadRefAnnotations')
    assert load_step.get('with_mask', True) == config.model.head.with_mask
    if config.model.head.with_mask:
        assert config.train_dataloader.dataset.require_masks
        assert codec.num_points == (18 if 'refcoco-unc' in name else 12)
        assert encode.get('shuffle_prob', 0) == (0.2 if codec.num_points == 12 and 'multi' not in name else 0)
    assert config.model.language_model.max_tokens == (
        40 if 'mixed' in name else 15 if 'refcoco-unc' in name or 'plus' in name else 20
    )


@pytest.mark.parametrize('name', [name for name in PATHS if '_darknet53_' in name])
def test_tests_are_in_the_original_frame(name):
    """Truth is loaded behind the resize; all expressions of an image share its pass; 640 pixels."""
    for loader in (load(name).val_dataloader, load(name).test_dataloader):
        dataset = loader.dataset
        types = [step.type for step in dataset.pipeline]
        assert types.index('LoadRefAnnotations') > types.index('RefResize')
        assert dataset.pipeline[types.index('RefResize')].scale == (640, 640)
        assert dataset.test_mode and dataset.group_by == 'image'


FEW_INSTANCES = [
    name for name in PATHS if re.search(r'rcnn.*_m\d+', name) and not name.startswith('box-refiner')
]


@pytest.mark.parametrize('name', FEW_INSTANCES)
def test_ratio_of_instances(name):
    """A config with few masks is its parent with another file to train on, in one line."""
    ratio = int(re.search(r'_m(\d+)', name)[1])
    ours, parent = load(name).to_dict(), load(re.sub(r'_m\d+(-no-boxes)?', '', name)).to_dict()
    assert PATHS[name].read_text().count(f'_sample_{ratio}.json') == 1
    train, full = ours['train_dataloader']['dataset'], parent['train_dataloader']['dataset']
    assert train.pop('ann_file') == full.pop('ann_file').removesuffix('.json') + f'_sample_{ratio}.json'
    assert train.pop('require_masks', False) == ('no-boxes' in name)
    assert ours == parent
    assert train['type'] == 'CocoInstanceDataset'
    assert ours['model']['roi_head']['mask_head']['type'] == 'PartialMaskHead'


def test_how_many_of_instances():
    """COCO and a small one for each of Mask R-CNN and the cascade, an ablation, and both on four encoders."""
    assert len(FEW_INSTANCES) == 5 + 2 * 4


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in PATHS
        if re.search(r'_m\d+', name) and name not in FEW_INSTANCES and not name.endswith('_coco')
    ],
)
def test_ratio(name):
    """The ratio of the name is that of the annotation file, in one line of the config."""
    ratio, kind = re.search(r'_m(\d+)(-pseudo|-retrain)?', name).groups()
    config, text = load(name), PATHS[name].read_text()
    if ratio == '100' or (ratio == '00' and kind is None):
        expected = 'instances.json'
    else:
        expected = f'instances_sample_{int(ratio)}{"_box_pick" if kind == "-retrain" else ""}.json'
        assert text.count('instances_sample_') == 1
    loader = config.test_dataloader if kind == '-pseudo' else config.train_dataloader
    for part in parts_of(loader.dataset):
        assert part.ann_file.rpartition('/')[2] == expected
        assert part.split == 'train'
        assert f'/{name.rpartition("_")[2]}' in part.ann_file
    assert config.val_dataloader.dataset.ann_file.endswith('/instances.json')


def parts_of(dataset):
    """The data sets that one is made of."""
    if dataset.type == 'ConcatDataset':
        return [part for each in dataset.datasets for part in parts_of(each)]
    return parts_of(dataset.dataset) if dataset.type == 'RepeatDataset' else [dataset]


REFINERS = [name for name in PATHS if name.startswith('box-refiner_') and not name.endswith('_coco')]


def test_how_many_refiners():
    """Of RefShapes and three data sets: five shares of masks; of four of them pseudo masks, retraining and a
    teacher. Of RefShapes a long training, BoxInst's losses beside three, scores of five; of the others scores
    of three; behind LAVT two shares of masks."""
    assert len(REFINERS) == (5 + 4 * 3) * 4 + 1 + 3 + 5 + 3 * 3 + 2 * 3


@pytest.mark.parametrize('name', [name for name in REFINERS if re.search(r'_m\d+(-teacher|-boxes)?_', name)])
def test_masks_of_refiners(name):
    """Masks teach where there are some; boxes of all objects, whose masks are not read then, where there are
    none, and where a teacher or BoxInst's losses teach beside few masks."""
    ratio, more = re.search(r'_m(\d+)(-teacher|-boxes)?_', name).groups()
    config = load(name)
    parts = [
        (part.require_masks, next(step for step in part.pipeline if step.type == 'LoadRefAnnotations'))
        for part in parts_of(config.train_dataloader.dataset)
    ]
    masks, boxes = (True, True), (False, False)
    found = [(require, step.get('with_mask', True)) for require, step in parts]
    assert found == ([boxes] if ratio == '00' else [masks, boxes] if more else [masks])
    assert config.model.refiner.get('box_weight', 0) == (boxes in found)
    assert (config.model.refiner.type == 'TeacherRefiner') == (more == '-teacher')


@pytest.mark.parametrize('name', [name for name in REFINERS if '-quality_' in name])
def test_scores_of_refiners(name):
    """What learns scores keeps the network of the stage before and sees mirror images, with masks if any."""
    ratio, config = re.search(r'_m(\d+)', name)[1], load(name)
    before = load(name.replace('-quality', ''))
    model = config.model.to_dict()
    assert model.pop('quality')['type'] == 'QualityHead' and model['segmentor'] == before.model.segmentor
    assert config.load_from == f'work_dirs/{name.replace("-quality", "")}/best.pth'
    (part,) = parts_of(config.train_dataloader.dataset)
    steps = {step.type: step for step in part.pipeline}
    assert steps['RefFlip'].prob == 1 and not part.require_masks
    assert steps['LoadRefAnnotations'].get('with_mask', True) == (ratio != '00')
    sample = f'instances_sample_{int(ratio)}.json' if ratio not in ('00', '100') else 'instances.json'
    assert part.ann_file.endswith(sample)


@pytest.mark.parametrize('name', [name for name in REFINERS if '_m100_' in name and 'lavt' not in name])
def test_boxes_of_refiners(name):
    """The network of boxes is that of the stage whose weights it starts from."""
    network = 'box-frame_tiny' if 'tiny' in name else 'partial-res_darknet53'
    ours = load(name).model.segmentor.to_dict()
    theirs = load(f'{network}_rec_{name.rpartition("_")[2]}').model.to_dict()
    theirs.pop('auxiliary_heads', None)
    if 'tiny' not in name:
        assert ours['backbone'].pop('init_cfg') is None and theirs['backbone'].pop('init_cfg')
    assert ours == theirs


def test_load_from():
    """Each stage starts from the package's weights, or from the best checkpoint that another config keeps."""
    starts = {name: load(name).load_from for name in PATHS if load(name).get('load_from')}
    shipped = {name: starts.pop(name) for name in list(starts) if is_shipped(starts[name])}
    assert set(shipped.values()) == {'mmrefseg://rec_tiny_refshapes'}
    assert shipped_weights('mmrefseg://rec_tiny_refshapes').is_file()
    trained = {'m100', *(f'm{ratio}{again}' for ratio in ('01', '05', '10') for again in ('', '-retrain'))}
    for network in ('partial-res', 'box-frame'):
        assert {f'{network}_tiny_{name}_refshapes' for name in trained} <= shipped.keys()
    for name, start in starts.items():
        before, kept = re.fullmatch(r'work_dirs/(.+)/(best|latest)\.pth', start).groups()
        assert before in PATHS and before != name
        assert kept == 'latest' or load(before).default_hooks.checkpoint.save_best
        assert name.rpartition('_')[2] == before.rpartition('_')[2] or before.endswith('_mixed')
    for dataset in DATASETS:
        for ratio in ('01', '05', '10'):
            rec = f'work_dirs/{stage("rec", dataset)}/best.pth'
            assert starts[stage(f'm{ratio}', dataset)] == starts[stage(f'm{ratio}-retrain', dataset)] == rec
            best = f'work_dirs/{stage(f"m{ratio}", dataset)}/best.pth'
            assert starts[stage(f'm{ratio}-pseudo', dataset)] == best
        assert stage('rec', dataset) not in starts
    assert len(starts) >= 3 * 10 + len(ABLATION) + 3


@pytest.mark.parametrize('dataset', DATASETS)
@pytest.mark.parametrize('ratio', [1, 5, 10])
def test_stage_3_is_what_the_selection_expects(dataset, ratio, repo_root):
    """choose_pseudo_data.py reads what stage 3a writes and writes what stage 3b reads."""
    spec = importlib.util.spec_from_file_location('choose', repo_root / 'tools' / 'choose_pseudo_data.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    args = argparse.Namespace(
        dataset=dataset,
        ratio=ratio,
        annotations=None,
        predictions=None,
        full_annotations=None,
        out=None,
        report=None,
    )
    tool.fill_defaults(args)
    pseudo = load(stage(f'm{ratio:02d}-pseudo', dataset))
    retrain = load(stage(f'm{ratio:02d}-retrain', dataset))
    assert [pseudo.test_evaluator.outfile_prefix] == args.predictions
    assert 'checkpoint' not in pseudo.test_evaluator and pseudo.default_hooks.name_checkpoint
    assert pseudo.test_dataloader.dataset.skip_predicted == args.predictions[0] + '.rank*.jsonl'
    assert 'data/' + pseudo.test_dataloader.dataset.ann_file == args.annotations
    assert 'data/' + retrain.train_dataloader.dataset.ann_file == args.out
    assert pseudo.model.test_cfg.confine_to_box
    assert not retrain.model.get('test_cfg')


@pytest.mark.parametrize('ratio', ['m01', 'm05', 'm10'])
@pytest.mark.parametrize('kind', ['', '-retrain'])
def test_tiny_partial_res_is_the_papers(ratio, kind):
    """Its head, its loss and its additions; a child swaps the annotation file and nothing else."""
    ceiling, child = (load(f'partial-res_tiny_{name}_refshapes').to_dict() for name in ('m100', ratio + kind))
    child['train_dataloader']['dataset']['ann_file'] = ceiling['train_dataloader']['dataset']['ann_file']
    assert child == ceiling
    model, full = ceiling['model'], load(stage('m100')).model.to_dict()
    assert model.keys() == full.keys()
    same = (
        'type',
        'language_token',
        'task_prompt',
        'co_content',
        'point_modulation',
        'with_box',
        'with_mask',
    )
    assert [model['head'][key] for key in (*same, 'loss')] == [full['head'][key] for key in (*same, 'loss')]
    assert set(model['head']) - set(full['head']) == {'position_in_content'}
    assert not model.get('test_cfg')


@pytest.mark.parametrize('ratio', ['m01', 'm05', 'm10'])
def test_tiny_partial_res_reads_its_own_contours(ratio):
    pseudo = load(f'partial-res_tiny_{ratio}-pseudo_refshapes')
    assert pseudo.model == load('partial-res_tiny_m100_refshapes').model
    assert load(f'box-frame_tiny_{ratio}-pseudo_refshapes').model.head.contours_from == 'cells'


def test_ablation():
    """Each config adds something, and nothing else changes."""
    switches = ('language_token', 'task_prompt', 'co_content', 'point_modulation')
    configs = [load(stage(f'm05-{name}')).to_dict() for name in ABLATION]
    chosen = [[config['model']['head'].pop(key) for key in switches] for config in configs]
    assert [sum(row) for row in chosen] == [0, 2, 3, 4]
    first = json.dumps(configs[0], sort_keys=True)
    assert all(json.dumps(config, sort_keys=True) == first for config in configs[1:])
    assert configs[0]['load_from'] == 'work_dirs/seqtr_darknet53_rec_refcoco-unc/best.pth'
    full = load(stage('m05')).to_dict()
    full['load_from'] = configs[0]['load_from']
    for key in switches:
        assert full['model']['head'].pop(key)
    assert json.dumps(full, sort_keys=True) == first


def test_metafiles(repo_root):
    """model-index.yml imports every metafile; together they list every config."""
    imported = yaml.safe_load((repo_root / 'model-index.yml').read_text())['Import']
    assert {repo_root / path for path in imported} == set(ROOT.rglob('metafile.yml'))
    listed = []
    for path in imported:
        content = yaml.safe_load((repo_root / path).read_text())
        collections = {collection['Name'] for collection in content['Collections']}
        for model in content['Models']:
            assert model['In Collection'] in collections
            assert model['Name'] == model['Config'].rpartition('/')[2].removesuffix('.py')
            listed.append(repo_root / model['Config'])
    assert len(listed) == len(set(listed))
    assert set(listed) == set(PATHS.values())
