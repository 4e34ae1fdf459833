"""The report in Chromium: gallery, sliders, filters, views of images, keys, accessibility and narrow screens."""

import io
import json
import urllib.parse

import pytest
from PIL import Image

from mgan_jax.storage import stores
from tests import browser
from tests.report_runs import FOLDER_NAMES, HOSTILE_NAMES, make_result, write_run

pytestmark = pytest.mark.skipif(browser.find_browser() is None, reason='there is no Chromium')


NAMES = FOLDER_NAMES + [f'photo{number:02d}' for number in range(53)]
ROLES = {'button', 'link', 'slider', 'searchbox', 'spinbutton', 'combobox', 'image', 'img'}


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """A page of a browser, with the URL of a report of 60 images: hostile names, 2 failed images."""
    folder = tmp_path_factory.mktemp('report <&> #1')
    with stores.open_store(str(folder)) as store:
        write_run(store, [(name, make_result(number)) for number, name in enumerate(NAMES)], failed=HOSTILE_NAMES[:2])
    with browser.open_page(1000, 800) as page:
        page.url = (folder / 'report.html').as_uri()
        yield page


@pytest.fixture
def report_page(page):
    """The page with the report just report_page; checks after the test that it reported no problem."""
    page.call('Page.navigate', url='about:blank')
    page.problems.clear()
    page.open(page.url)
    yield page
    assert page.problems == []
    assert page.run('[...document.images].filter((i) => i.complete && !i.naturalWidth).length') == 0


def card_names(page):
    return page.run("[...document.querySelectorAll('.card a')].map((link) => link.textContent)")


def set_control(page, control, value):
    """Sets the value of a select or an input."""
    kind = 'input' if control == 'query' else 'change'
    page.run(
        f"(() => {{ const node = document.getElementById('{control}'); node.value = {json.dumps(value)}; "
        f"node.dispatchEvent(new Event('{kind}', {{ bubbles: true }})); }})()"
    )


def slider_position(page, selector='.compare'):
    return float(page.run(f"document.querySelector('{selector}').style.getPropertyValue('--cut') || '50%'").rstrip('%'))


def bounding_box(page, selector):
    return page.run(
        f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect(); "
        'return [b.left, b.top, b.width, b.height]; })()'
    )


@pytest.mark.slow
def test_the_page_opens(report_page):
    assert len(card_names(report_page)) == 48
    assert card_names(report_page)[: len(FOLDER_NAMES)] == FOLDER_NAMES
    assert report_page.run('document.title') == 'Super-resolution x16'
    assert '58 of 60 images done, PSNR 48.50 dB' in report_page.run(
        "document.getElementById('run-summary').textContent"
    )
    assert report_page.run("document.querySelectorAll('#histograms svg').length") == 5
    assert report_page.run("document.querySelectorAll('#curves svg').length") == 2
    assert report_page.run("document.querySelectorAll('script').length") == 4  # those of the template


@pytest.mark.slow
def test_thumbnails_show_input_and_result(report_page):
    """The left of a slider shows the red input, the right the green result."""
    left, top, width, height = bounding_box(report_page, '.compare')
    picture = Image.open(io.BytesIO(report_page.screenshot())).convert('RGB')
    red = picture.getpixel((int(left + width / 4), int(top + height / 4)))
    green = picture.getpixel((int(left + 3 * width / 4), int(top + height / 4)))
    assert red[0] > 180 > 80 > red[1] and green[1] > 180 > 80 > green[0]
    set_control(report_page, 'compare', 'target')
    picture = Image.open(io.BytesIO(report_page.screenshot())).convert('RGB')
    blue = picture.getpixel((int(left + width / 4), int(top + height / 4)))
    assert blue[2] > 180 > 80 > blue[0]


def test_sliders_follow_mouse_touch_and_keys(report_page):
    left, top, width, height = bounding_box(report_page, '.compare')
    middle = top + height / 2
    report_page.drag((left + width / 2, middle), (left + width / 4, middle))
    assert slider_position(report_page) == pytest.approx(25, abs=2)
    report_page.touch(left + 0.75 * width, middle)
    assert slider_position(report_page) == pytest.approx(75, abs=2)
    report_page.run("document.querySelector('.compare input').focus()")
    before = slider_position(report_page)
    report_page.key('ArrowLeft')
    assert slider_position(report_page) == before - 1


def test_sorting_filtering_and_paging(report_page):
    set_control(report_page, 'sort', 'psnr')
    set_control(report_page, 'order', 'down')
    assert card_names(report_page)[:2] == ['photo52', 'photo51']
    set_control(report_page, 'sort', 'loss')
    assert card_names(report_page)[0] == FOLDER_NAMES[0]
    set_control(report_page, 'sort', 'name')
    assert card_names(report_page)[0].startswith('日本')
    set_control(report_page, 'query', 'PHOTO1')
    assert card_names(report_page) == [f'photo1{digit}' for digit in reversed(range(10))]
    assert report_page.run("document.getElementById('count').textContent") == '10 of 60 images'
    report_page.run("document.getElementById('reset').click()")
    set_control(report_page, 'status', 'failed')
    assert sorted(card_names(report_page)) == sorted(HOSTILE_NAMES[:2])
    set_control(report_page, 'status', 'done')
    report_page.run("document.querySelector('#pages button:last-child').click()")
    assert len(card_names(report_page)) == 58 - 48
    report_page.run(
        '(() => { const node = document.querySelector(\'[aria-label="PSNR (dB), at least"]\'); node.value = 75; '
        "node.dispatchEvent(new Event('input')); })()"
    )
    assert sorted(card_names(report_page)) == ['photo50', 'photo51', 'photo52']


def test_a_bar_of_a_histogram_selects_its_images(report_page):
    text = report_page.run("document.querySelector('#histograms .bar title').textContent")
    report_page.run("document.querySelector('#histograms .bar').dispatchEvent(new MouseEvent('click'))")
    count = int(report_page.run("document.getElementById('count').textContent").split()[0])
    assert 0 < count < 58 and text.startswith(f'{count} image')


@pytest.mark.parametrize('number', [0, 3, 10])
def test_the_view_of_an_image(report_page, number):
    name = NAMES[number]
    report_page.run(f"document.querySelectorAll('.card a')[{number}].click()")
    report_page.until("!document.getElementById('image-view').hidden")
    assert report_page.run("document.querySelector('#image-view h2').textContent") == name
    assert urllib.parse.unquote(report_page.run('location.hash')) == f'#/{name}'
    report_page.until('[...document.images].every((image) => image.complete)')
    sources = report_page.run('[...document.images].map((image) => image.src)')
    shown = {urllib.parse.unquote(source).rpartition('/')[2] for source in sources}
    expected = {'input.png', 'result.png', 'inversion.png', 'target.png', 'history.webp', 'alpha.png'}
    assert shown == expected | {'edit.png', 'edit.webp'}
    assert report_page.run("document.querySelectorAll('.codes li').length") == 2
    assert report_page.run("document.querySelectorAll('#image-view .own').length") >= 2
    report_page.run("document.querySelector('.pictures button').click()")
    report_page.until("document.querySelector('#zoom[open] img')?.naturalWidth === 16")
    report_page.key('Escape')
    report_page.until("!document.getElementById('zoom').open")


def test_arrow_keys_move_between_images(report_page):
    report_page.run("location.hash = '#/photo10'")
    report_page.until("document.querySelector('#image-view h2')?.textContent === 'photo10'")
    report_page.key('ArrowRight')
    report_page.until("document.querySelector('#image-view h2')?.textContent === 'photo11'")
    report_page.key('ArrowLeft')
    report_page.until("document.querySelector('#image-view h2')?.textContent === 'photo10'")
    report_page.key('Escape')
    report_page.until("document.getElementById('image-view').hidden")
    assert len(card_names(report_page)) == 48


def test_all_controls_and_images_have_accessible_names(report_page):
    report_page.run("location.hash = '#/photo10'")
    report_page.until("!document.getElementById('image-view').hidden")
    for _ in range(2):
        tree = report_page.call('Accessibility.getFullAXTree')['nodes']
        named = [node for node in tree if not node['ignored'] and node['role']['value'] in ROLES]
        assert len(named) > 10
        assert [node['role'] for node in named if not node.get('name', {}).get('value')] == []
        report_page.run("location.hash = '#'")
        report_page.until("document.getElementById('image-view').hidden")


def test_narrow_screens_need_no_horizontal_scrolling(report_page):
    report_page.size(360, 740, phone=True)
    try:
        for address in ('#', '#/photo10'):
            report_page.run(f"location.hash = '{address}'")
            report_page.until(
                f"document.getElementById('image-view').hidden === {'true' if address == '#' else 'false'}"
            )
            assert report_page.run('document.documentElement.scrollWidth') <= 360
    finally:
        report_page.size(1000, 800)


@pytest.mark.slow
def test_thumbnails_replace_missing_files(tmp_path):
    with stores.open_store(str(tmp_path)) as store:
        write_run(store, [('one', make_result(0))])
    (tmp_path / 'one').rename(tmp_path / 'moved')
    with browser.open_page() as page:
        page.open((tmp_path / 'report.html').as_uri() + '#/one')
        page.until("document.querySelectorAll('img').length === 0")
        assert page.run("document.querySelectorAll('#image-view .compare .thumb').length") == 2
        assert page.run("document.querySelectorAll('.pictures .thumb').length") == 3
