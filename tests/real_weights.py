"""Where tests find published weights (``make test-weights``)."""

import os
from pathlib import Path

import pytest

from mmrefseg.experiments.real_weights import RealWeights, find_weights
from mmrefseg.utils import UserInputError

ROOT = Path(__file__).resolve().parents[1]


def weights_or_skip(weights: RealWeights) -> Path:
    """The folder of some weights; where they are missing a skip, in CI a failure."""
    folder = None if os.environ.get('MMREFSEG_TEST_WEIGHTS') else ROOT / 'data' / 'test_weights'
    try:
        return find_weights(weights, folder)
    except UserInputError as error:
        if os.environ.get('CI', '').lower() in ('', '0', 'false'):
            pytest.skip(str(error))
        pytest.fail(str(error))
