"""Two PyTorch forms of the multi-code inversion, written after its equations, to compare with. Channels first: [B C H W].

`original` goes the way of the released code: a call of G1 for each code, one image at a time, gradients for the weights too,
the target looked at in each step, the sum over the codes divided by N, SGD. `best` is the fastest that we could make of
PyTorch: one call of G1 for all codes of all images, no gradients for weights, channels last in memory, torch.compile where it
helps, Adam. Both compute the same function as ours.
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
    """layers: of PGGAN, the first one the 4x4 'full' convolution of the latent. prepare: 1x1, of the pixels; blocks: VGG's."""

    layers: list[Affine]
    to_rgb: Affine
    prepare: Affine
    blocks: list[list[Affine]]


def networks(generator: dict, extractor: dict) -> Networks:
    """From pytrees as Flax names them, with kernels [k k C_in C_out]."""
    layers = [_affine(generator[f'layer{l}']) for l in range(1, len(generator))]
    first = torch.from_numpy(np.array(generator['layer1']['kernel'])).permute(3, 0, 1, 2)  # [D 4 4 C] -> [C D 4 4]
    layers[0] = first.flip(2, 3).contiguous(), layers[0][1]
    blocks: list[list[Affine]] = []
    for name in sorted(name for name in extractor if name != 'input'):  # conv1_1, conv1_2, conv2_1, ...
        if name.endswith('_1'):
            blocks.append([])
        blocks[-1].append(_affine(extractor[name]))
    return Networks(layers, _affine(generator['to_rgb']), _affine(extractor['input']), blocks)


def _affine(weights: dict) -> Affine:
    kernel = np.array(weights['kernel'])
    kernel = kernel.reshape(1, 1, *kernel.shape) if kernel.ndim == 2 else kernel
    return torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(np.array(weights['bias']))


def pixel_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean_c x^2 + 1e-8): [B C ...]."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def first_convolution(layer: Affine, z: Tensor) -> Tensor:
    """[B D] -> [B C 4 4], as a convolution with 3 pixels of padding."""
    return F.leaky_relu(F.conv2d(pixel_norm(z)[:, :, None, None], *layer, padding=3), 0.2)


def first_product(layer: Affine, z: Tensor) -> Tensor:
    """The same as a matrix product, channels last in memory."""
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


def image(net: Networks, features: Tensor, layer: int) -> Tensor:
    """G2: feature maps after a layer -> [B 3 H W]."""
    return F.conv2d(pixel_norm(later_layers(net.layers[layer:], features, layer + 1)), *net.to_rgb)


def see(net: Networks, images: Tensor, size: int) -> Tensor:
    """VGG features of images in [-1, 1] that are resized to `size` pixels a side."""
    if images.shape[2:] != (size, size):
        images = F.interpolate(images, (size, size), mode='nearest')
    x = F.conv2d((images + 1) / 2, *net.prepare)
    for place, block in enumerate(net.blocks):
        x = F.max_pool2d(x, 2) if place else x
        for layer in block:
            x = F.relu(F.conv2d(x, *layer, padding=1))
    return x


def distance(net: Networks, made: Tensor, target: Tensor, seen: Tensor | None, size: int) -> Tensor:
    """mean (x - y)^2 + 0.001 mean |phi(x) - phi(y)|, of each image [B]. seen: phi(y), if it is known."""
    if seen is None:
        with torch.no_grad():
            seen = see(net, target, size)
    pixels = (made - target).square().mean(dim=(1, 2, 3))
    return pixels + PERCEPTUAL * (see(net, made, size) - seen).abs().mean(dim=(1, 2, 3))


def original_loss(
    net: Networks, latents: Sequence[Tensor], alpha: Sequence[Tensor], target: Tensor, layer: int, size: int
) -> Tensor:
    """One image: N latents [1 D], N alphas [1 C 1 1], [1 3 H W] -> [1]."""
    features = [later_layers(net.layers[1:layer], first_convolution(net.layers[0], z), 2) for z in latents]
    composed = sum(f * a for f, a in zip(features, alpha, strict=True)) / len(features)
    return distance(net, image(net, composed, layer), target, None, size)


def best_loss(
    net: Networks, latents: Tensor, alpha: Tensor, target: Tensor, seen: Tensor | None, layer: int, size: int
) -> Tensor:
    """All images: [B N D], [B N C], [B 3 H W] -> [B]."""
    b, n = latents.shape[:2]
    f = later_layers(net.layers[1:layer], first_product(net.layers[0], latents.flatten(0, 1)), 2)
    weighed = f * alpha.flatten(0, 1)[:, :, None, None]
    composed = weighed.unflatten(0, (b, n)).sum(dim=1).contiguous(memory_format=torch.channels_last)
    return distance(net, image(net, composed, layer), target, seen, size)


def original(weights: Any, setting: Any, start: Any) -> tuple[Callable, dict]:
    """A side for `benchmarks.workers`. The start is scaled so that the images are those of the other sides."""
    torch.set_num_threads(record.cores())
    net = networks(*weights)
    for tensor in tensors(net):
        tensor.requires_grad_()
    places = [_one_image(z, a * setting.codes) for z, a in zip(start.latents, start.alpha, strict=True)]
    targets = channels_first(start.target).split(1)
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


def _one_image(latents: np.ndarray, alpha: np.ndarray) -> tuple[list[Tensor], list[Tensor]]:
    """[N D], [N C] -> leaves [1 D] and [1 C 1 1]."""
    z = [torch.from_numpy(row.copy())[None].requires_grad_() for row in latents]
    return z, [torch.from_numpy(row.copy())[None, :, None, None].requires_grad_() for row in alpha]


def best(weights: Any, setting: Any, start: Any) -> tuple[Callable, dict]:
    """A side for `benchmarks.workers`: the quicker one of eager and compiled."""
    torch.set_num_threads(record.cores())
    net = channels_last(networks(*weights))
    if not setting.compile:
        return _best_step(best_loss, net, setting, start), {'note': 'eager'}
    torch.compiler.reset()  # or it gives up after a few settings
    losses = {'eager': best_loss, 'compiled': torch.compile(best_loss, dynamic=False)}
    steps = {name: _best_step(loss, net, setting, start) for name, loss in losses.items()}
    try:
        seconds = _seconds(steps)
    except Exception as error:  # whatever a compiler may stumble over
        return _best_step(best_loss, net, setting, start), {'note': f'eager; compiling fails: {type(error).__name__}'}
    chosen, other = sorted(seconds, key=seconds.__getitem__)
    note = f'{chosen} ({seconds[chosen]:.3g} s, {other} {seconds[other]:.3g} s)'
    return _best_step(losses[chosen], net, setting, start), {'note': note}


def _best_step(loss_of: Callable, net: Networks, setting: Any, start: Any) -> Callable:
    latents, alpha = (torch.from_numpy(x.copy()).requires_grad_() for x in (start.latents, start.alpha))
    target = channels_first(start.target).contiguous(memory_format=torch.channels_last)
    layer, size = setting.layer, setting.extractor_size
    with torch.no_grad():
        seen = see(net, target, size) if setting.cached else None
    optimizer = torch.optim.Adam([{'params': [latents], 'lr': 0.1}, {'params': [alpha], 'lr': 0.01}], fused=True)

    def advance() -> list[float]:
        optimizer.zero_grad()
        loss = loss_of(net, latents, alpha, target, seen, layer, size)
        loss.sum().backward()
        optimizer.step()
        return loss.tolist()

    return advance


def _seconds(steps: dict[str, Callable], repeats: int = 3) -> dict[str, float]:
    """The shortest of some steps of each, which are done in turns, after a first one."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 + repeats):
        for name, advance in steps.items():
            began = time.perf_counter()
            advance()
            times[name].append(time.perf_counter() - began)
    return {name: min(own[1:]) for name, own in times.items()}


def channels_first(images: np.ndarray) -> Tensor:
    """[B H W C] -> [B C H W]."""
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).contiguous()


def channels_last(net: Networks) -> Networks:
    """The same kernels with the memory layout that convolutions of channels-last images want."""
    layout = {'memory_format': torch.channels_last}
    later, to_rgb, prepare = [(k.contiguous(**layout), b) for k, b in net.layers[1:]], net.to_rgb, net.prepare
    blocks = [[(k.contiguous(**layout), b) for k, b in block] for block in net.blocks]
    return Networks([net.layers[0], *later], to_rgb, prepare, blocks)


def tensors(net: Networks) -> list[Tensor]:
    """All weights."""
    affine = [*net.layers, net.to_rgb, net.prepare, *(layer for block in net.blocks for layer in block)]
    return [tensor for pair in affine for tensor in pair]
