"""Weights into a model."""

from collections.abc import Mapping

import torch

from ..engine.hooks import refuse_broken_weights
from ..utils import UserInputError


def load_weights(model: torch.nn.Module, checkpoint: Mapping, where: str) -> None:
    """Load a checkpoint that must give every weight.

    Args:
        model: It takes them.
        checkpoint: What the file holds.
        where: The file, for messages.

    Raises:
        UserInputError: If it is of another model, or its weights are no numbers.
    """
    state = checkpoint.get('state_dict', checkpoint)
    own = model.state_dict()
    taken = {key: value for key, value in state.items() if isinstance(value, torch.Tensor) and key in own}
    missing = [key for key in own if key not in taken and not key.endswith('num_batches_tracked')]
    other = [key for key, value in taken.items() if value.shape != own[key].shape]
    if missing:
        found = f'no weights for {len(missing)} of the model (the first is {missing[0]})'
        found += f' and {len(state) - len(taken)} that it lacks'
    elif other:
        shapes = f'{tuple(taken[other[0]].shape)} where the model has {tuple(own[other[0]].shape)}'
        found = f'{len(other)} tensors of another shape (the first is {other[0]}: {shapes})'
    else:
        refuse_broken_weights(model, taken, where)
        model.load_state_dict(taken, strict=False)
        return
    raise UserInputError.of(
        where,
        found,
        "a checkpoint of the config's model",
        'give the config and the checkpoint of one training',
    )
