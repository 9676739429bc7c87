"""Converting SeqTR's and Partial-RES's checkpoints: which network, weights and words, and what is written.

The checkpoints have the originals' keys and shapes; a tensor's one number is repeated: they are small.
What the numbers compute after conversion is the matter of tests/test_models/test_seqtr_parity.py.
"""

import json

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmrefseg.checkpoints.from_seqtr import convert, convert_checkpoint, recognise
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.datasets.vocabulary import SPECIAL_WORDS, Vocabulary
from mmrefseg.engine.hooks.checkpoint_hooks import broken_conventions
from mmrefseg.utils import UserInputError

NETWORKS = {
    'A_seqtr_rec': ('seqtr', 'rec', 0),
    'B_seqtr_res_ray12': ('seqtr', 'res', 12),
    'B_seqtr_res_ray18': ('seqtr', 'res', 18),
    'C_seqtr_multitask': ('seqtr', 'multi-task', 18),
    'C_partial_multitask': ('partial_res', 'multi-task', 12),
    'D_partial_res_ray12': ('partial_res', 'res', 12),
    'D_partial_res_ray18': ('partial_res', 'res', 18),
    'E_partial_rec': ('partial_res', 'rec', 0),
}
WORDS = [f'w{index}' for index in range(497)]


def make_state(golden_dir, name, value=0.0):
    spec = json.loads((golden_dir / 'seqtr' / f'spec_{name}.json').read_text())
    return {
        key: torch.tensor(value, dtype=getattr(torch, dtype)).expand(shape)
        for key, (shape, dtype) in spec.items()
    }


@pytest.mark.parametrize('name', NETWORKS)
def test_every_kind_of_checkpoint_is_complete(golden_dir, name):
    """Recognised from its shapes, every key at a place of the right shape in the config that goes with it."""
    state = make_state(golden_dir, name)
    conversion = convert_checkpoint({'state_dict': state}, name)
    conversion.report.require_complete(name)
    network = conversion.network
    assert (network.family, network.task, network.num_points) == NETWORKS[name]
    assert (network.num_words, network.num_bins) == (500, 1000)
    report = conversion.report
    assert len(report.state) + len(report.dropped) == len(state)
    if name == 'C_partial_multitask':
        assert report.dropped == {'head.task_embedding.weight': 'Partial-RES never trains or uses it'}
        assert report.notes == {'head.decoder.position.weight': 'the first 25 of 30 places'}
    else:
        assert not report.dropped and not report.notes
    model = conversion.config().model
    predicts_box = network.task == 'rec' or name == 'C_seqtr_multitask'
    assert (model.head.with_box, model.head.with_mask) == (predicts_box, network.task != 'rec')
    assert model.head.codec.legacy and model.head.legacy and model.language_model.legacy_padding
    assert model.backbone.norm_eval is False and model.backbone.init_cfg is None


def test_layers_and_bins_are_read_off(golden_dir):
    state = make_state(golden_dir, 'D_partial_res_ray12')
    state = {key: value for key, value in state.items() if 'encoder.layers.5' not in key}
    state['head.transformer.query_embedding.weight'] = torch.zeros(501, 256)
    state['head.predictor.2.fc.weight'] = torch.zeros(501, 256)
    state['head.predictor.2.fc.bias'] = torch.zeros(501)
    conversion = convert_checkpoint({'state_dict': state}, 'x')
    conversion.report.require_complete('x')
    head = conversion.config().model.head
    assert (head.codec.num_bins, head.num_encoder_layers, head.num_decoder_layers) == (500, 5, 3)


def test_fine_tuning_encodes_as_the_head_decodes(golden_dir):
    conversion = convert_checkpoint({'state_dict': make_state(golden_dir, 'D_partial_res_ray12')}, 'x')
    config = conversion.config()
    (step,) = [s for s in config.train_dataloader.dataset.pipeline if s.type == 'EncodeContour']
    assert step.codec == config.model.head.codec
    assert (step.codec.num_points, step.codec.legacy) == (12, True)


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_average_or_raw_weights(golden_dir, prefix):
    raw, ema = (make_state(golden_dir, 'A_seqtr_rec', value) for value in (1.0, 2.0))
    checkpoint = {'state_dict': {prefix + key: value for key, value in raw.items()}}
    both = {**checkpoint, 'ema_state_dict': {prefix + key: value for key, value in ema.items()}}

    def value_of(content, which=None):
        conversion = convert_checkpoint(content, 'det_best.pth', which=which)
        conversion.report.require_complete('det_best.pth')
        return conversion.weights, conversion.report.state['head.token_embedding.weight'].unique().item()

    assert value_of(both) == value_of(both, 'ema') == ('ema', 2)
    assert value_of(both, 'raw') == value_of(checkpoint) == ('raw', 1)
    assert value_of({prefix + key: value for key, value in raw.items()}) == ('raw', 1), 'a bare state dict'
    with pytest.raises(UserInputError, match='found only raw weights, expected ema_state_dict'):
        value_of(checkpoint, 'ema')
    with pytest.raises(UserInputError, match='found no weights'):
        value_of({'epoch': 1})


def test_other_checkpoints_are_refused(golden_dir):
    with pytest.raises(
        UserInputError, match=r'no lan_enc\.embedding\.weight, expected a checkpoint of SeqTR'
    ):
        recognise({'conv1.weight': torch.zeros(1)}, 'resnet.pth')
    state = make_state(golden_dir, 'B_seqtr_res_ray12')
    state['head.transformer.seq_positional_encoding.embedding.weight'] = torch.zeros(24, 256)
    with pytest.raises(UserInputError, match='found 24 places'):
        recognise(state, 'x.pth')


def test_sets_without_a_config_are_refused(golden_dir):
    state = {'state_dict': make_state(golden_dir, 'D_partial_res_ray12')}
    with pytest.raises(UserInputError, match=r'--dataset flickr30k.*one of refcoco-unc, refcocoplus-unc, '):
        convert_checkpoint(state, 'x', dataset='flickr30k')
    rec = {'state_dict': make_state(golden_dir, 'A_seqtr_rec')}
    for dataset in ('flickr30k', 'referit', 'mixed', 'refcocog-google'):
        conversion = convert_checkpoint(rec, 'x', dataset)
        conversion.report.require_complete('x')
        assert conversion.config().model.language_model.max_tokens == {'mixed': 40}.get(
            dataset, conversion.config().language.max_tokens
        )


def test_written_files_find_each_other(golden_dir, tmp_path):
    """Moved together, the three files still belong together; the checkpoint alone says it all too."""
    source, words = tmp_path / 'segm_best.pth', Vocabulary(WORDS)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], amsgrad=True)
    beside = dict(  # what the original saves with the weights
        optimizer=adam.state_dict(),
        scheduler=torch.optim.lr_scheduler.LambdaLR(adam, lambda epoch: 0.5).state_dict(),
        **dict(epoch=89, lr=5e-5, amp=False, d_acc=0, miou=58.9, best_d_acc=0.0, best_miou=58.8),
    )
    torch.save({'state_dict': make_state(golden_dir, 'D_partial_res_ray12', 3.0), **beside}, source)
    convert(source, vocabulary=words).write(tmp_path / 'out' / 'res.pth')
    (tmp_path / 'out').rename(tmp_path / 'elsewhere')
    folder = tmp_path / 'elsewhere'
    assert sorted(path.name for path in folder.iterdir()) == ['res.pth', 'res.py', 'res.vocab.json']
    config = Config.fromfile(folder / 'res.py')
    assert config.load_from == str(folder / 'res.pth')
    checkpoint = load_checkpoint_file(folder / 'res.pth')
    meta = checkpoint['meta']
    assert (meta['original'], meta['task'], meta['weights']) == ('Partial-RES', 'res', 'raw')
    for content in (config, Config.fromstring(meta['cfg'], '.py')):
        with torch.device('meta'):
            model = MODELS.build(content.model)
        model.load_state_dict(checkpoint['state_dict'], strict=True, assign=True)
        assert model.language_model.vocabulary.words == [*SPECIAL_WORDS, *WORDS]
        assert not model.language_model.embedding.weight.requires_grad, 'frozen, as in the original'
        assert broken_conventions(model, meta['conventions']) == []
    assert content.test_dataloader.dataset.split == 'val', 'a config of a whole run'


def test_other_conventions_are_noticed(golden_dir, tmp_path):
    """Stage 2 from a published REC checkpoint: the config must be told how the GRU was trained."""
    conversion = convert_checkpoint({'state_dict': make_state(golden_dir, 'A_seqtr_rec')}, 'det_best.pth')
    conversion.write(tmp_path / 'rec.pth')
    conventions = load_checkpoint_file(tmp_path / 'rec.pth')['meta']['conventions']
    model = (
        convert_checkpoint({'state_dict': make_state(golden_dir, 'D_partial_res_ray12')}, 'x').config().model
    )
    model.language_model.vocabulary = dict(words=WORDS)
    with torch.device('meta'):
        assert broken_conventions(MODELS.build(model), conventions) == []
        model.language_model.legacy_padding = False
        broken = broken_conventions(MODELS.build(model), conventions)
    assert broken == ['model.language_model.legacy_padding=True']


def test_words_must_be_as_many_as_vectors(golden_dir):
    state = make_state(golden_dir, 'A_seqtr_rec')
    with pytest.raises(UserInputError, match='word vectors of 500 words, expected 499'):
        convert_checkpoint({'state_dict': state}, 'x', vocabulary=Vocabulary(WORDS[1:]))
    convert_checkpoint({'state_dict': state}, 'x', vocabulary=Vocabulary(WORDS)).report.require_complete('x')
