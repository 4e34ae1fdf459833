"""The PyTorch forms compute what the library computes: same weights, same start, same target."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import jax_sides, problem, record
from mgan_jax.composition import Codes
from tests.references import relative_error

torch = pytest.importorskip('torch')
from benchmarks import torch_reference  # noqa: E402

SETTING = problem.Setting(resolution=32, fmaps_max=32, extractor_size=64, layer=4, codes=3, batch=2, compile=False)
CLOSE = 1e-4


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads of small convolutions would mostly wait for each other while other tests run."""
    monkeypatch.setattr(record, 'count_cores', lambda: 1)
    torch.set_num_threads(1)


@pytest.fixture(scope='module')
def weights():
    return problem.draw_weights(SETTING)


@pytest.fixture(scope='module')
def start(weights):
    return problem.draw_start(SETTING, weights)


@pytest.fixture(scope='module')
def expected(weights, start):
    """Our losses [B] and gradients."""
    objective = jax_sides.make_objective(SETTING, *problem.build_networks(SETTING))

    def total(codes):
        loss = objective(codes, jnp.asarray(start.target), *weights)
        return jnp.sum(loss), loss

    codes = Codes(jnp.asarray(start.latents), jnp.asarray(start.alpha))
    (_, loss), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(codes)
    return np.asarray(loss), np.asarray(gradient.latents), np.asarray(gradient.alpha)


@pytest.mark.parametrize('cached', [True, False])
def test_best_agrees(weights, start, expected, cached):
    net = torch_reference.to_channels_last(torch_reference.load_networks(*weights))
    latents, alpha = (torch.from_numpy(x.copy()).requires_grad_() for x in (start.latents, start.alpha))
    target = torch_reference.to_channels_first(start.target)
    features = torch_reference.extract_features(net, target, SETTING.extractor_size) if cached else None
    loss = torch_reference.best_loss(net, latents, alpha, target, features, SETTING.layer, SETTING.extractor_size)
    gradients = torch.autograd.grad(loss.sum(), [latents, alpha])
    for got, want in zip((loss.detach(), *gradients), expected, strict=True):
        assert relative_error(got.numpy(), want) < CLOSE


def test_original_agrees(weights, start, expected):
    """With the sum divided by N, alpha is N times ours and its gradient an N-th."""
    net, losses, gradients = torch_reference.load_networks(*weights), [], []
    for z, a, target in zip(start.latents, start.alpha, start.target, strict=True):
        latents = [torch.from_numpy(row.copy())[None].requires_grad_() for row in z]
        alpha = [torch.from_numpy(row * SETTING.codes)[None, :, None, None].requires_grad_() for row in a]
        target = torch_reference.to_channels_first(target[None])
        loss = torch_reference.original_loss(net, latents, alpha, target, SETTING.layer, SETTING.extractor_size)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss.sum(), [*latents, *alpha]))
    latents, alpha = np.split(np.array([[x.numpy().squeeze() for x in row] for row in gradients]), 2, axis=1)
    for got, want in zip((losses, latents, alpha * SETTING.codes), expected, strict=True):
        assert relative_error(np.array(got), want) < CLOSE


@pytest.mark.parametrize('side', ['original', 'best'])
def test_sides_start_where_ours_does_and_descend(weights, start, expected, side):
    advance, facts = getattr(torch_reference, side)(weights, SETTING, start)
    first = np.array(advance())
    assert relative_error(first, expected[0]) < CLOSE
    for _ in range(5):
        last = np.array(advance())
    assert np.all(last < first) and facts['note']


def test_only_the_original_way_computes_gradients_of_weights(weights, start, monkeypatch):
    loaded = []
    load = torch_reference.load_networks
    monkeypatch.setattr(torch_reference, 'load_networks', lambda *trees: loaded.append(load(*trees)) or loaded[-1])
    for side, wanted in (('original', True), ('best', False)):
        getattr(torch_reference, side)(weights, SETTING, start)[0]()
        assert all((tensor.grad is not None) == wanted for tensor in torch_reference.list_tensors(loaded[-1]))


def test_best_works_without_a_compiler(weights, start, expected, monkeypatch):
    def no_compiler(*arguments):
        raise OSError('no compiler')

    monkeypatch.setattr(torch, 'compile', lambda function, **options: no_compiler)
    advance, facts = torch_reference.best(weights, SETTING._replace(compile=True), start)
    assert facts['note'] == 'eager; compiling fails: OSError'
    assert relative_error(np.array(advance()), expected[0]) < CLOSE


def test_best_takes_the_quicker_form(weights, start, expected, monkeypatch):
    def slow(function, **options):
        return lambda *arguments: time.sleep(0.5) or function(*arguments)

    monkeypatch.setattr(torch, 'compile', slow)
    advance, facts = torch_reference.best(weights, SETTING._replace(compile=True), start)
    assert facts['note'].startswith('eager (')
    assert relative_error(np.array(advance()), expected[0]) < CLOSE
