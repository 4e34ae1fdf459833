"""The report of a run: what is in it, that nothing in it is anyone else's, and, where there is a Chromium, that it works."""

import base64
import io
import json
import re
import urllib.parse
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mgan_jax.results import history, records, report, thumbnails
from mgan_jax.results.records import Identity, Result
from mgan_jax.settings import presets
from mgan_jax.storage import stores
from tests import browser

EVIL = [
    '</script><script>alert(1)</script>',
    '"><img src=x onerror=alert(2)>',
    'a\'b"c&amp;d',
    '日本 #50% ?',
    '<!--<script>',
]
STEPS, EVERY = 40, 10
SETTINGS = presets.preset_settings('super_resolve', 'fast') | {'steps': STEPS, 'history_every': EVERY, 'num_codes': 2}
MACHINE = {'versions': {'jax': '1.2<3>'}, 'devices': ['cpu', 'cpu', '</script>']}
COLOURS = {'input': (255, 0, 0), 'result': (0, 255, 0), 'inversion': (0, 255, 0), 'target': (0, 0, 255)}
needs_browser = pytest.mark.skipif(browser.executable() is None, reason='there is no Chromium')


def result(number, target=True):
    shape = (16, 16, 3)
    pictures = {title: np.broadcast_to(np.float32(colour) / 127.5 - 1, shape) for title, colour in COLOURS.items()}
    if not target:
        del pictures['target']
    loss, psnr = 1 / (number + 1), {'psnr': 20.0 + number, 'input_psnr': 15.0} if target else {}
    row = {'name': '', 'status': records.DONE, 'loss': loss, **psnr, 'steps': STEPS, 'seconds': 1.0}
    shown = [(step, history.make_frame(pictures['result'], 10 + step / 4)) for step in range(EVERY, STEPS + 1, EVERY)]
    strip = io.BytesIO()
    Image.new('RGB', (32, 16), (9, 9, 9)).save(strip, format='PNG')
    files = history.history_files([(step, loss + 1 / (step + 1)) for step in range(STEPS)], shown)
    files |= {name: strip.getvalue() for name in ('codes.png', 'alpha.png', 'edit.png')}
    files |= {'edit.webp': files['history.webp'], 'preview.webp': thumbnails.make_thumbnail(pictures)}
    return Result(pictures, {'latents': np.zeros(3)}, row, files)


def fill(store, images, failed=()):
    """A run: images (name, result), and names that have failed with a reason that is markup."""
    records.write_run_config(store, SETTINGS, MACHINE)
    rows = records.open_rows(store)
    for place, (name, made) in enumerate(images):
        made = made._replace(row=made.row | {'name': name})
        records.write_record(store, name, Identity('image', 'settings'), made)
        rows.add(place, made.row)
    for place, name in enumerate(failed, len(images)):
        rows.add(place, {'name': name, 'status': f'{name}: <b>cannot</b> be read </script>'})
    rows.finish()
    report.write_report(store)


class Reader(HTMLParser):
    """The texts of script elements by their id, and all tags."""

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


def parsed(content):
    reader = Reader()
    reader.feed(content.decode())
    data, lines = json.loads(reader.texts['data']), json.loads(reader.texts['images'])
    return reader, data, lines, reader.texts.get('thumbs', '').split('\n')


@pytest.fixture(params=['local', 'remote'])
def store(request, tmp_path):
    with stores.open_store(str(tmp_path) if request.param == 'local' else f'memory://{tmp_path}') as store:
        yield store


def test_what_is_in_it(store):
    fill(store, [('one', result(0)), ('two', result(1))], failed=['three'])
    reader, data, lines, thumbs = parsed(store.read('report.html'))
    assert (data['title'], data['preset'], data['codes'], data['shape']) == (
        'Super-resolution x16',
        'fast',
        2,
        [16, 16],
    )
    columns = dict(zip(data['columns'], lines[1][2], strict=True))
    assert {name: value for name, value in columns.items() if value is not None} == {
        'loss': 0.5, 'psnr': 21.0, 'input_psnr': 15.0, 'steps': STEPS, 'seconds': 1.0
    }  # fmt: skip
    assert [line[:2] for line in lines] == [
        ['one', 'done'], ['two', 'done'], ['three', 'three: <b>cannot</b> be read </script>']
    ]  # fmt: skip
    files = [name for bit, name in enumerate(data['files']) if lines[0][3] >> bit & 1]
    films = {'history.mp4', 'edit.mp4'}
    assert set(files) - films == set(report.FILES) - films
    assert lines[2][2:] == [[None] * len(columns), 0, [], []]
    assert data['psnr_steps'] == [10, 20, 30, 40] and lines[0][5] == [12.5, 15, 17.5, 20]
    assert data['loss_steps'] == list(range(STEPS)) and lines[1][4][:2] == [1.5, 1.0]
    assert thumbs[2] == '' and len(thumbs) == 3
    with Image.open(io.BytesIO(base64.b64decode(thumbs[1]))) as strip:
        assert strip.size == (48, 16)
    assert {name: other for name, _, other in data['settings'] if other}.keys() == {'steps', 'history_every'} | {
        'num_codes'
    }
    assert '--config.steps=40' in data['command']
    assert dict(data['devices']) == {'cpu': '2 of them', '</script>': '1'}


def test_names_and_reasons_stay_texts(store):
    """Whatever a file is called, the elements of the page are those of its template."""
    fill(store, [('plain', result(0))])
    plain = parsed(store.read('report.html'))[0].tags
    fill(store, [(name.replace('/', '_'), result(0)) for name in EVIL], failed=EVIL)
    reader, data, lines, _ = parsed(store.read('report.html'))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain]
    assert [line[0] for line in lines] == [name.replace('/', '_') for name in EVIL] + EVIL


def test_nothing_is_loaded_from_elsewhere_and_no_other_script_runs(store):
    fill(store, [('one', result(0))])
    content = store.read('report.html').decode()
    reader = parsed(content.encode())[0]
    assert not [attributes for _, attributes in reader.tags if {'src', 'srcset', 'action'} & attributes.keys()]
    links = [attributes['href'] for _, attributes in reader.tags if 'href' in attributes]
    assert all(link.startswith('#') or link == 'data:,' for link in links)
    assert set(re.findall(r'https?://[^\s"\')]+', content)) <= {'http://www.w3.org/2000/svg'}
    policy = next(attributes['content'] for _, attributes in reader.tags if attributes.get('http-equiv'))
    assert "default-src 'none'" in policy and 'unsafe' not in policy


def test_it_is_the_same_again_and_is_not_written_again(tmp_path):
    with stores.open_store(str(tmp_path)) as store:
        fill(store, [('one', result(0))])
        before = (tmp_path / 'report.html').stat().st_mtime_ns
        report.write_report(store)
        assert (tmp_path / 'report.html').stat().st_mtime_ns == before


def test_results_of_earlier_releases_and_damaged_files(tmp_path):
    """Without a preview it is made of the pictures; what is damaged leaves a gap, and the others are as they were."""
    with stores.open_store(str(tmp_path)) as store:
        fill(store, [(name, result(0)) for name in ('old', 'damaged', 'gone', 'sound')])
        (tmp_path / 'old' / 'preview.webp').unlink()
        (tmp_path / 'old' / 'history.csv').unlink()
        for path in (tmp_path / 'damaged').iterdir():
            path.write_bytes(b'\xff\x00<script>')
        for path in (tmp_path / 'gone').iterdir():
            path.unlink()
        report.write_report(store)
        _, data, lines, thumbs = parsed(store.read('report.html'))
        assert [bool(thumb) for thumb in thumbs] == [True, False, False, True]
        assert [any(value is not None for value in line[4]) for line in lines] == [False, False, False, True]
        assert data['shape'] == [16, 16]


def test_pictures_that_do_not_fit_are_left_out_and_rows_too(tmp_path, monkeypatch):
    with stores.open_store(str(tmp_path)) as store:
        fill(store, [(f'photo{number}', result(number)) for number in range(6)])
        _, data, lines, thumbs = parsed(store.read('report.html'))
        used = len(thumbs[0]) + len(json.dumps(lines[0]))
        monkeypatch.setattr(report, 'BYTES', int(2.5 * used))
        monkeypatch.setattr(report, 'ROWS', 4)
        report.write_report(store)
        _, data, lines, thumbs = parsed(store.read('report.html'))
        assert [bool(thumb) for thumb in thumbs] == [True, True, False, False]
        assert [bool(line[4]) for line in lines] == [True, True, False, False]
        assert data['left_out'] == '2 more are in metrics.csv'


def test_of_many_processes_the_last_one_writes_it(tmp_path):
    for index, there in ((0, False), (1, True)):
        with stores.open_store(str(tmp_path), index, 2) as store:
            fill(store, [(f'photo{index}', result(0))])
            assert store.exists('report.html') == there
    names = [line[0] for line in parsed((tmp_path / 'report.html').read_bytes())[2]]
    assert sorted(names) == ['photo0', 'photo1']


def test_without_images_and_without_targets(store):
    fill(store, [])
    assert parsed(store.read('report.html'))[2] == []
    fill(store, [('one', result(0, target=False))])
    with Image.open(io.BytesIO(base64.b64decode(parsed(store.read('report.html'))[3][0]))) as strip:
        assert strip.size == (32, 16)


# In a browser


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """A browser with the report of 60 images, of which 2 have failed, some with evil names."""
    folder = tmp_path_factory.mktemp('report <&> #1')
    names = [name.replace('/', '_') for name in EVIL] + [f'photo{number:02d}' for number in range(53)]
    with stores.open_store(str(folder)) as store:
        fill(store, [(name, result(number)) for number, name in enumerate(names)], failed=EVIL[:2])
    with browser.opened(1000, 800) as page:
        page.url = (folder / 'report.html').as_uri()
        yield page


@pytest.fixture
def opened(page):
    """The page as it opens; a test must leave no problem behind."""
    page.call('Page.navigate', url='about:blank')
    page.problems.clear()
    page.open(page.url)
    yield page
    assert page.problems == []
    assert page.run('[...document.images].filter((i) => i.complete && !i.naturalWidth).length') == 0


def cards(page):
    return page.run("[...document.querySelectorAll('.card a')].map((link) => link.textContent)")


def choose(page, control, value):
    """In a select or an input."""
    kind = 'input' if control == 'query' else 'change'
    page.run(
        f"(() => {{ const node = document.getElementById('{control}'); node.value = {json.dumps(value)}; "
        f"node.dispatchEvent(new Event('{kind}', {{ bubbles: true }})); }})()"
    )


def cut(page, selector='.compare'):
    return float(page.run(f"document.querySelector('{selector}').style.getPropertyValue('--cut') || '50%'").rstrip('%'))


def box(page, selector):
    return page.run(
        f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect(); "
        'return [b.left, b.top, b.width, b.height]; })()'
    )


@needs_browser
def test_it_opens(opened):
    assert len(cards(opened)) == 48
    assert cards(opened)[: len(EVIL)] == [name.replace('/', '_') for name in EVIL]
    assert opened.run('document.title') == 'Super-resolution x16'
    assert '58 of 60 images done, PSNR 48.50 dB' in opened.run("document.getElementById('told').textContent")
    assert opened.run("document.querySelectorAll('#histograms svg').length") == 5
    assert opened.run("document.querySelectorAll('#curves svg').length") == 2
    assert opened.run("document.querySelectorAll('script').length") == 4  # no more than the template's


@needs_browser
def test_thumbnails_show_input_and_result(opened):
    """The left of a slider is red, the right is green, in pixels."""
    left, top, width, height = box(opened, '.compare')
    picture = Image.open(io.BytesIO(opened.screenshot())).convert('RGB')
    red = picture.getpixel((int(left + width / 4), int(top + height / 4)))
    green = picture.getpixel((int(left + 3 * width / 4), int(top + height / 4)))
    assert red[0] > 180 > 80 > red[1] and green[1] > 180 > 80 > green[0]
    choose(opened, 'compare', 'target')
    picture = Image.open(io.BytesIO(opened.screenshot())).convert('RGB')
    blue = picture.getpixel((int(left + width / 4), int(top + height / 4)))
    assert blue[2] > 180 > 80 > blue[0]


@needs_browser
def test_sliders_move_by_mouse_touch_and_keys(opened):
    left, top, width, height = box(opened, '.compare')
    middle = top + height / 2
    opened.drag((left + width / 2, middle), (left + width / 4, middle))
    assert cut(opened) == pytest.approx(25, abs=2)
    opened.touch(left + 0.75 * width, middle)
    assert cut(opened) == pytest.approx(75, abs=2)
    opened.run("document.querySelector('.compare input').focus()")
    before = cut(opened)
    opened.key('ArrowLeft')
    assert cut(opened) == before - 1


@needs_browser
def test_sorting_filtering_and_paging(opened):
    choose(opened, 'sort', 'psnr')
    choose(opened, 'order', 'down')
    assert cards(opened)[:2] == ['photo52', 'photo51']
    choose(opened, 'sort', 'loss')
    assert cards(opened)[0] == EVIL[0].replace('/', '_')
    choose(opened, 'sort', 'name')
    assert cards(opened)[0].startswith('日本')
    choose(opened, 'query', 'PHOTO1')
    assert cards(opened) == [f'photo1{digit}' for digit in reversed(range(10))]
    assert opened.run("document.getElementById('count').textContent") == '10 of 60 images'
    opened.run("document.getElementById('reset').click()")
    choose(opened, 'status', 'failed')
    assert sorted(cards(opened)) == sorted(EVIL[:2])
    choose(opened, 'status', 'done')
    opened.run("document.querySelector('#pages button:last-child').click()")
    assert len(cards(opened)) == 58 - 48
    opened.run(
        '(() => { const node = document.querySelector(\'[aria-label="PSNR (dB), at least"]\'); node.value = 75; '
        "node.dispatchEvent(new Event('input')); })()"
    )
    assert sorted(cards(opened)) == ['photo50', 'photo51', 'photo52']


@needs_browser
def test_a_bar_of_a_histogram_chooses_its_images(opened):
    text = opened.run("document.querySelector('#histograms .bar title').textContent")
    opened.run("document.querySelector('#histograms .bar').dispatchEvent(new MouseEvent('click'))")
    count = int(opened.run("document.getElementById('count').textContent").split()[0])
    assert 0 < count < 58 and text.startswith(f'{count} image')


@needs_browser
@pytest.mark.parametrize('number', [0, 3, 10])
def test_the_view_of_an_image(opened, number):
    name = ([name.replace('/', '_') for name in EVIL] + [f'photo{n:02d}' for n in range(53)])[number]
    opened.run(f"document.querySelectorAll('.card a')[{number}].click()")
    opened.until("!document.getElementById('image-view').hidden")
    assert opened.run("document.querySelector('#image-view h2').textContent") == name
    assert urllib.parse.unquote(opened.run('location.hash')) == f'#/{name}'
    opened.until('[...document.images].every((image) => image.complete)')
    sources = opened.run('[...document.images].map((image) => image.src)')
    shown = {urllib.parse.unquote(source).rpartition('/')[2] for source in sources}
    of_all = {'input.png', 'result.png', 'inversion.png', 'target.png', 'history.webp', 'alpha.png'}
    assert shown == of_all | {'edit.png', 'edit.webp'}
    assert opened.run("document.querySelectorAll('.codes li').length") == 2
    assert opened.run("document.querySelectorAll('#image-view .own').length") >= 2
    opened.run("document.querySelector('.pictures button').click()")
    opened.until("document.querySelector('#zoom[open] img')?.naturalWidth === 16")
    opened.key('Escape')
    opened.until("!document.getElementById('zoom').open")


@needs_browser
def test_keys_go_from_image_to_image_and_back(opened):
    opened.run("location.hash = '#/photo10'")
    opened.until("document.querySelector('#image-view h2')?.textContent === 'photo10'")
    opened.key('ArrowRight')
    opened.until("document.querySelector('#image-view h2')?.textContent === 'photo11'")
    opened.key('ArrowLeft')
    opened.until("document.querySelector('#image-view h2')?.textContent === 'photo10'")
    opened.key('Escape')
    opened.until("document.getElementById('image-view').hidden")
    assert len(cards(opened)) == 48


@needs_browser
def test_everything_that_can_be_used_has_a_name(opened):
    opened.run("location.hash = '#/photo10'")
    opened.until("!document.getElementById('image-view').hidden")
    for _ in range(2):
        tree = opened.call('Accessibility.getFullAXTree')['nodes']
        used = [node for node in tree if not node['ignored'] and node['role']['value'] in USED]
        assert len(used) > 10
        assert [node['role'] for node in used if not node.get('name', {}).get('value')] == []
        opened.run("location.hash = '#'")
        opened.until("document.getElementById('image-view').hidden")


USED = {'button', 'link', 'slider', 'searchbox', 'spinbutton', 'combobox', 'image', 'img'}


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(opened):
    opened.size(360, 740, phone=True)
    try:
        for address in ('#', '#/photo10'):
            opened.run(f"location.hash = '{address}'")
            opened.until(f"document.getElementById('image-view').hidden === {'true' if address == '#' else 'false'}")
            assert opened.run('document.documentElement.scrollWidth') <= 360
    finally:
        opened.size(1000, 800)


@needs_browser
def test_thumbnails_stand_in_where_files_are_missing(tmp_path):
    with stores.open_store(str(tmp_path)) as store:
        fill(store, [('one', result(0))])
    (tmp_path / 'one').rename(tmp_path / 'moved')
    with browser.opened() as page:
        page.open((tmp_path / 'report.html').as_uri() + '#/one')
        page.until("document.querySelectorAll('img').length === 0")
        assert page.run("document.querySelectorAll('#image-view .compare .thumb').length") == 2
        assert page.run("document.querySelectorAll('.pictures .thumb').length") == 3
