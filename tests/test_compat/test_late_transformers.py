"""``transformers`` is imported by what uses it, and mmdet's own users of it still find it."""

import subprocess
import sys

from transformers import BertConfig, BertModel, BertTokenizerFast

from mmrefseg.compat.late_transformers import LATE, late_transformers
from mmrefseg.experiments import encoder_trials


def run(code):
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()  # mmengine says something of Adafactor before


def test_registration_and_all_that_starts_a_run_do_without():
    """Neither transformers nor the compiler of torch, which it imports."""
    code = """
import importlib, os, sys, mmrefseg.compat
for name in ('registration', 'runs.config', 'runs.testing', 'apis'):
    if os.fork() == 0:
        importlib.import_module(f'mmrefseg.{name}')
        os._exit(len({'transformers', 'torch._dynamo'} & set(sys.modules)))
    print(os.waitstatus_to_exitcode(os.wait()[1]), end=' ')
"""
    assert run(code) == ['0'] * 4


def test_what_uses_it_gets_the_real_one(tmp_path):
    """mmengine's Adafactor; the BERT of mmdet's Grounding DINO and its transform, from a local folder."""
    folder = encoder_trials.write_tokenizer(tmp_path, ['the', 'red', 'star'])
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(BertConfig(vocab_size=20, **sizes)).save_pretrained(folder)
    code = f"""
import sys, torch, mmrefseg.registration
from mmdet.registry import MODELS as models, TRANSFORMS as transforms
from mmengine.registry import OPTIMIZERS as optimizers
assert 'transformers' not in sys.modules
optimizer = optimizers.build(dict(type='Adafactor', params=[torch.nn.Parameter(torch.zeros(2))]))
bert = models.build(dict(type='mmdet.BertModel', name={str(folder)!r}, num_layers_of_embedded=1))
network = bert.language_backbone.body.model
pairs = transforms.build(dict(type='RandomSamplingNegPos', tokenizer_name={str(folder)!r}))
print(type(optimizer).__module__, type(network).__name__, *pairs.tokenizer.tokenize('the red star'))
"""
    assert run(code) == ['transformers.optimization', 'BertModel', 'the', 'red', 'star']


def test_one_that_is_imported_stays():
    """And its classes are what mmdet would get."""
    real = sys.modules['transformers']
    with late_transformers():
        assert sys.modules['transformers'] is real
    assert all(hasattr(real, name) for name in LATE)


def test_it_counts_as_installed_meanwhile():
    """Host packages ask for it before they use it."""
    code = (
        'from importlib.util import find_spec\n'
        'from mmrefseg.compat.late_transformers import late_transformers\n'
        'with late_transformers():\n    print(find_spec("transformers") is not None)'
    )
    assert run(code) == ['True']
