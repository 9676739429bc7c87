"""Shards merged, duplicates resolved, half lines passed over."""

import json

import pytest
from pseudo_data import make_objects, make_predictions, write_lines

from mmrefseg.pseudo_labels.prediction_shards import PredictionStore, prediction_files
from mmrefseg.utils import UserInputError


def contents(*files: str) -> dict[int, list[dict]]:
    with PredictionStore(files) as store:
        return {ref_id: store.of_object(ref_id) for ref_id in store.ref_ids}


@pytest.fixture
def predictions():
    return make_predictions(make_objects(6))


def test_shards_hold_what_one_file_holds(tmp_path, predictions):
    whole = contents(write_lines(predictions, tmp_path / 'one.jsonl'))
    assert {r: [p['sent_id'] for p in ps] for r, ps in whole.items()} == {
        r: [10 * r, 10 * r + 1, 10 * r + 2] for r in range(6)
    }
    for rank in range(3):
        write_lines(predictions[rank::3][::-1], tmp_path / f'pseudo.rank{rank}.jsonl')
    files = prediction_files(str(tmp_path / 'pseudo'))
    assert len(files) == 3 and contents(*files) == whole
    (tmp_path / 'list.json').write_text(json.dumps(predictions))
    assert contents(str(tmp_path / 'list.json')) == whole


def test_the_last_of_duplicates_counts(tmp_path, predictions):
    newer = [{**prediction, 'score': 0.123} for prediction in predictions[:4]]
    first = write_lines(predictions + newer[:2], tmp_path / 'a.jsonl')
    second = write_lines(newer[2:], tmp_path / 'b.jsonl')
    with PredictionStore([first, second]) as store:
        assert (store.num_records, store.num_duplicates) == (18, 4)
        scores = [p['score'] for ref_id in (0, 1) for p in store.of_object(ref_id)]
    assert scores[:4] == [0.123] * 4 and 0.123 not in scores[4:]
    assert contents(second, first)[1][0] == predictions[3]


def test_half_a_last_line_is_noted(tmp_path, predictions):
    path = tmp_path / 'a.jsonl'
    write_lines(predictions, path)
    text = path.read_text()
    path.write_text(text[:-30])
    with PredictionStore([str(path)]) as store:
        assert store.num_records == 17
        assert len(store.notes) == 1 and 'half a line' in store.notes[0]


def test_a_broken_line_inside_is_an_error(tmp_path, predictions):
    path = tmp_path / 'a.jsonl'
    write_lines(predictions, path)
    lines = path.read_text().splitlines()
    lines[4] = lines[4][:-9]
    path.write_text('\n'.join(lines) + '\n')
    with pytest.raises(UserInputError, match='line 5: found text that is not json'):
        PredictionStore([str(path)])


@pytest.mark.parametrize('line', ['{"ref_id": 1}', '[1, 2]', '7', '{"ref_id": "x", "sent_id": 2}'])
def test_lines_without_ids_are_an_error(tmp_path, line):
    (tmp_path / 'a.jsonl').write_text(line + '\n')
    with pytest.raises(UserInputError, match='ref_id and sent_id'):
        PredictionStore([str(tmp_path / 'a.jsonl')])


def test_files_are_found_by_path_glob_and_prefix(tmp_path):
    for rank in (0, 2, 10):
        (tmp_path / f'pseudo[x].rank{rank}.jsonl').write_text('')
    names = [f'pseudo[x].rank{rank}.jsonl' for rank in (0, 2, 10)]
    expected = [str(tmp_path / name) for name in names]
    assert prediction_files(str(tmp_path / 'pseudo[x]')) == expected
    assert prediction_files(str(tmp_path / '*.jsonl')) == expected
    assert prediction_files([expected[1], *expected]) == [expected[1], expected[0], expected[2]]
    with pytest.raises(UserInputError, match='no predictions'):
        prediction_files(str(tmp_path / 'other'))


def test_an_empty_shard_has_nothing(tmp_path):
    (tmp_path / 'a.jsonl').write_text('')
    with PredictionStore([str(tmp_path / 'a.jsonl')]) as store:
        assert store.num_records == 0 and store.ref_ids == set() and store.of_object(3) == []
