"""Does an encoder of Hugging Face's transformers work here? Five training steps and a prediction with each.

Each is made small and with random weights from its config, so that nothing is downloaded: this shows that an
architecture works as an encoder, not what published weights give. Images and sentences are RefShapes'.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from .. import registration  # noqa: F401  (registers what the configs name)
from ..datasets.refshapes import generate
from ..datasets.refshapes.presets import make_preset
from ..utils import UserInputError
from ..utils.places import shipped

STEPS = 5
SIDE = 64  # pixels

PLAIN = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=SIDE,
    patch_size=16,
)  # fmt: skip
RATIO = {key: value for key, value in PLAIN.items() if key != 'intermediate_size'}  # those with an mlp_ratio
ODD = dict(RATIO, image_size=56, patch_size=14)
NAFLEX = dict(num_patches=16, **{key: value for key, value in PLAIN.items() if key != 'image_size'})
STAGES = dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1])
WINDOWS = dict(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=4, image_size=SIDE)
WORDS = dict(
    vocab_size=512, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=48, pad_token_id=0, bos_token_id=2, eos_token_id=3,
)  # fmt: skip

# model_type -> a published model, and the fields of a small one.
IMAGE_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    'aimv2_vision_model': ('apple/aimv2-large-patch14-native', PLAIN),
    'beit': ('microsoft/beit-base-patch16-224-pt22k', PLAIN),
    'bit': ('google/bit-50', dict(STAGES, embedding_size=16, num_groups=4)),
    'clip': ('openai/clip-vit-base-patch16', dict(vision_config=PLAIN)),
    'convnext': ('facebook/convnext-base-224-22k@refs/pr/1', STAGES),
    'convnextv2': ('facebook/convnextv2-base-22k-224', STAGES),
    'data2vec-vision': ('facebook/data2vec-vision-base', PLAIN),
    'deit': ('facebook/deit-base-patch16-224', PLAIN),
    'dinov2': ('facebook/dinov2-base', ODD),
    'dinov2_with_registers': ('facebook/dinov2-with-registers-base', ODD),
    'dinov3_convnext': ('facebook/dinov3-convnext-base-pretrain-lvd1689m', STAGES),
    'dinov3_vit': ('facebook/dinov3-vitb16-pretrain-lvd1689m', PLAIN),
    'focalnet': (
        'microsoft/focalnet-base', dict(embed_dim=16, depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 128])
    ),
    'hiera': (
        'facebook/hiera-base-224-hf',
        dict(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], image_size=[SIDE, SIDE]),
    ),
    'ijepa': ('facebook/ijepa_vith14_1k', PLAIN),
    'maskformer-swin': ('', WINDOWS),
    'mobilenet_v2': ('google/mobilenet_v2_1.0_224', dict(depth_multiplier=0.35)),
    'pixio': ('facebook/pixio-vitb16', RATIO),
    'poolformer': (
        'sail/poolformer_s12', dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1])
    ),
    'pvt_v2': ('OpenGVLab/pvt_v2_b2', dict(STAGES, num_attention_heads=[1, 2, 3, 4])),
    'regnet': (
        'facebook/regnet-y-040',
        dict(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], groups_width=8),
    ),
    'resnet': ('microsoft/resnet-50', dict(STAGES, embedding_size=16)),
    'segformer': (
        'nvidia/mit-b2', dict(STAGES, num_attention_heads=[1, 2, 2, 2], decoder_hidden_size=16)
    ),
    'siglip': ('google/siglip2-base-patch16-224', dict(vision_config=PLAIN)),
    'siglip2': ('google/siglip2-base-patch16-naflex', dict(vision_config=NAFLEX)),
    'swin': ('microsoft/swin-base-patch4-window7-224-in22k', WINDOWS),
    'swinv2': ('microsoft/swinv2-base-patch4-window12-192-22k', WINDOWS),
    'vit': ('google/vit-base-patch16-224-in21k', PLAIN),
    'vit_msn': ('facebook/vit-msn-base', PLAIN),
    'vitdet': ('', RATIO),
    'vitpose_backbone': (
        '', dict(RATIO, image_size=[SIDE, SIDE], patch_size=[16, 16])
    ),
}  # fmt: skip
TEXT_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    'albert': ('albert/albert-base-v2', WORDS),
    'bert': ('google-bert/bert-base-uncased', WORDS),
    'clip': ('openai/clip-vit-base-patch16', dict(text_config=WORDS)),
    'deberta-v2': ('microsoft/deberta-v3-base', WORDS),
    'distilbert': (
        'distilbert/distilbert-base-uncased',
        dict(
            vocab_size=512, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=48,
            pad_token_id=0,
        ),
    ),
    'electra': ('google/electra-base-discriminator', WORDS),
    'eurobert': ('EuroBERT/EuroBERT-210m', WORDS),
    'modernbert': ('answerdotai/ModernBERT-base', dict(WORDS, cls_token_id=2, sep_token_id=3)),
    'mpnet': ('sentence-transformers/all-mpnet-base-v2', WORDS),
    'roberta': ('FacebookAI/roberta-base', WORDS),
    'siglip': ('google/siglip2-base-patch16-224', dict(text_config=WORDS)),
    'siglip2': ('google/siglip2-base-patch16-naflex', dict(text_config=WORDS)),
    't5': (
        'google-t5/t5-base', dict(vocab_size=512, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
    ),
    'xlm-roberta': ('FacebookAI/xlm-roberta-base', WORDS),
}  # fmt: skip


class Trial:
    """Two images with sentences, a tokenizer that knows their words, and a SeqTR to put encoders into.

    Args:
        folder: Where the data set and the tokenizer are written.
    """

    def __init__(self, folder: Path) -> None:
        made = generate(make_preset('trial', SIDE, 2, 1, 1, 1), folder, num_workers=1, progress=False)
        self.ann_file = made.annotations / 'instances.json'
        self.tokenizer = write_tokenizer(folder / 'tokenizer', made.meta['vocabulary'])
        codec = dict(type='ContourCodec', num_points=6, num_bins=32, sampling='even', pad_divisor=32)
        first = [dict(type='LoadRefImage'), dict(type='DrawExpression'), dict(type='LoadRefAnnotations')]
        last = [dict(type='EncodeContour', codec=codec), dict(type='PackRefInputs')]
        dataset = DATASETS.build(
            dict(
                type='RefSegDataset',
                ann_file=str(self.ann_file),
                data_prefix=dict(img_path=str(made.images)),
                split='train',
                group_by='image',
                pipeline=[*first, dict(type='RefResize', scale=(SIDE, SIDE)), *last],
            )
        )
        self.batch = pseudo_collate([dataset[i] for i in range(2)])
        self.codec = codec

    def seqtr(self, **parts) -> nn.Module:
        """Partial-RES of RefShapes' size with some of its parts replaced."""
        model = Config.fromfile(shipped('configs/_base_/models/partial-res_tiny.py')).model.to_dict()
        model['data_preprocessor'] |= dict(mean=None, std=None)
        model['language_model'] |= dict(vocabulary=dict(ann_file=str(self.ann_file)), batch_norm=False)
        model['head'] |= dict(codec=self.codec, num_encoder_layers=1, num_decoder_layers=1)
        torch.manual_seed(0)
        return MODELS.build(model | parts)

    def lavt(self, backbone: dict, **language) -> nn.Module:
        """LAVT with a backbone, and a language model that reads RefShapes' words unless it is another one."""
        words = dict(type='WordEncoder', vocabulary=dict(ann_file=str(self.ann_file)), max_tokens=16)
        language = language if 'type' in language else words | language
        torch.manual_seed(0)
        built = MODELS.build(backbone)
        model = dict(
            type='LAVT',
            data_preprocessor=dict(type='DetDataPreprocessor', mean=None, std=None, bgr_to_rgb=True),
            backbone=backbone,
            language_model=language,
            decode_head=dict(type='LAVTHead', in_channels=built.out_channels, channels=16),
        )
        return MODELS.build(model)

    def run(self, model: nn.Module) -> None:
        """Training steps and a prediction.

        Raises:
            UserInputError: If a loss is not finite, a parameter gets no gradient, or nothing is predicted.
        """
        model.train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
        for _ in range(STEPS):
            data = model.data_preprocessor(self.batch, training=True)
            loss, _ = model.parse_losses(model(**data, mode='loss'))
            optimizer.zero_grad()
            loss.backward()
            still = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
            if still or not torch.isfinite(loss):
                raise UserInputError.of(
                    'trial', f'loss {loss:.2f}, no gradient of {still[:3]}', 'both', 'look'
                )
            optimizer.step()
        with torch.no_grad():
            results = model.eval()(**model.data_preprocessor(self.batch), mode='predict')
        if not all(len(item.pred_instances.masks) == len(item.expressions) for item in results):
            raise UserInputError.of('trial', 'too few masks', 'one per expression', 'look')


def write_tokenizer(folder: Path, words: Iterable[str]) -> Path:
    """A tokenizer of whole words, as a folder that transformers reads."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ['[PAD]', '[UNK]', '<s>', '</s>']
    table = {word: i for i, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token='[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(token, table[token]) for token in ('<s>', '</s>')]
    tokenizer.post_processor = processors.TemplateProcessing(single='<s> $A </s>', special_tokens=ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token='[PAD]', unk_token='[UNK]', bos_token='<s>', eos_token='</s>'
    )
    fast.save_pretrained(folder)
    return folder


def try_image_encoder(trial: Trial, kind: str) -> list[str]:
    """Train and predict with an image encoder in SeqTR; the cells of its row in the table."""
    example, fields = IMAGE_ENCODERS[kind]
    backbone = dict(
        type='HFBackbone', config=dict(model_type=kind, **fields), out_channels=(32, 64, 128), resize=True
    )
    model = trial.seqtr(backbone=backbone)
    trial.run(model)
    gated = dict(type='HFLanguageBackbone', encoder=dict(backbone, out_channels=None), language_channels=16)
    lavt = trial.lavt(gated, embed_dims=8, hidden_dims=8)
    trial.run(lavt)
    maps, fixed = model.backbone.maps, model.backbone.fixed_size
    stages = f'stages ({", ".join(map(str, maps.strides))})' if len(maps.strides) > 1 else 'plain, a pyramid'
    gates = 'in the stages' if lavt.backbone.staged else 'late'
    return [f'`{kind}`', example, stages, gates, 'its own; others with `resize=True`' if fixed else 'any']


def try_text_encoder(trial: Trial, kind: str) -> list[str]:
    """Train and predict with a text encoder in SeqTR and in LAVT; the cells of its row in the table."""
    example, fields = TEXT_ENCODERS[kind]
    text = dict(
        type='HFTextEncoder',
        config=dict(model_type=kind, **fields),
        tokenizer=str(trial.tokenizer),
        max_tokens=16,
    )
    seqtr = trial.seqtr(language_model=dict(text, output='sentence', out_channels=256))
    trial.run(seqtr)
    stages = dict(embed_dims=16, depths=(1, 1), num_heads=(1, 2), window_size=4)
    trial.run(trial.lavt(dict(type='LanguageSwin', language_channels=32, **stages), **text))
    pooling = {'model': "the model's own", 'mean': 'mean of the tokens'}[seqtr.language_model.pooling]
    return [f'`{kind}`', example, f'`{type(seqtr.language_model.encoder).__name__}`', pooling]


TABLES = {
    'image encoders': (
        IMAGE_ENCODERS,
        try_image_encoder,
        ['`model_type`', 'a published model', 'maps', "LAVT's gates", 'sizes of image'],
    ),
    'text encoders': (
        TEXT_ENCODERS, try_text_encoder, ['`model_type`', 'a published model', 'class', "`pooling='auto'`"]
    ),
}  # fmt: skip


def try_all(trial: Trial, name: str, kinds: Iterable[str]) -> str:
    """A table of :data:`TABLES` for some encoders, in Markdown; each is tried."""
    import transformers

    _, attempt, head = TABLES[name]
    rows = []
    for kind in kinds:
        rows.append(attempt(trial, kind))
    lines = [head, ['---'] * len(head), *rows]
    tried = f'{len(rows)} {name}, tried with transformers {transformers.__version__}:'
    return '\n'.join([tried, '', *(f'| {" | ".join(cells)} |' for cells in lines)])
