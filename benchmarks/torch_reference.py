"""Two PyTorch forms of the multi-code inversion, written from its equations, for comparison. Channels first: [B C H W].

`original` works as the released code does: one call of G1 for each code, one image at a time, gradients of the weights too,
features of the target in each step, the sum over the codes divided by N, SGD. `best` is the quickest form that we could
write in PyTorch: one call of G1 for all codes of all images, no gradients of the weights, channels last in memory,
torch.compile where it helps, Adam. Both compute the same function as this project.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import record

PERCEPTUAL = 0.001
Affine = tuple[Tensor, Tensor]  # kernel [C_out C_in k k], bias [C_out]


class Networks(NamedTuple):
    """layers: of PGGAN; the first is the 4x4 'full' convolution of the latent. prepare: the 1x1 convolution of the extractor's
    input. blocks: of VGG."""

    layers: list[Affine]
    to_rgb: Affine
    prepare: Affine
    blocks: list[list[Affine]]


def load_networks(generator: dict, extractor: dict) -> Networks:
    """The networks from pytrees with Flax's names and kernels [k k C_in C_out]."""
    layers = [_load_affine(generator[f'layer{l}']) for l in range(1, len(generator))]
    first = torch.from_numpy(np.array(generator['layer1']['kernel'])).permute(3, 0, 1, 2)  # [D 4 4 C] -> [C D 4 4]
    layers[0] = first.flip(2, 3).contiguous(), layers[0][1]
    blocks: list[list[Affine]] = []
    for name in sorted(name for name in extractor if name != 'input'):  # conv1_1, conv1_2, conv2_1, ...
        if name.endswith('_1'):
            blocks.append([])
        blocks[-1].append(_load_affine(extractor[name]))
    return Networks(layers, _load_affine(generator['to_rgb']), _load_affine(extractor['input']), blocks)


def _load_affine(weights: dict) -> Affine:
    kernel = np.array(weights['kernel'])
    kernel = kernel.reshape(1, 1, *kernel.shape) if kernel.ndim == 2 else kernel
    return torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(np.array(weights['bias']))


def pixel_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean_c x^2 + 1e-8); x: [B C ...]."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def first_convolution(layer: Affine, z: Tensor) -> Tensor:
    """[B D] -> [B C 4 4] by a convolution with 3 pixels of padding."""
    return F.leaky_relu(F.conv2d(pixel_norm(z)[:, :, None, None], *layer, padding=3), 0.2)


def first_product(layer: Affine, z: Tensor) -> Tensor:
    """[B D] -> [B C 4 4] by a matrix product; channels last in memory."""
    matrix = layer[0].flip(2, 3).permute(1, 2, 3, 0).flatten(1)  # [D 4*4*C]
    grown = (pixel_norm(z) @ matrix).view(len(z), 4, 4, -1) + layer[1]
    return F.leaky_relu(grown.permute(0, 3, 1, 2), 0.2)


def later_layers(layers: Sequence[Affine], x: Tensor, first: int) -> Tensor:
    """Layers `first`, ...: PixelNorm, nearest upsampling in odd ones, convolution, leaky ReLU."""
    for l, layer in enumerate(layers, first):
        x = pixel_norm(x)
        if l % 2:
            x = F.interpolate(x, scale_factor=2, mode='nearest')
        x = F.leaky_relu(F.conv2d(x, *layer, padding=1), 0.2)
    return x


def render_image(net: Networks, features: Tensor, layer: int) -> Tensor:
    """G2: feature maps after `layer` -> images [B 3 H W]."""
    return F.conv2d(pixel_norm(later_layers(net.layers[layer:], features, layer + 1)), *net.to_rgb)


def extract_features(net: Networks, images: Tensor, size: int) -> Tensor:
    """VGG features of images in [-1, 1], resized to `size` pixels a side."""
    if images.shape[2:] != (size, size):
        images = F.interpolate(images, (size, size), mode='nearest')
    x = F.conv2d((images + 1) / 2, *net.prepare)
    for place, block in enumerate(net.blocks):
        x = F.max_pool2d(x, 2) if place else x
        for layer in block:
            x = F.relu(F.conv2d(x, *layer, padding=1))
    return x


def compute_loss(net: Networks, images: Tensor, target: Tensor, target_features: Tensor | None, size: int) -> Tensor:
    """mean (x - y)^2 + 0.001 mean |phi(x) - phi(y)| of each image: [B]. target_features: phi(y), None to compute it."""
    if target_features is None:
        with torch.no_grad():
            target_features = extract_features(net, target, size)
    pixels = (images - target).square().mean(dim=(1, 2, 3))
    return pixels + PERCEPTUAL * (extract_features(net, images, size) - target_features).abs().mean(dim=(1, 2, 3))


def original_loss(
    net: Networks, latents: Sequence[Tensor], alpha: Sequence[Tensor], target: Tensor, layer: int, size: int
) -> Tensor:
    """The loss [1] of one image: N latents [1 D], N alphas [1 C 1 1], target [1 3 H W]."""
    features = [later_layers(net.layers[1:layer], first_convolution(net.layers[0], z), 2) for z in latents]
    composed = sum(f * a for f, a in zip(features, alpha, strict=True)) / len(features)
    return compute_loss(net, render_image(net, composed, layer), target, None, size)


def best_loss(
    net: Networks,
    latents: Tensor,
    alpha: Tensor,
    target: Tensor,
    target_features: Tensor | None,
    layer: int,
    size: int,
) -> Tensor:
    """The losses [B] of all images: latents [B N D], alpha [B N C], target [B 3 H W]."""
    b, n = latents.shape[:2]
    f = later_layers(net.layers[1:layer], first_product(net.layers[0], latents.flatten(0, 1)), 2)
    weighted = f * alpha.flatten(0, 1)[:, :, None, None]
    composed = weighted.unflatten(0, (b, n)).sum(dim=1).contiguous(memory_format=torch.channels_last)
    return compute_loss(net, render_image(net, composed, layer), target, target_features, size)


def original(weights: Any, setting: Any, start: Any) -> tuple[Callable, dict]:
    """A side for `benchmarks.workers`. alpha is multiplied by N, since the sum over the codes is divided by N."""
    torch.set_num_threads(record.count_cores())
    net = load_networks(*weights)
    for tensor in list_tensors(net):
        tensor.requires_grad_()
    places = [_split_codes(z, a * setting.codes) for z, a in zip(start.latents, start.alpha, strict=True)]
    targets = to_channels_first(start.target).split(1)
    optimizers = [torch.optim.SGD([*latents, *alpha], lr=1.0) for latents, alpha in places]

    def advance() -> list[float]:
        losses = []
        for (latents, alpha), target, optimizer in zip(places, targets, optimizers, strict=True):
            optimizer.zero_grad()
            loss = original_loss(net, latents, alpha, target, setting.layer, setting.extractor_size).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return advance, {'note': 'target looked at in each step'}


def _split_codes(latents: np.ndarray, alpha: np.ndarray) -> tuple[list[Tensor], list[Tensor]]:
    """The codes of one image, [N D] and [N C] -> N leaves [1 D] and N leaves [1 C 1 1]."""
    z = [torch.from_numpy(row.copy())[None].requires_grad_() for row in latents]
    return z, [torch.from_numpy(row.copy())[None, :, None, None].requires_grad_() for row in alpha]


def best(weights: Any, setting: Any, start: Any) -> tuple[Callable, dict]:
    """A side for `benchmarks.workers`: the quicker of eager and compiled."""
    torch.set_num_threads(record.count_cores())
    net = to_channels_last(load_networks(*weights))
    if not setting.compile:
        return _make_best_step(best_loss, net, setting, start), {'note': 'eager'}
    torch.compiler.reset()  # otherwise it stops compiling after a few settings
    losses = {'eager': best_loss, 'compiled': torch.compile(best_loss, dynamic=False)}
    steps = {name: _make_best_step(loss, net, setting, start) for name, loss in losses.items()}
    try:
        seconds = _time_steps(steps)
    except Exception as error:  # a compiler can raise any exception
        return _make_best_step(best_loss, net, setting, start), {
            'note': f'eager; compiling fails: {type(error).__name__}'
        }
    chosen, other = sorted(seconds, key=seconds.__getitem__)
    note = f'{chosen} ({seconds[chosen]:.3g} s, {other} {seconds[other]:.3g} s)'
    return _make_best_step(losses[chosen], net, setting, start), {'note': note}


def _make_best_step(loss_of: Callable, net: Networks, setting: Any, start: Any) -> Callable:
    latents, alpha = (torch.from_numpy(x.copy()).requires_grad_() for x in (start.latents, start.alpha))
    target = to_channels_first(start.target).contiguous(memory_format=torch.channels_last)
    layer, size = setting.layer, setting.extractor_size
    with torch.no_grad():
        features = extract_features(net, target, size) if setting.cached else None
    optimizer = torch.optim.Adam([{'params': [latents], 'lr': 0.1}, {'params': [alpha], 'lr': 0.01}], fused=True)

    def advance() -> list[float]:
        optimizer.zero_grad()
        loss = loss_of(net, latents, alpha, target, features, layer, size)
        loss.sum().backward()
        optimizer.step()
        return loss.tolist()

    return advance


def _time_steps(steps: dict[str, Callable], repeats: int = 3) -> dict[str, float]:
    """The seconds of the quickest of `repeats` steps of each, in turns and after a first one."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 + repeats):
        for name, advance in steps.items():
            began = time.perf_counter()
            advance()
            times[name].append(time.perf_counter() - began)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


def to_channels_first(images: np.ndarray) -> Tensor:
    """[B H W C] -> [B C H W]."""
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).contiguous()


def to_channels_last(net: Networks) -> Networks:
    """The same kernels in the memory layout for images with channels last."""
    layout = {'memory_format': torch.channels_last}
    later, to_rgb, prepare = [(k.contiguous(**layout), b) for k, b in net.layers[1:]], net.to_rgb, net.prepare
    blocks = [[(k.contiguous(**layout), b) for k, b in block] for block in net.blocks]
    return Networks([net.layers[0], *later], to_rgb, prepare, blocks)


def list_tensors(net: Networks) -> list[Tensor]:
    """All weights."""
    affine = [*net.layers, net.to_rgb, net.prepare, *(layer for block in net.blocks for layer in block)]
    return [tensor for pair in affine for tensor in pair]
