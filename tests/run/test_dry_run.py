"""Plans beside the runs that they are of: the same numbers, and nothing written."""

import jax
import numpy as np
import pytest

from mgan_jax import invert, models
from mgan_jax.data import sources
from mgan_jax.engine import programs, slots
from mgan_jax.run import dry_run, jobs
from mgan_jax.settings import presets
from tests.run.test_jobs import Hungry
from tests.small_runs import FILES, SIDE, arguments, contents, latents

pytestmark = pytest.mark.usefixtures('in_the_repository', 'quick_compilation')
PLAN = dry_run.RunEstimate(
    images=1_000_003, done=3, processes=2, devices=4, kind='chip', slots=32, steps=75, early=False, weights=2_000_000_000,
    planned=300_000_000, left=9_990_000_000, state=64_000, codes=20_000, pictures=786_432, compiling=60.0, step=0.5, rest=2.5,
)  # fmt: skip


def job_of(folder, config='sr.py', out='/none', **fields):
    return jobs.prepare_job(invert.read_settings(arguments(folder, config, out, **fields)))


@pytest.fixture(scope='module')
def job(folder):
    return job_of(folder, factor=4)


@pytest.fixture(scope='module')
def measured(job, tmp_path_factory):
    return dry_run.estimate_run(job)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_run(job, measured):
    assert (measured.images, measured.done, measured.slots, measured.steps, measured.batches) == (5, 0, 2, 3, 3)
    assert (measured.processes, measured.kind, measured.early) == (1, 'cpu', False)
    assert measured.slots % measured.devices == 0
    assert measured.weights == sum(leaf.nbytes for leaf in jax.tree.leaves(job.program.shared))
    assert measured.pictures == 3 * SIDE**2 * 3 + (SIDE // 4) ** 2 * 3


def test_the_state_counted_by_hand(measured):
    """Two codes of 8 numbers and of as many importances as layer 3 has channels, and what the optimiser and the loop keep."""
    channels = 16
    codes = 4 * (2 * 8 + 2 * channels)
    moments = codes + 2 * 4 * 2 * 2 + 4 * (8 + channels)  # of slopes, between codes, of columns
    counters = 4 * (2 + 2)  # of the schedules of either part; Adam's, for the parts that there are not
    assert measured.codes == codes
    assert measured.state == 2 * (2 * codes + moments + counters + 3 * 4)  # two slots; best loss, failed_at, step


def test_times_are_those_of_a_clock(job, tmp_path):
    """A clock that goes on by a second whenever it is looked at."""
    ticks = iter(range(1000))
    found = dry_run.estimate_run(job, clock=lambda: float(next(ticks)))
    assert (found.step, found.rest, found.compiling) == (pytest.approx(1 / 3), 2.0, 1.0)
    assert found.seconds == pytest.approx(1 + 3 * (3 / 3 + 2))


def test_what_a_step_takes_is_what_the_compiler_plans(job, measured):
    """For each of two devices, which have a slot each."""
    start = dry_run._black_images(job)
    state, target = job.program.begin(start, *job.program.shared)
    told = job.program.step.update.lower(state, target, *job.program.shared).compile().memory_analysis()
    arguments = sum(leaf.nbytes for leaf in jax.tree.leaves((state, target))) // measured.devices
    assert told.temp_size_in_bytes > 10_000
    assert 0 <= measured.planned - told.temp_size_in_bytes - arguments < 1000


@pytest.mark.slow
def test_steps_that_accelerators_do_in_one_program(job):
    state, target = job.program.begin(dry_run._black_images(job), *job.program.shared)
    compiled = dry_run._compile_steps(job.program.step, (state, target, *job.program.shared), 4)
    state, seconds = dry_run._time_steps(compiled, state, (target, *job.program.shared), 4, lambda: 0.0)
    assert np.array_equal(state.step, [16, 16])  # once to warm up, three times measured
    assert seconds == 0


@pytest.mark.slow
@pytest.mark.parametrize('config', ['colorize.py', 'inpaint.py', 'denoise.py'])
def test_observations_have_the_shapes_of_real_ones(folder, config):
    job = job_of(folder, config)
    observed = job.observe(job.sources[0], sources.read_source(job.sources[0]))
    start = programs.ProgramInput(np.array([observed.checksum], np.uint32), observed.observation)
    expected = jax.tree.map(lambda leaf: (2, *leaf.shape[1:], str(leaf.dtype)), start)
    assert jax.tree.map(lambda leaf: (*leaf.shape, str(leaf.dtype)), dry_run._black_images(job)) == expected


def test_images_whose_targets_are_not_known_have_fewer_pictures(folder):
    job = job_of(folder, factor=2, low_res=True)
    assert dry_run._picture_bytes(job, dry_run._black_images(job)) == 2 * SIDE**2 * 3 + (SIDE // 2) ** 2 * 3


@pytest.mark.slow
def test_a_dry_run_prints_and_writes_nothing(folder, tmp_path, capsys):
    out = tmp_path / 'out'
    command = arguments(folder, 'sr.py', out, factor=4)
    assert invert.main([*command, '--config.dry_run=True']) == 0
    captured = capsys.readouterr()
    assert not out.exists() and captured.err == ''
    assert captured.out.splitlines()[0].split() == ['images', '5', 'none', 'of', 'them', 'done', 'yet']
    assert invert.main(command) == 0
    (out / 'photo4').rename(tmp_path / 'photo4')
    before = contents(out)
    capsys.readouterr()
    assert invert.main([*command, '--config.dry_run=True']) == 0
    assert contents(out) == before
    told = capsys.readouterr().out.splitlines()
    assert told[0].split()[:3] == ['images', '5', '4'] and told[4].split()[:2] == ['batches', '1']
    codes = latents(out, 'photo0')
    assert f'codes        {sum(array.nbytes for array in codes)} bytes' in [
        line.split('  for')[0].rstrip() for line in told
    ]
    assert {path.name for path in (out / 'photo0').iterdir()} == FILES | {'target.png'}


def test_unusable_settings_are_refused_as_in_a_run(folder, tmp_path, capsys):
    command = arguments(folder, 'sr.py', tmp_path / 'out', factor=3)
    assert invert.main([*command, '--config.dry_run=True']) == 2
    assert 'factor 3 does not divide images of 16x16 pixels' in capsys.readouterr().err


@pytest.mark.slow
def test_memory_that_does_not_suffice(folder, tmp_path):
    generator, params = models.load(folder / 'generator')
    own = {
        'images': str(folder / 'photos'),
        'out': '/none',
        'layer': 3,
        'num_codes': 2,
        'perceptual': 0.0,
        'batch_size': 4,
    }
    settings = presets.make_settings('reconstruct', **own)
    job = jobs.prepare_job(settings, (Hungry(generator, 1), params))
    with pytest.raises(
        ValueError, match='the memory does not suffice for 4 images at once; a run would go on with half'
    ):
        dry_run.estimate_run(job)


def test_errors_of_other_kinds_are_shown(job, tmp_path):
    broken = job._replace(program=slots.Program(lambda *given: 1 / 0, *job.program[1:]))
    with pytest.raises(ZeroDivisionError):
        dry_run.estimate_run(broken)


def test_the_table():
    assert dry_run.format_estimate(PLAN) == '\n'.join(
        [
            'images       1,000,003     3 of them done already',
            'processes    2             all figures below are of this one',
            'devices      4             chip',
            'slots        32            images at once, 8 on each device',
            'batches      31,250        of 75 steps',
            'weights      2 GB          on each device',
            "step         300 MB        on each device beside the weights, by the compiler's plan",
            'left         9.99 GB       on the fullest device beside the weights',
            'checkpoint   64 kB         the states of all slots',
            'codes        20 kB         for each image, 20 GB in all',
            'pictures     786 kB        for each image, 786 GB in all; less as PNG',
            'compilation  1 min 0 s     measured; less where programs are kept from an earlier run',
            'a step       500 ms        measured, of all slots, the quickest of a few',
            'images/hour  2,880         with full slots, from the step, the start and the result, as measured',
            'time         14 days 11 h  for what is left, if reading and writing keep up',
        ]
    )


def test_a_plan_with_nothing_left_takes_no_time():
    assert PLAN._replace(done=1_000_003).seconds == 0
    assert 'of 75 steps at most' in dry_run.format_estimate(PLAN._replace(early=True))


def test_images_per_hour():
    assert dry_run.images_per_hour(32, 75, 0.5) == pytest.approx(3072)
    assert dry_run.images_per_hour(32, 75, 0.5, rest=2.5) == 2880


@pytest.mark.parametrize(
    'seconds, text',
    [
        (0, '0 ms'), (0.01234, '12.3 ms'), (3.44, '3.44 s'), (59.96, '60 s'), (320, '5 min 20 s'), (3660, '1 h 1 min'),
        (86399, '24 h 0 min'), (2 * 86400 + 3 * 3600, '2 days 3 h'), (4e9, '46,296 days 7 h'),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert dry_run.format_duration(seconds) == text


@pytest.mark.parametrize(
    'count, text', [(0, '0 bytes'), (999, '999 bytes'), (1500, '1.5 kB'), (2.5e12, '2.5 TB'), (5e15, '5,000 TB')]
)
def test_sizes(count, text):
    assert dry_run.format_bytes(count) == text
