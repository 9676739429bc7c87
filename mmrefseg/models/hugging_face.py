"""Encoders of Hugging Face's ``transformers``: found on this disk, built, and their weights read.

Nothing is downloaded, no code of a checkpoint is run, and weights are safetensors unless a config says
otherwise.
"""

import contextlib
import importlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..utils import UserInputError, load_json, parse_json
from ..utils.errors import did_you_mean, short

WEIGHT_FILES = ('*.safetensors', '*.bin')
TOWERS = dict(vision='vision_config', text='text_config')
# What a stranger's config must not decide here: where code comes from, and how weights are packed.
NOT_FROM_CONFIG = ('auto_map', 'attn_implementation', '_attn_implementation', 'quantization_config')
# What a config says of files, precision and classes; an encoder is made without it.
NOT_OF_ENCODERS = ('architectures', 'dtype', 'id2label', 'label2id', 'torch_dtype', 'transformers_version')
CARRIED = 'start with --load-from a checkpoint whose training named it so, which carries it'
"""What else can be done where an encoder's folder is not there."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, and its lists of what of a checkpoint another tower has."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def find_model(name: str, where: str) -> Path:
    """The folder of a model on this disk.

    Args:
        name: A folder, or the name of a model that is in Hugging Face's cache (``$HF_HOME``); behind an ``@``
            its revision, a branch or a commit.
        where: What asks for it, for errors.

    Raises:
        UserInputError: If it is neither; the sentence has the command that fetches it.
    """
    if not isinstance(name, str):
        raise UserInputError.of(
            where,
            f'model={short(name)}',
            'a folder, or the name of a model such as facebook/dinov2-base',
            'correct the config',
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / 'config.json').is_file():
            raise UserInputError.of(
                f'{where}: folder {name}',
                'no config.json',
                'a model of Hugging Face',
                'copy the whole folder',
            )
        return folder
    return _find_cached(name, where)


def _find_cached(name: str, where: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    model, _, revision = name.partition('@')
    try:
        folder = Path(snapshot_download(model, revision=revision or None, local_files_only=True))
    except HFValidationError as error:
        raise UserInputError.of(
            f'{where}: model {short(name)}',
            'no such folder',
            'a folder, or the name of a model such as facebook/dinov2-base',
            f'check the path, or {CARRIED}',
        ) from error
    except LocalEntryNotFoundError:
        folder = None
    if folder is None or not (folder / 'config.json').is_file():
        raise UserInputError.of(
            f'{where}: model {name}',
            'no such folder, and nothing of that name in the cache of Hugging Face',
            'one of them (nothing is downloaded behind your back)',
            f'{CARRIED}, or fetch it (a gated one after hf auth login) with: {fetch_command(name)}',
        )
    return folder


def fetch_command(name: str) -> str:
    """The command that brings a model's config, tokenizer and safetensors into the cache."""
    model, _, revision = name.partition('@')
    which = f'{model} --revision {revision}' if revision else model
    return f"hf download {which} --exclude '*.bin' --exclude '*.h5' --exclude '*.msgpack' --exclude 'onnx/*'"


def read_config(folder: Path | None, fields: dict | None, kind: str, where: str):
    """The config of one tower.

    Args:
        folder: From :func:`find_model`; ``None`` makes a config of ``fields`` alone.
        fields: Replace those of the folder, or with ``model_type`` those of that type's default.
        kind: ``'vision'`` or ``'text'``: the tower that is taken where a model has both.
        where: What asks for it, for errors.

    Returns:
        ``transformers.PreTrainedConfig``.

    Raises:
        UserInputError: If the type or a field is unknown, or the model has no such tower.
    """
    from transformers import CONFIG_MAPPING

    content, fields = dict(fields or {}), {}
    if folder is not None:
        content.pop('model_type', None)
        fields, content = content, load_json(folder / 'config.json')
        content = content if isinstance(content, dict) else {}
        content = {key: value for key, value in content.items() if key not in NOT_FROM_CONFIG}
    kinds = [*CONFIG_MAPPING.keys()]
    if content.get('model_type') not in kinds:
        found = short(content.get('model_type'))
        raise UserInputError.of(
            f'{where}: {"config" if folder is None else folder / "config.json"}',
            f'model_type {found}{did_you_mean(found, kinds)}',
            'a type of the installed transformers (code inside a checkpoint is not run)',
            'name another model, or install the transformers that knows it',
        )
    cls = CONFIG_MAPPING[content['model_type']]
    if folder is None:
        _check_fields(content, _make(cls, {}, where), where)
    whole = _make(cls, content, where)
    if fields:
        tower = _tower_config(whole, kind, where)
        _check_fields(fields, tower, where)
        # made again from the file's own fields: others follow from these
        if tower is whole:
            content |= fields
        else:
            content[TOWERS[kind]] = {**(content.get(TOWERS[kind]) or {}), **fields}
        whole = _make(cls, content, where)
    config = _tower_config(whole, kind, where)
    config.dtype = 'float32'
    return config


def _make(cls: type, content: dict, where: str):
    """``transformers`` checks some of the fields, and says what is wrong by various exceptions."""
    try:
        with _quiet():
            return cls.from_dict(content)
    except Exception as error:
        raise UserInputError.of(
            f'{where}: config of {content.get("model_type")}',
            f'fields that do not fit ({short(str(error))})',
            "the type's fields",
            'correct them',
        ) from error


def _tower_config(config, kind: str, where: str):
    """The config itself, or that of its tower."""
    other = next(name for name in TOWERS if name != kind)
    if getattr(config, TOWERS[kind], None) is not None and hasattr(config, TOWERS[other]):
        return getattr(config, TOWERS[kind])
    sees = hasattr(config, 'patch_size') or hasattr(config, 'num_channels')
    reads = hasattr(config, 'vocab_size')
    if (kind == 'text' and not reads) or (kind == 'vision' and reads and not sees):
        raise UserInputError.of(
            where,
            f'model_type {config.model_type!r}, which has no {kind} tower',
            f'{"an image" if kind == "vision" else "a text"} encoder, or a model of images and text',
            f'name another model, or use {"HFTextEncoder" if kind == "vision" else "HFBackbone"}',
        )
    return config


def _check_fields(fields: dict, config, where: str) -> None:
    names = config.to_dict()
    unknown = [key for key in fields if key not in names]
    if unknown:
        raise UserInputError.of(
            f'{where}: config of {config.model_type}',
            f'field {unknown[0]!r}{did_you_mean(unknown[0], names)}',
            'one of its fields',
            'correct the config',
        )


def config_fields(config) -> dict[str, Any]:
    """The fields of a tower's config as json, for :func:`read_config` to make it again without a folder."""
    known = type(config)().to_dict().keys() - {*NOT_OF_ENCODERS}
    fields = {key: value for key, value in config.to_diff_dict().items() if key in known}
    text = json.dumps({**fields, 'model_type': config.model_type})
    return parse_json(text, config.model_type)


def build_tower(config, where: str) -> nn.Module:
    """The encoder of a config, with random weights.

    Raises:
        UserInputError: If transformers has no encoder of that type, or it needs a package that is not here.
    """
    from transformers import AutoBackbone
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    try:
        if config.model_type in MODEL_FOR_BACKBONE_MAPPING_NAMES:
            return AutoBackbone.from_config(config)
        cls = _tower_class(config)
        options = {'add_pooling_layer': False} if _takes_pooling(cls) else {}
        return None if cls is None else cls(config, **options)
    except ImportError as error:
        needs = str(error).strip().splitlines()[0]
        raise UserInputError.of(
            where,
            f'model_type {config.model_type!r} ({needs})',
            'an encoder without it',
            'name another model',
        ) from error
    except (TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise UserInputError.of(
            f'{where}: config of {config.model_type}',
            f'fields that do not fit ({short(str(error))})',
            'those of an encoder',
            'correct the config, or name another model',
        ) from error


def _tower_class(config) -> type[nn.Module]:
    """The class of an encoder; that of a tower is not always one that ``AutoModel`` knows."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING, PreTrainedModel

    for mapping in (MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING):
        if type(config) in mapping:
            return mapping[type(config)]
    name = type(config).__module__.replace('configuration_', 'modeling_')
    module = sys.modules.get(name) or importlib.import_module(name)
    for item in vars(module).values():
        if (
            inspect.isclass(item)
            and issubclass(item, PreTrainedModel)
            and item.config_class is type(config)
            and item.__name__.endswith('Model')
        ):
            return item
    raise ValueError(f'transformers has no encoder of {type(config).__name__}')


def _takes_pooling(cls: type[nn.Module]) -> bool:
    return 'add_pooling_layer' in inspect.signature(cls.__init__).parameters


def load_tower(encoder: nn.Module, folder: Path, where: str, allow_pickle: bool = False) -> None:
    """Read an encoder's weights from its model's folder.

    Args:
        encoder: From :func:`build_tower`; its weights are replaced.
        folder: From :func:`find_model`.
        where: What asks for them, for errors.
        allow_pickle: Also read ``pytorch_model.bin`` (tensors only) where there are no safetensors.

    Raises:
        UserInputError: If there are none, or they are those of another network.
    """
    safe = any(folder.glob('*.safetensors'))
    pickled = any(folder.glob('*.bin'))
    if not safe and not (pickled and allow_pickle):
        raise UserInputError.of(
            f'{where}: folder {folder}',
            'weights as pickle only' if pickled else 'no weights',
            'model.safetensors',
            'fetch these (perhaps of a revision: NAME@refs/pr/1), or set allow_pickle=True' if pickled else
            'fetch model.safetensors or, if it has none, pytorch_model.bin with hf download, and trust the '
            'latter with allow_pickle=True',
        )  # fmt: skip
    wanted = encoder.state_dict()
    loaded, missing = _read_weights(encoder, folder, safe, where)
    # Norms that an encoder's maps get where it serves as a backbone: published weights have none.
    norms = {
        f'{name}.{key}'
        for name, module in encoder.named_modules()
        if isinstance(module, nn.LayerNorm)
        for key in ('weight', 'bias')
    }
    absent = sorted(key for key in missing if key in wanted and key not in norms)
    if absent:
        raise UserInputError.of(
            f'{where}: weights in {folder}',
            f'{len(absent)} of {len(wanted)} tensors missing or of another shape ({absent[0]}, ...)',
            'those of its config.json',
            'fetch the model again, or remove fields of config= that change its sizes',
        )
    encoder.load_state_dict(loaded)


def _read_weights(encoder: nn.Module, folder: Path, safe: bool, where: str) -> tuple[dict, set[str]]:
    """Tensors under the encoder's names, and the names that the files do not have in its shape."""
    options = {'add_pooling_layer': False} if _takes_pooling(type(encoder)) else {}
    # How an error looks depends on the file, the format and the version: all mean that it cannot be read.
    try:
        with _quiet():
            model, info = type(encoder).from_pretrained(
                folder,
                config=encoder.config,
                local_files_only=True,
                use_safetensors=safe,
                weights_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype='float32',
                **options,
            )
    except Exception as error:
        raise UserInputError.of(
            f'{where}: weights in {folder}',
            f'files that cannot be read ({short(str(error))})',
            'whole files of weights',
            'fetch the model again',
        ) from error
    mismatched = {key[0] if isinstance(key, tuple) else key for key in info['mismatched_keys']}
    return model.state_dict(), set(info['missing_keys']) | mismatched


def pixel_statistics(folder: Path | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation of pixels in 0..1 that a model was trained with; None if not said.

    Raises:
        UserInputError: If what is said are no such numbers.
    """
    for name in ('preprocessor_config.json', 'processor_config.json'):
        if folder is None or not (folder / name).is_file():
            continue
        content: Any = load_json(folder / name)
        content = content if isinstance(content, dict) else {}
        content = content.get('image_processor', content)
        rows = [content.get(key) for key in ('image_mean', 'image_std')]
        if rows == [None, None]:
            continue
        if not are_statistics(rows):
            raise UserInputError.of(
                str(folder / name),
                f'image_mean={short(rows[0])} and image_std={short(rows[1])}',
                'mean and deviation of pixels in 0..1, three numbers each',
                'fetch the model again, or set statistics in the config',
            )
        return tuple(map(tuple, rows))
    return None


def are_statistics(rows: list) -> bool:
    """Whether these are a mean and a standard deviation, lists of three numbers each."""
    numbers = [
        isinstance(row, list) and len(row) == 3 and all(isinstance(item, int | float) for item in row)
        for row in rows
    ]
    return len(rows) == 2 and all(numbers) and min(rows[1]) > 0


def encoder_blocks(encoder: nn.Module) -> tuple[str, nn.ModuleList]:
    """The blocks (a transformer) or stages of an encoder, in order, and their name within it."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            return name, module
    raise ValueError(f'{type(encoder).__name__} has no list of blocks')


def layers_by_depth(encoder: nn.Module) -> list[list[str]]:
    """Names of an encoder's parameters: before its blocks, of each block in order, and behind them."""
    blocks, items = encoder_blocks(encoder)
    layers: list[list[str]] = [[] for _ in range(len(items) + 2)]
    depth = 0
    for name, _ in encoder.named_parameters():
        if name.startswith(f'{blocks}.'):
            depth = 1 + int(name[len(blocks) + 1 :].split('.')[0])
            layers[depth].append(name)
        else:
            layers[0 if depth == 0 else -1].append(name)
    return layers


def freeze_encoder(encoder: nn.Module, frozen: bool | int, where: str) -> list[nn.Module]:
    """Keep weights as they are.

    Args:
        encoder: From :func:`build_tower`.
        frozen: ``True``: all of them; N: what comes before the blocks (or stages), and the first N of these.
        where: What asks for it, for errors.

    Returns:
        What stays in evaluation mode.

    Raises:
        UserInputError: If there are not so many blocks.
    """
    if frozen is True:
        encoder.requires_grad_(False)
        return [encoder]
    if frozen is False:
        return []
    name, blocks = encoder_blocks(encoder)
    if not isinstance(frozen, int) or not 0 <= frozen <= len(blocks):
        raise UserInputError.of(
            where,
            f'frozen={frozen!r}',
            f'True, False, or 0 to {len(blocks)} of its blocks',
            'correct the config',
        )
    still = []
    for key, module in encoder.named_modules():
        if key == name:
            break
        # what surrounds the blocks is not a leaf before them
        if key and not name.startswith(f'{key}.'):
            module.requires_grad_(False)
            still.append(module)
    blocks[:frozen].requires_grad_(False)
    return [*still, *blocks[:frozen]]


def freeze_unused(encoder: nn.Module, outputs: Iterable[Tensor]) -> None:
    """Freeze the parameters that an encoder's outputs do not depend on: poolers, classifiers, mask tokens.

    They never get a gradient, and data-parallel training would stop at them.

    Args:
        encoder: The encoder.
        outputs: What it gave, with gradients on.
    """
    seen, used, open_nodes = set(), set(), [x.grad_fn for x in outputs if x.grad_fn is not None]
    while open_nodes:
        node = open_nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        used.add(id(getattr(node, 'variable', None)))
        open_nodes += [before for before, _ in node.next_functions if before is not None]
    for parameter in encoder.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)
