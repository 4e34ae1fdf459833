"""The content of report.html: images, metrics, curves, settings, and protection against hostile names."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from mgan_jax.results import report
from mgan_jax.storage import stores
from tests.report_runs import FOLDER_NAMES, HOSTILE_NAMES, STEPS, make_result, write_run


class ReportParser(HTMLParser):
    """Collects the texts of script elements by their id, and all tags with their attributes."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags, self.inside = {}, [], None

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get('id', 'code') if tag == 'script' else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, '') + data


def parse_report(content):
    """Returns (parser, data of the page, rows of images, thumbnails)."""
    reader = ReportParser()
    reader.feed(content.decode())
    data, rows = json.loads(reader.texts['data']), json.loads(reader.texts['images'])
    return reader, data, rows, reader.texts.get('thumbs', '').split('\n')


@pytest.fixture(params=['local', 'remote'])
def store(request, tmp_path):
    with stores.open_store(str(tmp_path) if request.param == 'local' else f'memory://{tmp_path}') as store:
        yield store


def test_the_content_of_a_report(store):
    write_run(store, [('one', make_result(0)), ('two', make_result(1))], failed=['three'])
    reader, data, rows, thumbs = parse_report(store.read('report.html'))
    assert (data['title'], data['preset'], data['codes'], data['shape']) == (
        'Super-resolution x16',
        'fast',
        2,
        [16, 16],
    )
    columns = dict(zip(data['columns'], rows[1][2], strict=True))
    assert {name: value for name, value in columns.items() if value is not None} == {
        'loss': 0.5, 'psnr': 21.0, 'input_psnr': 15.0, 'steps': STEPS, 'seconds': 1.0
    }  # fmt: skip
    assert [row[:2] for row in rows] == [
        ['one', 'done'], ['two', 'done'], ['three', 'three: <b>cannot</b> be read </script>']
    ]  # fmt: skip
    files = [name for bit, name in enumerate(data['files']) if rows[0][3] >> bit & 1]
    videos = {'history.mp4', 'edit.mp4'}
    assert set(files) - videos == set(report.FILES) - videos
    assert rows[2][2:] == [[None] * len(columns), 0, [], []]
    assert data['psnr_steps'] == [10, 20, 30, 40] and rows[0][5] == [12.5, 15, 17.5, 20]
    assert data['loss_steps'] == list(range(STEPS)) and rows[1][4][:2] == [1.5, 1.0]
    assert thumbs[2] == '' and len(thumbs) == 3
    with Image.open(io.BytesIO(base64.b64decode(thumbs[1]))) as strip:
        assert strip.size == (48, 16)
    changed = {name for name, _, preset_value in data['settings'] if preset_value is not None}
    assert changed == {'images', 'generator', 'extractor', 'steps', 'history_every', 'num_codes'}
    assert '--config.steps=40' in data['command']
    assert dict(data['devices']) == {'cpu': '2', '</script>': '1'}


def test_hostile_names_and_reasons_stay_text(store):
    """The elements of the page are those of its template for any names."""
    write_run(store, [('plain', make_result(0))])
    plain = parse_report(store.read('report.html'))[0].tags
    write_run(store, [(name, make_result(0)) for name in FOLDER_NAMES], failed=HOSTILE_NAMES)
    reader, data, rows, _ = parse_report(store.read('report.html'))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain]
    assert [row[0] for row in rows] == FOLDER_NAMES + HOSTILE_NAMES


def test_nothing_is_loaded_from_elsewhere_and_no_other_script_runs(store):
    write_run(store, [('one', make_result(0))])
    content = store.read('report.html').decode()
    reader = parse_report(content.encode())[0]
    assert not [attributes for _, attributes in reader.tags if {'src', 'srcset', 'action'} & attributes.keys()]
    links = [attributes['href'] for _, attributes in reader.tags if 'href' in attributes]
    assert all(link.startswith('#') or link == 'data:,' for link in links)
    assert set(re.findall(r'https?://[^\s"\')]+', content)) <= {'http://www.w3.org/2000/svg'}
    policy = next(attributes['content'] for _, attributes in reader.tags if attributes.get('http-equiv'))
    assert "default-src 'none'" in policy and 'unsafe' not in policy


def test_an_unchanged_report_is_not_written_again(tmp_path):
    with stores.open_store(str(tmp_path)) as store:
        write_run(store, [('one', make_result(0))])
        before = (tmp_path / 'report.html').stat().st_mtime_ns
        report.write_report(store)
        assert (tmp_path / 'report.html').stat().st_mtime_ns == before


def test_results_of_earlier_releases_and_damaged_files(tmp_path):
    """A missing preview is made of the pictures. Damaged and missing files leave gaps."""
    with stores.open_store(str(tmp_path)) as store:
        write_run(store, [(name, make_result(0)) for name in ('old', 'damaged', 'gone', 'sound')])
        (tmp_path / 'old' / 'preview.webp').unlink()
        (tmp_path / 'old' / 'history.csv').unlink()
        for path in (tmp_path / 'damaged').iterdir():
            path.write_bytes(b'\xff\x00<script>')
        for path in (tmp_path / 'gone').iterdir():
            path.unlink()
        report.write_report(store)
        _, data, rows, thumbs = parse_report(store.read('report.html'))
        assert [bool(thumb) for thumb in thumbs] == [True, False, False, True]
        assert [any(value is not None for value in row[4]) for row in rows] == [False, False, False, True]
        assert data['shape'] == [16, 16]


def test_thumbnails_and_images_above_the_limits_are_left_out(tmp_path, monkeypatch):
    with stores.open_store(str(tmp_path)) as store:
        write_run(store, [(f'photo{number}', make_result(number)) for number in range(6)])
        _, data, rows, thumbs = parse_report(store.read('report.html'))
        used = len(thumbs[0]) + len(json.dumps(rows[0]))
        monkeypatch.setattr(report, 'BYTES', int(2.5 * used))
        monkeypatch.setattr(report, 'ROWS', 4)
        report.write_report(store)
        _, data, rows, thumbs = parse_report(store.read('report.html'))
        assert [bool(thumb) for thumb in thumbs] == [True, True, False, False]
        assert [bool(row[4]) for row in rows] == [True, True, False, False]
        assert data['left_out'] == '2 more are in metrics.csv'


def test_the_last_process_writes_the_report(tmp_path):
    for index, is_last in ((0, False), (1, True)):
        with stores.open_store(str(tmp_path), index, 2) as store:
            write_run(store, [(f'photo{index}', make_result(0))])
            assert store.exists('report.html') == is_last
    names = [row[0] for row in parse_report((tmp_path / 'report.html').read_bytes())[2]]
    assert sorted(names) == ['photo0', 'photo1']


def test_a_run_without_images_and_without_targets(store):
    write_run(store, [])
    assert parse_report(store.read('report.html'))[2] == []
    write_run(store, [('one', make_result(0, target=False))])
    with Image.open(io.BytesIO(base64.b64decode(parse_report(store.read('report.html'))[3][0]))) as strip:
        assert strip.size == (32, 16)
