"""A device by its name; brings torch alone, so that a missing one is told at once."""

import torch

from ..utils.errors import UserInputError


def choose_device(name: str | None = None) -> torch.device:
    """The device of a name, or a GPU if there is one.

    Raises:
        UserInputError: If there is no such device.
    """
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserInputError.of(
            f'device {name!r}', 'no such kind', 'cpu, cuda or cuda:N', 'correct it'
        ) from None
    count = {'cpu': 1, 'cuda': torch.cuda.device_count()}.get(device.type)
    if count is not None and (device.index or 0) >= count:
        raise UserInputError.of(f'device {name!r}', f'{count or "no"} GPU', 'one that is there', 'use cpu')
    return device
