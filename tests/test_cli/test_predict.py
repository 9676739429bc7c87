"""``mmrefseg predict``: photos and sentences in, masks, overlays and one COCO file out."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

import mmrefseg
from mmrefseg.structures.rle import decode_mask


def test_a_folder_of_photos(call, photos):
    """Masks on the disk are those of Python, and the COCO file needs nothing beside it."""
    done = call('predict', photos, '--text', 'the star', '-t', 'left zebra')
    assert done.code == 0 and len(done.out.splitlines()) == 6
    assert 'words: 75 % of 12 words are known to the model; unknown: zebra (3 times)' in done.err
    assert '6 of 6 sentences found in 3 photos' in done.err and 'score: the predicted IoU' in done.err
    expected = mmrefseg.load(device='cpu').predict(sorted(photos.iterdir()), ['the star', 'left zebra'])
    coco = COCO('predictions/predictions.json')
    names = [image['file_name'] for image in coco.dataset['images']]
    assert names == [str(photos / name) for name in ('a.png', 'b.png', 'wide.png')]
    assert coco.dataset['info']['score'] == expected[0].score_means
    for image, found in zip(coco.dataset['images'], expected, strict=True):
        for row, annotation in enumerate(coco.loadAnns(coco.getAnnIds(image['id']))):
            written = np.asarray(Image.open(f'predictions/{annotation["mask"]}'))
            assert set(np.unique(written)) == {0, 255} and written.shape == found.size
            assert np.array_equal(written > 0, found.masks[row])
            assert np.array_equal(coco.annToMask(annotation) > 0, found.masks[row])
            assert (
                annotation['expression'] == coco.cats[annotation['category_id']]['name'] == found.labels[row]
            )
            assert Image.open(f'predictions/{annotation["overlay"]}').size == found.size[::-1]


def test_sentences_that_are_too_long_are_counted(call, photos):
    """Whatever is on standard output; the masks are those of the beginning."""
    long = 'the star left of the circle ' * 4
    done = call('predict', photos, '--text', 'the star', '-t', long, '--json')
    assert '\n3 of 6 sentences were cut to 16 words; the longest has 24\n' in f'\n{done.err}'
    assert len(done.out.splitlines()) == 6
    cut = ' '.join(long.split()[:16])
    lines = [json.loads(line) for line in done.out.splitlines() if long.strip() in line]
    again = call('predict', photos, '--text', cut, '--json')
    assert 'sentences were cut' not in again.err and len(lines) == 3
    for one, other in zip(lines, map(json.loads, again.out.splitlines()), strict=True):
        assert one['segmentation'] == other['segmentation']


def test_a_table_and_lines_for_machines(call, photos, tmp_path, monkeypatch):
    rows = [('wide.png', 'the star, left'), ('a.png', 'circle'), ('wide.png', 'circle')]
    (tmp_path / 'rows.csv').write_text('photo,sentence\n' + ''.join(f'{p}, "{s}",\n' for p, s in rows))
    done = call('predict', photos, '--sentences', 'rows.csv', '--json')
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line['photo'].rsplit('/', 1)[-1], line['sentence']) for line in lines] == [
        ('wide.png', 'the star, left'), ('wide.png', 'circle'), ('a.png', 'circle'),
    ]  # fmt: skip
    assert not (tmp_path / 'predictions').exists()
    for line in lines:
        mask = decode_mask(line['segmentation'])
        assert list(mask.shape) == line['size'] and mask.any() and line['found']
    table = ''.join(json.dumps({'image': f'photos/{p}', 'text': s}) + '\n' for p, s in rows)
    monkeypatch.setattr('sys.stdin', io.StringIO(table))
    again = call('predict', '--sentences', '-', '--json', '--batch-size', 1)
    for one, other in zip(lines, map(json.loads, again.out.splitlines()), strict=True):
        assert one['segmentation'] == other['segmentation']
        assert one['score'] == pytest.approx(other['score'], abs=1e-4)


def test_through_a_pipe(photos, monkeypatch, capsysbinary):
    from mmrefseg.cli import main as command

    monkeypatch.setattr('sys.argv', ['mmrefseg', 'predict', '-', '--text', 'star', '--out', '-'])
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO((photos / 'a.png').read_bytes())))
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert not stop.value.code
    mask = cv2.imdecode(np.frombuffer(capsysbinary.readouterr().out, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask > 0, mmrefseg.load(device='cpu').predict(photos / 'a.png', 'star').masks[0])


def test_nothing_found_and_a_broken_photo(call, photos):
    """What is below the threshold has no mask; a photo that cannot be read costs only itself."""
    broken = photos / 'b.png'
    broken.write_bytes(broken.read_bytes()[:-40])
    done = call('predict', photos, '--text', 'star', '--threshold', '0.999', '--out', 'some/where')
    assert done.code == 2
    assert f'passed over: {broken}: found a truncated image' in done.err
    assert '0 of 2 sentences found in 2 photos' in done.err and done.out.count('nothing found') == 2
    content = json.loads((photos.parent / 'some/where/predictions.json').read_text())
    assert len(content['images']) == 2 and content['annotations'] == []
    assert len(list((photos.parent / 'some/where/overlays').iterdir())) == 2


def test_names_of_files_do_not_meet(call, photos, tmp_path):
    (tmp_path / 'more').mkdir()
    (photos / 'a.png').rename(tmp_path / 'more/wide.png')
    texts = ('-t', 'Star!', '-t', 'star', '-t', '星')
    done = call('predict', 'more', 'photos/wide.png', *texts, '--no-overlays', '--out', 'out')
    assert done.code == 0
    names = sorted(path.name for path in (tmp_path / 'out/masks').iterdir())
    assert names == sorted(
        [
            'wide_star.png',
            'wide_star_2.png',
            'wide_星.png',
            'wide_star_3.png',
            'wide_star_4.png',
            'wide_星_2.png',
        ]
    )
    assert not (tmp_path / 'out/overlays').exists()


def test_a_second_run_into_a_folder(call, photos, tmp_path):
    """It says what it replaces and leaves no mask of what it does not find; without a photo all stays."""
    words = ('predict', photos / 'a.png', '-t', 'star', '--out', 'out')
    first = call(*words)
    assert first.code == 0 and 'replaced' not in first.err
    mask, overlay = tmp_path / 'out/masks/a_star.png', tmp_path / 'out/overlays/a_star.jpg'
    other = tmp_path / 'out/masks/other.png'
    other.write_text('')
    assert mask.is_file() and overlay.is_file()
    second = call(*words, '--threshold', '0.999', '--no-overlays')
    assert 'replaced out/predictions.json of an earlier run\n' in second.err
    assert not mask.exists() and not overlay.exists() and other.is_file()
    assert 'replaced' not in call(*words, '--json').err
    before = (tmp_path / 'out/predictions.json').read_bytes()
    (photos / 'b.png').write_text('no image')
    broken = call('predict', photos / 'b.png', '-t', 'star', '--out', 'out')
    assert broken.code == 2 and broken.err.startswith(f'passed over: {photos / "b.png"}: found ')
    assert broken.err.endswith(
        'error: photos: found none of 1 that can be read, expected at least one; '
        'mend what was passed over, or name others\n'
    )
    assert 'sentences found' not in broken.err and 'predictions.json' not in broken.err
    assert (tmp_path / 'out/predictions.json').read_bytes() == before
    call('predict', photos / 'b.png', '-t', 'star', '--out', 'new')
    assert not (tmp_path / 'new').exists()


def test_masks_of_other_photos_are_not_replaced(call, photos, tmp_path, monkeypatch):
    """Nor anybody's file; each photo and sentence has the same name again, wherever the run starts."""
    for name, kept in (('p1/x.png', 'a.png'), ('p2/x.png', 'wide.png'), ('p1/x_star.png', 'b.png')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((photos / kept).read_bytes())
    masks = tmp_path / 'out/masks'
    masks.mkdir(parents=True)
    (masks / 'x_circle.png').write_text('mine')
    runs = (
        (('p1/x.png', '-t', 'star'), 'x_star'),
        (('p2/x.png', '-t', 'star'), 'x_star_2'),
        (('p1/x_star.png', '-t', '2'), 'x_star_2_2'),
        (('p2/x.png', '-t', 'circle'), 'x_circle_2'),
    )
    written = {}
    for words, name in runs:
        assert call('predict', *words, '--out', 'out').code == 0
        written[name] = (masks / f'{name}.png').read_bytes(), (masks / f'../overlays/{name}.jpg').read_bytes()
    assert written['x_star'] != written['x_star_2']
    monkeypatch.chdir(photos)
    for words, name in reversed(runs):
        line = json.loads(call('predict', f'../{words[0]}', *words[1:], '--out', '../out', '--json').out)
        assert line['mask'] == f'../out/masks/{name}.png'
    for name, (mask, overlay) in written.items():
        assert (masks / f'{name}.png').read_bytes() == mask
        assert (masks / f'../overlays/{name}.jpg').read_bytes() == overlay
    assert len(list(masks.iterdir())) == 5 and (masks / 'x_circle.png').read_text() == 'mine'
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['../p1/x.png']
    assert content['files']['x_star_2'] == {'photo': str(tmp_path / 'p2/x.png'), 'sentence': 'star'}
    assert set(content['files']) == set(written)


def test_photos_through_standard_input_are_told_apart(call, photos, tmp_path, monkeypatch):
    names = []
    for photo in ('a.png', 'wide.png', 'a.png'):
        monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO((photos / photo).read_bytes())))
        names.append(json.loads(call('predict', '-', '-t', 'star', '--out', 'out', '--json').out)['mask'])
    assert names == [f'out/masks/stdin_star{number}.png' for number in ('', '_2', '')]


def test_a_device_that_is_not_there_is_told_before_models_are_loaded(photos, repo_root):
    code = (
        'import sys\nfrom mmrefseg.cli.main import main\n'
        'try:\n    main()\nfinally:\n    print(sorted({"mmengine", "mmdet"} & {*sys.modules}))'
    )
    for name, found in (('quantum', 'no such kind'), ('cuda:99', 'GPU, expected one that is there; use cpu')):
        done = subprocess.run(
            [sys.executable, '-c', code, 'predict', 'photos', '--text', 'a', '--device', name],
            env=os.environ | {'PYTHONPATH': str(repo_root)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2 and found in done.stderr and done.stderr.count('\n') == 1
        assert done.stdout == '[]\n'


def test_a_stopped_run_says_what_is_kept(photos, tmp_path, repo_root):
    """Ctrl-C after the first photo: its files and its row are there."""
    for number in range(60):
        (photos / f'c{number:02}.png').write_bytes((photos / 'wide.png').read_bytes())
    code = (  # a job in the background ignores Ctrl-C
        'import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'from mmrefseg.cli.main import main; main()'
    )
    words = 'predict photos -t star --out out --json --batch-size 1'
    process = subprocess.Popen(
        [sys.executable, '-c', code, *words.split()],
        cwd=tmp_path, env=os.environ | {'PYTHONPATH': str(repo_root)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=120)[1]
    (done,) = re.findall(r'^stopped: (\d+) of 63 photos are done and kept$', err, re.MULTILINE)
    assert process.returncode == 130 and 'Traceback' not in err and 1 <= int(done) < 63
    content = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert len(content['images']) == int(done) and json.loads(first)['photo'] == 'photos/a.png'
    assert (tmp_path / 'out' / content['annotations'][0]['mask']).is_file()


def test_names_that_a_folder_should_not_have(call, photos, tmp_path):
    (photos / 'a.png').rename(photos / 'a\nb.png')
    (photos / 'b.png').rename(photos / '._a.png')
    done = call('predict', photos, '-t', 'circle', '--no-overlays', '--out', 'out')
    assert done.code == 0 and len(done.out.splitlines()) == 2
    names = sorted(path.name for path in (tmp_path / 'out/masks').iterdir())
    assert names == ['a-b_circle.png', 'wide_circle.png']


def test_pictures_of_other_kinds_are_counted(call, photos):
    """In a folder; what is no picture, or is hidden, is not. A folder of these alone is an error."""
    for name in ('b.gif', 'c.GIF', 'd.heic', 'e.svg', '._f.gif', 'notes.txt', 'sheet.csv'):
        (photos / name).write_text('')
    done = call('predict', photos, '-t', 'circle', '--no-overlays', '--json')
    assert done.code == 0 and len(done.out.splitlines()) == 3
    (line,) = [line for line in done.err.splitlines() if line.startswith('passed over')]
    assert line.startswith(
        'passed over: 2 .gif, 1 .heic, 1 .svg (photos that are read in a folder: .bmp, .jp'
    )
    assert 'passed over' not in call('predict', photos / 'a.png', '-t', 'circle', '--json').err
    for photo in photos.glob('*.png'):
        photo.unlink()
    done = call('predict', photos, '-t', 'circle')
    assert done.code == 2 and f'{photos}: found a folder without images that are read (2 .gif, ' in done.err


@pytest.mark.parametrize('out', [('--json',), ('--out', '-'), ()])
def test_a_full_disk_behind_standard_output(call, photos, monkeypatch, out):
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr('sys.stdout', full)
        done = call('predict', photos / 'a.png', '-t', 'star', *out)
    assert done.code == 2 and 'error: standard output: found a full disk, expected room' in done.err


def test_a_checkpoint_without_a_config(call, photos, tmp_path):
    torch.save({'state_dict': {}}, tmp_path / 'bare.pth')
    done = call('predict', photos / 'a.png', '-t', 'star', '--weights', 'bare.pth')
    assert done.code == 2 and 'bare.pth: found no metadata that name a config' in done.err
    assert '--config FILE' in done.err
