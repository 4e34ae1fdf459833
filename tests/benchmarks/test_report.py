"""python -m benchmarks.report and benchmarks.screenshots, of a run of a few images."""

import json

import pytest
from PIL import Image

from benchmarks import report, screenshots
from tests import browser


@pytest.mark.skipif(browser.find_browser() is None, reason='there is no Chromium')
def test_figures_and_pictures(tmp_path, capsys):
    out = tmp_path / 'run'
    report.main(['--images', '40', '--side', '32', '--folder', str(out)])
    told = json.loads(capsys.readouterr().out)
    assert told['cards on the first page'] == 40 and told['problems'] == []
    assert 0.04 < told['MB'] < 1 and told['seconds to open'] > 0
    for path in out.glob('photo*/*.png'):  # the pictures of a simulated run are empty files
        path.unlink()
    screenshots.main(['--run', str(out), '--image', 'photo-00007', '--out', str(tmp_path)])
    for name in ('report.png', 'report_image.png'):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] == screenshots.SIZE[0] and picture.size[1] >= 300


def test_a_run_without_report(tmp_path, capsys):
    with pytest.raises(SystemExit) as told:
        screenshots.main(['--run', str(tmp_path)])
    assert told.value.code == 2 and capsys.readouterr().err.count('\n') == 1
