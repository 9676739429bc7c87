"""Text encoders of Hugging Face's transformers: words, masks and sentences, what is frozen, bad input."""

import json
import pickle

import pytest
import torch
from hf_models import TEXT, VIT, WORDS, save_model
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from transformers import AutoTokenizer

from mmrefseg.experiments import encoder_trials
from mmrefseg.models.heads.auxiliary import build_auxiliary_heads
from mmrefseg.models.language_models.kept_sentences import KeptSentences
from mmrefseg.models.language_models.token_batch import join_tokens
from mmrefseg.utils import UserInputError

SENTENCES = ['the red star', 'the blue circle left of the red star']


@pytest.fixture(autouse=True)
def few_words():
    """mmengine logs every parameter that it initialises."""
    MMLogger.get_current_instance().setLevel('ERROR')


@pytest.fixture(scope='session')
def tokenizer(tmp_path_factory):
    return str(encoder_trials.write_tokenizer(tmp_path_factory.mktemp('words'), WORDS))


def build(model=None, **options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='HFTextEncoder', model=None if model is None else str(model), **options))


@pytest.mark.parametrize('kind', ['bert', 'clip', 'siglip'])
def test_words_and_sentences_are_transformers_own(tmp_path, tokenizer, kind):
    """With the padding that the model was trained with; of an image-text model, its text tower."""
    both = {} if kind == 'bert' else dict(text_config=TEXT, vision_config=VIT)
    theirs = save_model(tmp_path, kind, **(TEXT if kind == 'bert' else both))
    theirs = getattr(theirs, 'text_model', theirs)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(tmp_path)
    ours = build(tmp_path).eval()
    ours.init_weights()
    own = AutoTokenizer.from_pretrained(tmp_path)
    rows = own(SENTENCES, padding='max_length', max_length=24, return_tensors='pt')
    mask = {} if kind == 'siglip' else dict(attention_mask=rows['attention_mask'])
    with torch.no_grad():
        expected = theirs(input_ids=rows['input_ids'], **mask)
        words, real, sentence = ours.encode(ours.tokenize(SENTENCES))
    assert real.sum(1).tolist() == [5, 10] and words.shape[1] == (24 if kind == 'siglip' else 10)
    theirs_words = expected.last_hidden_state[:, : words.shape[1]]
    torch.testing.assert_close(words[real], theirs_words[real], rtol=1e-4, atol=1e-5)
    if kind == 'bert':
        pooled = torch.stack([x[m].mean(0) for x, m in zip(theirs_words, real, strict=True)])
    else:
        pooled = expected.pooler_output
    torch.testing.assert_close(sentence, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind', ['bert', 'siglip', 'roberta'])
@pytest.mark.parametrize('pooling', ['auto', 'max', 'first', 'gru'])
def test_a_sentence_does_not_depend_on_its_neighbours(tokenizer, kind, pooling):
    config = dict(model_type=kind, **(dict(text_config=TEXT) if kind == 'siglip' else TEXT))
    model = build(
        config=config, tokenizer=tokenizer, output='sentence', pooling=pooling, out_channels=12
    ).eval()
    with torch.no_grad():
        both, alone = model(model.tokenize(SENTENCES)), model(model.tokenize(SENTENCES[:1]))
    assert both.shape == (2, 12) and model.out_channels == 12
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(both[0], both[1])


def test_expressions_are_cut_but_keep_their_end(tokenizer):
    model = build(config=dict(model_type='bert', **TEXT), tokenizer=tokenizer, max_tokens=6)
    assert model.cuts.total == 0, 'what the building of it has read is not counted'
    tokens = model.tokenize(SENTENCES)
    assert str(model.cuts) == '1 of 2 sentences was cut to 6 tokens; the longest has 10'
    model.tokenize(['the red star star'])
    assert (model.cuts.total, model.cuts.cut) == (3, 1), 'one that just fits is not cut'
    assert tokens.ids.shape == (2, 6) and tokens.ids[1, -1] == 3
    assert tokens.ids[0].tolist()[5:] == [0] and tokens.mask[0].tolist() == [True] * 5 + [False]
    joined = join_tokens(tokens, [0, 1])
    assert model(joined).words.shape[:2] == (1, 11)


@pytest.mark.parametrize(('frozen', 'layers'), [(True, ''), (1, '1'), (False, '01')])
@pytest.mark.parametrize('output', ['words', 'sentence'])
def test_frozen(tokenizer, frozen, layers, output):
    config = dict(model_type='siglip', text_config=TEXT)
    model = build(config=config, tokenizer=tokenizer, output=output, out_channels=8, frozen=frozen).train()
    result = model(model.tokenize(SENTENCES))
    (result if output == 'sentence' else result.words).square().sum().backward()
    learn = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(model.get_parameter(name).grad is not None for name in learn)
    assert {'project.weight', 'project.bias'} <= learn
    assert {name.split('.')[3] for name in learn if name.startswith('encoder.encoder.layers')} == {*layers}
    assert model.encoder.encoder.layers[0].training == (frozen is False)
    assert ('encoder.head.weight' in learn) == (output == 'sentence' and frozen is not True)


def test_batch_norm_of_sentences(tokenizer):
    """One sentence alone has no statistics of its own, and takes the running ones."""
    config = dict(model_type='bert', **TEXT)
    model = build(config=config, tokenizer=tokenizer, output='sentence', batch_norm=True).train()
    assert model(model.tokenize(SENTENCES)).mean(0).abs().max() < 1e-5
    assert torch.isfinite(model(model.tokenize(SENTENCES[:1]))).all()


# --- bad input


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            dict(config=dict(model_type='bert', **TEXT)),
            'no model, and not both config.model_type and tokenizer',
        ),
        (dict(model='google/siglip2-base-patch16-224'), 'hf download google/siglip2-base-patch16-224'),
        (
            dict(config=dict(model_type='dinov3_vit', **VIT)),
            "'dinov3_vit', which has no text tower.*HFBackbone",
        ),
        (
            dict(config=dict(model_type='wav2vec2', num_hidden_layers=1)),
            "'wav2vec2', which reads no sentence .* a text encoder",
        ),
        (dict(max_tokens=25), 'found max_tokens=25, expected at most 24'),
        (dict(output='word'), "output='word', expected one of words, sentence"),
        (dict(pooling='model'), "pooling='model', expected mean, max or first"),
        (
            dict(pooling='gru', output='words'),
            "output='words' and out_channels=None .the encoder's 16., expected output",
        ),
        (dict(pooling='gru', output='sentence', out_channels=7), 'out_channels=7.* an even number'),
        (
            dict(
                pooling='gru',
                output='sentence',
                config=dict(model_type='bert', **TEXT | dict(hidden_size=15, num_attention_heads=1)),
            ),
            "None .the encoder's 15., .* an even number",
        ),
        (dict(out_channels=0), 'out_channels=0, expected a number from 1, or None'),
        (dict(pooling='gru', output='sentence', out_channels=-2), 'out_channels=-2, expected a number'),
        (dict(out_channels='16'), "out_channels='16', expected a number"),
        (dict(max_tokens=0), 'max_tokens=0, expected a number from 3, of which 2 are special ones'),
        (dict(max_tokens=2), 'max_tokens=2, expected a number from 3'),
        (dict(max_tokens='20'), "max_tokens='20', expected a number from 3"),
        (dict(noise='0.5', output='sentence', frozen=True), "noise='0.5' .* a positive number"),
        (dict(noise=float('inf'), output='sentence', frozen=True), 'noise=inf .* a positive number'),
        (
            dict(config=dict(model_type='bert', **TEXT | dict(vocab_size=8))),
            'a tokenizer of 11 tokens, expected',
        ),
        (dict(frozen=3), 'found frozen=3'),
        (dict(tokenizer='no/such/folder'), 'no such folder'),
    ],
)
def test_bad_options(tokenizer, options, sentence):
    if 'config' not in options and 'model' not in options:
        options = dict(config=dict(model_type='bert', **TEXT)) | options
    if 'no model' not in sentence and 'model' not in options:
        options = dict(tokenizer=tokenizer) | options
    with pytest.raises(UserInputError, match=sentence) as caught:
        build(**options)
    assert '\n' not in str(caught.value)


def test_too_many_tokens_in_a_row(tokenizer):
    model = build(config=dict(model_type='roberta', **TEXT), tokenizer=tokenizer)
    tokens = model.tokenize(SENTENCES)
    with pytest.raises(UserInputError, match='found 30 tokens in a row, expected at most 23; join fewer'):
        model(join_tokens(tokens, [1, 1, 1]))


def test_heads_that_need_words(tokenizer):
    model = build(config=dict(model_type='bert', **TEXT), tokenizer=tokenizer)
    with pytest.raises(UserInputError, match='found a HFTextEncoder, which has no list of words'):
        build_auxiliary_heads([dict(type='WordHead', in_channels=4)], model)


def test_no_pad_token(tmp_path, tokenizer):
    config = dict(model_type='bert', **TEXT)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(tmp_path)
    file = tmp_path / 'tokenizer_config.json'
    content = json.loads(file.read_text())
    content.pop('pad_token')
    file.write_text(json.dumps(content))
    with pytest.raises(UserInputError, match=r"without pad token, expected one.*pad_token='</s>'"):
        build(config=config, tokenizer=str(tmp_path))
    with pytest.raises(UserInputError, match="pad_token='<pad>', expected a token that the tokenizer knows"):
        build(config=config, tokenizer=str(tmp_path), pad_token='<pad>')
    with pytest.raises(UserInputError, match='pad_token=0, expected a token that the tokenizer knows'):
        build(config=config, tokenizer=str(tmp_path), pad_token=0)
    model = build(config=config, tokenizer=str(tmp_path), pad_token='</s>')
    tokens = model.tokenize(SENTENCES)
    assert tokens.mask.sum(1).tolist() == [5, 10] and tokens.ids[0, -1] == 3
    first = model.tokenizer.convert_ids_to_tokens(0)
    assert build(config=config, tokenizer=str(tmp_path), pad_token=first).tokenizer.pad_token_id == 0


def test_no_tokenizer(tmp_path):
    save_model(tmp_path, 'bert', **TEXT)
    with pytest.raises(UserInputError, match='found no tokenizer, expected tokenizer'):
        build(tmp_path)
    (tmp_path / 'tokenizer.json').write_text('{}')
    with pytest.raises(UserInputError, match='no tokenizer that can be read'):
        build(tmp_path)


class _Calls:
    def __reduce__(self):
        return print, ('this must not be run',)


def test_a_pickle_runs_no_code(tmp_path, tokenizer, capsys):
    save_model(tmp_path, 'bert', **TEXT)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(tmp_path)
    (tmp_path / 'model.safetensors').unlink()
    (tmp_path / 'pytorch_model.bin').write_bytes(pickle.dumps(dict(weight=_Calls()), protocol=2))
    with pytest.raises(UserInputError, match='found weights as pickle only'):
        build(tmp_path).init_weights()
    with pytest.raises(UserInputError, match='files that cannot be read'):
        build(tmp_path, allow_pickle=True).init_weights()
    assert 'must not' not in capsys.readouterr().out


def test_sentences_of_a_frozen_encoder_are_computed_once(tokenizer):
    """The same vectors as the encoder's own; new weights make them anew."""
    config = dict(model_type='bert', **TEXT)
    encoder = build(config=config, tokenizer=tokenizer, output='sentence', frozen=True).eval()
    calls = []
    encoder.encoder.register_forward_hook(lambda *_: calls.append(1))
    expected = encoder.encode(encoder.tokenize(SENTENCES)).sentence
    first = encoder(encoder.tokenize(SENTENCES))
    again = encoder(encoder.tokenize([*reversed(SENTENCES), SENTENCES[0]]))
    assert len(calls) == 2
    torch.testing.assert_close(first, expected)
    assert torch.equal(again, first[[1, 0, 0]])
    other = build(config=config, tokenizer=tokenizer, output='sentence', frozen=True)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    encoder.load_state_dict(other.state_dict())
    changed = encoder(encoder.tokenize(SENTENCES))
    assert len(calls) == 3 and not torch.allclose(changed, first)


def test_sentences_that_learn_are_not_kept(tokenizer):
    encoder = build(config=dict(model_type='bert', **TEXT), tokenizer=tokenizer, output='sentence').eval()
    tokens = encoder.tokenize(SENTENCES)
    before = encoder(tokens).detach()
    with torch.no_grad():
        encoder.encoder.embeddings.word_embeddings.weight.mul_(3)
    assert not torch.allclose(encoder(tokens), before)


def test_noise(tokenizer):
    """Of the wanted size on normalised vectors, in training only."""
    config = dict(model_type='bert', **TEXT)
    encoder = build(config=config, tokenizer=tokenizer, output='sentence', frozen=True, noise=0.5).train()
    sentences = [f'{a} {b} {c}' for a in WORDS for b in WORDS for c in WORDS]
    tokens = encoder.tokenize(sentences)
    found = encoder(tokens) - encoder.spread(torch.stack(encoder._vectors(tokens)))
    assert abs(float(found.std()) - 0.5) < 0.01 and abs(float(found.mean())) < 0.01
    encoder.eval()
    assert torch.equal(encoder(tokens), encoder(tokens))
    for wrong in (dict(output='words'), dict(frozen=False), dict(noise=-1)):
        options = dict(output='sentence', frozen=True, noise=0.5) | wrong
        with pytest.raises(UserInputError, match='expected a positive number'):
            build(config=config, tokenizer=tokenizer, **options)


def test_the_sentence_that_is_tried_first_leaves_no_statistics(tokenizer):
    config = dict(model_type='bert', **TEXT)
    options = dict(output='sentence', pooling='gru', frozen=True, noise=0.5)
    spread = build(config=config, tokenizer=tokenizer, **options).spread
    assert spread.num_batches_tracked == 0 and not spread.running_mean.any()


def test_sentences_kept_in_mixed_precision_serve_there_alone(tokenizer):
    """SigLIP's own vector is of half precision there, which float layers do not take in validation."""
    config = dict(model_type='siglip', text_config=TEXT)
    options = dict(config=config, tokenizer=tokenizer, output='sentence', out_channels=8, frozen=True)
    encoder = build(**options)
    tokens = encoder.tokenize(SENTENCES)
    with torch.autocast('cpu', torch.bfloat16):
        assert encoder.train()(tokens).dtype == torch.bfloat16
    torch.testing.assert_close(encoder.eval()(tokens), build(**options).eval()(tokens))


@pytest.mark.parametrize('options', [{}, dict(output='sentence', pooling='gru', frozen=True)])
def test_nothing_but_empty_sentences_without_special_tokens(tmp_path, tokenizer, options):
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(tmp_path)
    file = tmp_path / 'tokenizer.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | dict(post_processor=None)))
    encoder = build(config=dict(model_type='bert', **TEXT), tokenizer=str(tmp_path), **options).eval()
    tokens = encoder.tokenize(['', ''])
    assert tokens.ids.tolist() == [[0], [0]] and not tokens.mask.any()
    found = encoder(tokens)
    assert (found if options else found.words).isfinite().all()


def test_a_gru_reads_words_as_of_a_vocabulary(tokenizer):
    """Of a sentence among others, padded, its GRU makes what it makes of that sentence's words alone."""
    config = dict(model_type='bert', **TEXT)
    options = dict(config=config, tokenizer=tokenizer, output='sentence', pooling='gru', out_channels=12)
    encoder = build(**options, frozen=True, noise=0.5).eval()
    tokens = encoder.tokenize(SENTENCES)
    found = encoder(tokens)
    assert found.shape == (2, 12) and encoder.out_channels == 12
    words = encoder._run(tokens)[0]
    words = encoder._project(words.flatten(0, 1)).unflatten(0, words.shape[:2])
    for row, (each, real) in enumerate(zip(words, tokens.mask, strict=True)):
        states, _ = encoder.gru(each[real][None])
        torch.testing.assert_close(found[row], states[0].amax(0))
    calls = []
    encoder.encoder.register_forward_hook(lambda *_: calls.append(1))
    encoder.train()(tokens).square().sum().backward()
    assert not calls  # of a frozen encoder they are kept
    learn = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert {name.split('.')[0] for name in learn} == {'project', 'gru'}
    assert all(encoder.get_parameter(name).grad is not None for name in learn)


def test_what_is_kept_of_sentences_has_a_limit():
    kept = KeptSentences(limit=3 * 4 * 4)  # three vectors of four single-precision numbers
    asked = []

    def compute(rows):
        asked.append(rows)
        return [torch.full((4,), float(row)) for row in rows]

    kept.get('ab', compute)
    assert [float(each[0]) for each in kept.get('bac', compute)] == [1, 0, 2] and asked == [[0, 1], [2]]
    kept.get('ad', compute)  # a fourth: b and c are forgotten
    kept.get('dab', compute)
    assert asked[2:] == [[1], [2]]
