"""Which box is meant: the arithmetic on made-up features, and published weights on real pictures."""

import numpy as np
import pytest
from real_weights import weights_or_skip

from mmrefseg.checkpoints.from_efficientnet import convert_efficientnet_lite, read_efficientnet_lite
from mmrefseg.experiments.few_images import (
    FOLDS,
    TEXTS,
    Referred,
    accuracy_by_fold,
    box_features,
    few_images_table,
    make_choices,
    place_features,
    read_referred,
    text_features,
)
from mmrefseg.experiments.real_weights import EFFICIENTNET_LITE0
from mmrefseg.utils import UserInputError


@pytest.fixture
def toy():
    """Two boxes in each of 40 images, left and right, and 10 images with one; the sentence says the side."""
    objects = []
    for image in range(40):
        for x, word in ((5 + image % 7, 'left'), (60 - image % 5, 'right')):
            objects.append(Referred(image, (x, 10, 20, 20), (f'{word} one', f'the {word} thing')))
    return objects + [Referred(image, (5, 5, 9, 9), ('it',)) for image in range(40, 50)]


def test_choices(toy):
    """Images of one object offer none; all sentences of an image are in one fold."""
    choices = make_choices(toy)
    assert len(choices.sentences) == 160 and 'it' not in choices.sentences
    assert set(choices.fold) == set(range(FOLDS))
    for fold in range(FOLDS):
        images = {toy[row].image_id for row in choices.meant[choices.fold == fold]}
        rest = {toy[row].image_id for row in choices.meant[choices.fold != fold]}
        assert images and not images & rest
    assert all(
        toy[row].image_id == toy[i].image_id for row, (i,) in zip(choices.meant, choices.others, strict=True)
    )


def test_what_can_be_learned_is_learned(toy):
    """Sides from places and words; nothing where sentences or boxes say nothing."""
    choices = make_choices(toy)
    place, text = place_features(toy), text_features(choices.sentences, 'words')
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1)
    assert (accuracy_by_fold(choices, place, text) == 100).all()
    same = np.tile(text[:1], (len(text), 1))
    assert accuracy_by_fold(choices, place, same).mean() < 60
    noise = np.random.default_rng(0).normal(size=(len(toy), 4))
    assert 30 < accuracy_by_fold(choices, noise, text).mean() < 70


def test_real_pictures(test_data):
    """102 pictures, those objects too that have a box alone; boxes of other sizes see other things."""
    folder = test_data / 'mini_refcoco'
    objects = read_referred(folder)
    assert len({item.image_id for item in objects}) == 102
    assert sum(len(item.sentences) for item in objects) > 600
    weights = weights_or_skip(EFFICIENTNET_LITE0)
    state = convert_efficientnet_lite(
        read_efficientnet_lite(weights / next(iter(EFFICIENTNET_LITE0.files)))
    ).state
    image = next(item.image_id for item in objects if sum(o.image_id == item.image_id for o in objects) > 2)
    some = [item for item in objects if item.image_id == image]
    seen, random = (box_features(some, folder, each) for each in (state, None))
    assert seen.shape == (len(some), 432) and np.isfinite(seen).all() and np.isfinite(random).all()
    assert len(np.unique(seen.round(3), axis=0)) == len(some)
    with pytest.raises(UserInputError, match='no readable image'):
        box_features(some, test_data, state)


def test_the_table():
    rows = [
        {'image': image, 'text': text, 'sentences': 9, 'chance': 40.0, 'folds': [50.0 + shift, 60.0 + shift]}
        for image, shift in (('imagenet', 10), ('random', 0), ('none', 0))
        for text in TEXTS
    ]
    lines = few_images_table(rows).splitlines()
    assert lines[2] == '| ImageNet | 65.0 ± 7.1 | 65.0 ± 7.1 | 65.0 ± 7.1 |'
    assert lines[-1] == '| chance (9 sentences) | 40.0 | 40.0 | 40.0 |'
