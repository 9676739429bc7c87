"""BERT as a language model, through ``transformers`` and from local files only.

Letters: M expressions, T word pieces, D channels.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule

from ...compat.bert_names import read_bert_weights
from ...compat.carried import HERE, words_of
from ...datasets.vocabulary import SentenceCuts
from ...utils import UserInputError, load_json
from ..hugging_face import CARRIED
from .token_batch import TokenBatch, WordFeatures

CHECKPOINTS = {'.pth', '.safetensors'}
WEIGHT_FILES = ('model.safetensors', 'pytorch_model.bin')


@MODELS.register_module()
class BertEncoder(BaseModule):
    """BERT's last hidden states, one per word piece.

    Nothing is downloaded: the folder is what ``tools/model_converters/bert.py`` writes, or a download of
    ``bert-base-uncased`` made by the user.

    Args:
        path: Folder with ``vocab.txt``, ``config.json`` and the weights (``model.safetensors`` or
            ``pytorch_model.bin``, read when a training starts).
        config: Fields of ``transformers.BertConfig`` that replace those of the folder, or without a folder
            those of bert-base (12 layers of 768 channels); the weights are then random.
        vocab_file: One word piece a line, or a checkpoint that carries its own; replaces the folder's.
        max_tokens: T; expressions are cut to so many word pieces, [CLS] included (LAVT: 20, the closing
            [SEP] may be cut off; LAVT-pytorch: 30).
        trained_layers: So many of the layers are trained, the others keep their weights; ``None`` trains
            all. LAVT trains 10 of 12: it gives the optimiser the first ten only.
        train_embeddings: Whether the embeddings are trained; LAVT does not.
        init_cfg: mmengine's initialisation config.

    Raises:
        UserInputError: If a file is missing or does not fit.
    """

    def __init__(
        self,
        path: str | None = None,
        config: dict | None = None,
        vocab_file: str | None = None,
        max_tokens: int = 20,
        trained_layers: int | None = None,
        train_embeddings: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        from transformers import BertConfig, BertModel

        self.path = None if path is None else Path(path)
        self.cuts = SentenceCuts('word pieces')
        self.max_tokens = max_tokens
        fields = dict(_folder_config(self.path) if self.path else {}) | dict(config or {})
        self.tokenizer = _build_tokenizer(_vocabulary_file(self.path, vocab_file))
        self.bert = BertModel(BertConfig(**fields), add_pooling_layer=False)
        if len(self.tokenizer) > self.bert.config.vocab_size:
            raise UserInputError.of(
                'BertEncoder',
                f'a vocabulary of {len(self.tokenizer)} word pieces',
                f'at most {self.bert.config.vocab_size}, the vocab_size of its config',
                'give the vocabulary and the config of one model',
            )
        self._freeze(trained_layers, train_embeddings)

    def _freeze(self, trained_layers: int | None, train_embeddings: bool) -> None:
        if trained_layers is not None:
            for layer in self.bert.encoder.layer[trained_layers:]:
                layer.requires_grad_(False)
        self.bert.embeddings.requires_grad_(train_embeddings)

    @property
    def out_channels(self) -> int:
        """D."""
        return self.bert.config.hidden_size

    def carried(self) -> dict[str, Any]:
        """The word pieces, and the size of the network; the weights are among the model's."""
        pieces = self.tokenizer.get_vocab()
        fields = self.bert.config.to_diff_dict()
        plain = {key: value for key, value in fields.items() if isinstance(value, bool | int | float | str)}
        return {
            'words': sorted(pieces, key=pieces.get),
            'tokenizer': 'bert',
            'max_tokens': self.max_tokens,
            'config': {'path': None, 'vocab_file': HERE, 'config': plain, 'max_tokens': self.max_tokens},
        }

    def init_weights(self) -> None:
        """Read the folder's weights; without a folder they stay random.

        Raises:
            UserInputError: If they are missing or of another network.
        """
        first = not self._is_init
        super().init_weights()  # first: transformers' own initialisation is among it
        if self.path is None or not first:
            return
        files = [self.path / name for name in WEIGHT_FILES if (self.path / name).is_file()]
        if not files:
            raise UserInputError.of(
                f'BERT folder {self.path}',
                'no weights',
                ' or '.join(WEIGHT_FILES),
                'put them there, see tools/model_converters/bert.py',
            )
        state = read_bert_weights(files[0])
        shapes = {key: value.shape for key, value in self.bert.state_dict().items()}
        wrong = [key for key, shape in shapes.items() if getattr(state.get(key), 'shape', None) != shape]
        if wrong:
            raise UserInputError.of(
                str(files[0]),
                f'{len(wrong)} of {len(shapes)} tensors missing or of another shape ({wrong[0]}, ...)',
                'the weights of its config.json',
                'convert them again with tools/model_converters/bert.py',
            )
        self.bert.load_state_dict({key: state[key] for key in shapes})

    def tokenize(self, expressions: list[str]) -> TokenBatch:
        """Word pieces of expressions (M, T): [CLS], the pieces, [SEP], cut to T and padded with 0."""
        rows = self.tokenizer(list(expressions), add_special_tokens=True, truncation=False)['input_ids']
        self.cuts.count(map(len, rows), self.max_tokens)
        ids = torch.zeros(len(rows), self.max_tokens, dtype=torch.long)
        mask = torch.zeros(len(rows), self.max_tokens, dtype=torch.bool)
        for i, row in enumerate(rows):
            row = row[: self.max_tokens]
            ids[i, : len(row)] = torch.as_tensor(row)
            mask[i, : len(row)] = True
        device = self.bert.embeddings.word_embeddings.weight.device
        return TokenBatch(ids.to(device), mask.to(device))

    def forward(self, tokens: TokenBatch) -> WordFeatures:
        """Word pieces (M, T) -> last hidden states (M, T, D), padding included.

        Raises:
            UserInputError: If there are more than BERT has positions for.
        """
        positions = self.bert.config.max_position_embeddings
        if tokens.ids.shape[1] > positions:
            raise UserInputError.of(
                'BertEncoder',
                f'{tokens.ids.shape[1]} word pieces in a row',
                f'at most {positions}',
                'join fewer sentences',
            )
        hidden = self.bert(input_ids=tokens.ids, attention_mask=tokens.mask.long())[0]
        return WordFeatures(hidden, tokens.mask)


def _folder_config(folder: Path) -> dict:
    if not folder.is_dir():
        raise UserInputError.of(
            f'BERT folder {folder}',
            'no such folder',
            'a folder with config.json, vocab.txt and model.safetensors (nothing is downloaded)',
            f'copy bert-base-uncased there, see tools/model_converters/bert.py, or {CARRIED}',
        )
    file = folder / 'config.json'
    if not file.is_file():
        raise UserInputError.of(f'BERT folder {folder}', 'no config.json', 'one', 'copy the whole folder')
    known = load_json(file)
    return {
        key: value for key, value in known.items() if key not in ('architectures', 'transformers_version')
    }


def _vocabulary_file(folder: Path | None, vocab_file: str | None) -> Path:
    if vocab_file is None and folder is None:
        raise UserInputError.of(
            'BertEncoder', 'neither path nor vocab_file', 'one of them', 'name the folder or the vocabulary'
        )
    file = Path(vocab_file) if vocab_file is not None else folder / 'vocab.txt'
    if not file.is_file():
        raise UserInputError.of(
            f'BERT vocabulary {file}',
            'no such file',
            'one word piece a line (nothing is downloaded)',
            'copy vocab.txt of bert-base-uncased there',
        )
    return file


def _build_tokenizer(vocab_file: Path):
    from transformers import BertTokenizer

    if vocab_file.suffix in CHECKPOINTS:
        return BertTokenizer(vocab=_carried_pieces(vocab_file), do_lower_case=True)
    # transformers 5 renamed the argument
    name = 'vocab' if 'vocab' in inspect.signature(BertTokenizer.__init__).parameters else 'vocab_file'
    return BertTokenizer(**{name: str(vocab_file)}, do_lower_case=True)


def _carried_pieces(checkpoint: Path) -> dict[str, int]:
    carried = words_of(checkpoint)
    if carried.get('tokenizer') != 'bert':
        raise UserInputError.of(
            f'BERT vocabulary {checkpoint}', 'a checkpoint without word pieces', 'one that carries its own',
            'name the vocab.txt of its BERT',
        )  # fmt: skip
    return {piece: index for index, piece in enumerate(carried['words'])}
