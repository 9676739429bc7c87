"""The check of COCO files and the images they name: sizes, orientation, missing files, names."""

import copy
import unicodedata

import pytest
from coco_files import HEIGHT, WIDTH, changed, rle_of, same_objects, sound_file, write_images
from PIL import Image

from mmrefseg.datasets.coco import check_coco
from mmrefseg.datasets.coco.image_files import ImageFolder

SIZES = {
    'none': (None, None),
    'text': ('96', '128'),
    'zero': (0, 128),
    'huge': (10**30, 128),
    'nan': (float('nan'), 128),
}


@pytest.mark.parametrize('kind', SIZES)
def test_sizes_come_from_the_images(kind, tmp_path):
    height, width = SIZES[kind]
    content = changed(lambda image: image.update(height=height, width=width), 'images')
    checked = check_coco(content, folder=write_images(tmp_path / 'img'))
    same_objects(checked)
    assert {(image['height'], image['width']) for image in checked.content['images']} == {(HEIGHT, WIDTH)}
    if kind != 'text':
        lost = check_coco(content)
        assert lost.unsized and lost.unusable.counts == {'of images without width and height': 8}
        rle = check_coco(
            {**content, 'annotations': [{**a, 'segmentation': rle_of(a)} for a in content['annotations']]}
        )
        same_objects(rle)


@pytest.mark.parametrize('folder', [True, False])
def test_exchanged_sizes(folder, tmp_path):
    content = changed(lambda image: image.update(height=WIDTH, width=HEIGHT), 'images')
    checked = check_coco(content, folder=write_images(tmp_path / 'img') if folder else None)
    same_objects(checked)
    # Without the images, those tell whose objects reach beyond the exchanged width.
    assert checked.mended.counts == {'images with width and height exchanged': 4}
    assert {(image['height'], image['width']) for image in checked.content['images']} == {(HEIGHT, WIDTH)}


def test_images_of_another_size(tmp_path):
    checked = check_coco(sound_file(), folder=write_images(tmp_path / 'img', HEIGHT // 2, WIDTH // 2))
    assert checked.unusable.counts == {'of images of another size than their records say': 8}
    assert not checked.content['images']


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_images_turned_by_a_camera(orientation, tmp_path):
    """The record has the size of the stored image, or the objects only fit that one."""
    content = changed(
        lambda image: image.update(file_name=image['file_name'].replace('png', 'jpg')), 'images'
    )
    folder = write_images(tmp_path / 'img', suffix='jpg', orientation=orientation)
    checked = check_coco(content, folder=folder)
    same_objects(checked)
    (sentence,) = checked.remarks
    assert (
        '4 images' in sentence
        and 'p0.jpg is 96 x 128 as shown, its record says 128 x 96 as stored' in sentence
    )
    turned = copy.deepcopy(content)
    for image in turned['images']:
        image.update(height=WIDTH, width=HEIGHT)
    checked = check_coco(turned, folder=folder)
    same_objects(checked)
    assert {(image['height'], image['width']) for image in checked.content['images']} == {(HEIGHT, WIDTH)}
    shown = write_images(tmp_path / 'shown', WIDTH, HEIGHT, 'jpg', orientation)
    assert check_coco(content, folder=shown).sentences() == [], 'annotated as shown'


def test_missing_images(tmp_path):
    folder = write_images(tmp_path / 'img')
    (folder / 'p1.png').unlink()
    (folder / 'p2.png').write_text('no image')
    checked = check_coco(sound_file(), folder=folder)
    assert checked.unusable_sentence() == (
        '4 of 8 objects unusable: 2 of images that are missing (3, 4), '
        '2 of images that are no readable images (5, 6)'
    )
    assert [image['id'] for image in checked.content['images']] == [1, 4]
    kept = check_coco(sound_file(), folder=folder, keep_images=True)
    assert len(kept.content['images']) == 4 and not kept.unusable


@pytest.mark.parametrize(
    'name',
    ['../outside.png', '../../x.png', '..\\outside.png', '/etc/hosts', 'C:\\x.png', 'img/../../outside.png'],
)
def test_nothing_is_read_outside_the_folder(name, tmp_path):
    folder = write_images(tmp_path / 'img')
    Image.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / 'outside.png')
    found = ImageFolder(folder).find(name)
    assert found.leaves_folder and found.name is None and found.header is None
    content = sound_file()
    content['images'][0]['file_name'] = name
    for keep in (False, True):
        checked = check_coco(content, folder=folder, keep_images=keep)
        assert checked.unusable.counts == {'of images whose file_name leaves the image folder': 2}


@pytest.mark.parametrize(('of_file', 'of_folder'), [('NFD', 'NFC'), ('NFC', 'NFD')])
def test_accents_as_macos_writes_them(of_file, of_folder, tmp_path):
    folder, content = write_images(tmp_path / 'img'), sound_file()
    for number, image in enumerate(content['images']):
        name = f'caf\u00e9{number}.png'
        (folder / image['file_name']).rename(folder / unicodedata.normalize(of_folder, name))
        image['file_name'] = unicodedata.normalize(of_file, name)
    checked = check_coco(content, folder=folder)
    assert all((folder / image['file_name']).is_file() for image in checked.content['images'])
    assert checked.mended.counts == {'file names spelled otherwise than the files': 4}


def test_names_of_images(tmp_path):
    folder = write_images(tmp_path / 'img')
    write_images(folder / 'sub')
    content = sound_file()
    for image, name in zip(content['images'], ['P0.PNG', 'sub\\p1.png', 'p2.png', 5], strict=True):
        image['file_name'] = name
    checked = check_coco(content, folder=folder)
    assert [image['file_name'] for image in checked.content['images']] == ['p0.png', 'sub/p1.png', 'p2.png']
    assert checked.mended.counts == {'file names spelled otherwise than the files': 2}
    assert checked.images_left_out.counts == {'without a file_name': 1}
