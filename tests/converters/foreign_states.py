"""State dicts with random weights, in the layouts of the foreign files. For tests only."""

import numpy as np

VGG16 = (64, 64, 'M', 128, 128, 'M', 256, 256, 256, 'M', 512, 512, 512, 'M', 512, 512, 512, 'M')
VGG19 = (64, 64, 'M', 128, 128, 'M', *4 * (256,), 'M', *4 * (512,), 'M', *4 * (512,), 'M')


def normal(seed: int):
    """A function of shapes -> float32 arrays."""
    generator = np.random.default_rng(seed)
    return lambda *shape: generator.standard_normal(shape, dtype=np.float32)


def pggan(resolution=16, latent_dim=6, fmaps_base=64, fmaps_max=8, fused=False, seed=0) -> dict[str, np.ndarray]:
    """The layout of the multi-code GAN prior's authors."""
    draw, c_in, state = normal(seed), latent_dim, {'lod': np.array(0, np.float32)}
    for k in range(resolution.bit_length() - 2):
        c = min(fmaps_base // (4 * 2**k), fmaps_max)
        for l in (2 * k, 2 * k + 1):
            if fused and k and l % 2 == 0:
                state[f'layer{l}.weight'] = draw(3, 3, c_in, c)
            else:
                size = 4 if l == 0 else 3
                state[f'layer{l}.conv.weight'] = draw(c, c_in, size, size)
            state[f'layer{l}.wscale.bias'] = draw(c)
            c_in = c
        state[f'output{k}.conv.weight'], state[f'output{k}.wscale.bias'] = draw(3, c, 1, 1), draw(3)
    return state


def vgg(layout=VGG16, divisor=16, seed=0) -> dict[str, np.ndarray]:
    """torchvision's layout, with fewer channels, and something for the classifier."""
    draw, c_in, number, state = normal(seed), 3, 0, {}
    for c in layout:
        if c != 'M':
            c //= divisor
            state[f'features.{number}.weight'] = draw(c, c_in, 3, 3) * np.float32(np.sqrt(2 / (9 * c_in)))
            state[f'features.{number}.bias'] = draw(c) * np.float32(0.1)
            c_in = c
        number += 1 if c == 'M' else 2
    return state | {'classifier.0.weight': draw(4, c_in), 'classifier.0.bias': draw(4)}


def normalised_vgg(seed=0) -> dict[str, np.ndarray]:
    """The layout of the normalised VGG-19, up to relu3_1."""
    draw, c_in, state = normal(seed), 3, {'0.weight': normal(seed)(3, 3, 1, 1), '0.bias': normal(seed)(3)}
    for number, c in ((2, 4), (5, 4), (9, 8), (12, 8), (16, 16)):
        state[f'{number}.weight'], state[f'{number}.bias'] = draw(c, c_in, 3, 3), draw(c)
        c_in = c
    return state


def alexnet(divisor=16, seed=0) -> dict[str, np.ndarray]:
    """torchvision's layout, with fewer channels, and something for the classifier."""
    draw, c_in, state = normal(seed), 3, {}
    for number, c, side in ((0, 64, 11), (3, 192, 5), (6, 384, 3), (8, 256, 3), (10, 256, 3)):
        c //= divisor
        state[f'features.{number}.weight'] = draw(c, c_in, side, side) * np.float32(np.sqrt(2 / (side**2 * c_in)))
        state[f'features.{number}.bias'] = draw(c) * np.float32(0.1)
        c_in = c
    return state | {'classifier.1.weight': draw(4, c_in), 'classifier.1.bias': draw(4)}


def lpips(channels=(64, 128, 256, 512, 512), seed=0) -> dict[str, np.ndarray]:
    """The layout of the heads of LPIPS v0.1."""
    draw = normal(seed)
    return {f'lin{k}.model.1.weight': np.abs(draw(1, c, 1, 1)) for k, c in enumerate(channels)}


def rosinality(nvidia: dict[str, np.ndarray]) -> dict:
    """The layout of rosinality's StyleGAN2 with the weights of a network in NVIDIA's layout."""
    state: dict[str, np.ndarray] = {'input.input': nvidia['synthesis.b4.const'][None]}
    for i in range(sum(name.startswith('mapping.fc') for name in nvidia) // 2):
        state |= {f'style.{i + 1}.{kind}': nvidia[f'mapping.fc{i}.{kind}'] for kind in ('weight', 'bias')}
    resolutions = [r for r in (4, 8, 16, 32, 64) if f'synthesis.b{r}.conv1.weight' in nvidia]
    layers = [(r, i) for r in resolutions for i in (0, 1) if (r, i) != (4, 0)]
    for number, (r, i) in enumerate(layers):
        ours, theirs = 'conv1' if number == 0 else f'convs.{number - 1}', f'synthesis.b{r}.conv{i}'
        state |= {
            f'{ours}.conv.weight': nvidia[f'{theirs}.weight'][None],
            f'{ours}.conv.modulation.weight': nvidia[f'{theirs}.affine.weight'],
            f'{ours}.conv.modulation.bias': nvidia[f'{theirs}.affine.bias'],
            f'{ours}.noise.weight': np.reshape(nvidia[f'{theirs}.noise_strength'], 1),
            f'{ours}.activate.bias': nvidia[f'{theirs}.bias'],
            f'noises.noise_{number}': nvidia[f'{theirs}.noise_const'][None, None],
        }
        if i == 0:
            state[f'{ours}.conv.blur.kernel'] = np.outer((1, 3, 3, 1), (1, 3, 3, 1)).astype(np.float32) / 16
    for number, r in enumerate(resolutions):
        ours, theirs = 'to_rgb1' if number == 0 else f'to_rgbs.{number - 1}', f'synthesis.b{r}.torgb'
        state |= {
            f'{ours}.conv.weight': nvidia[f'{theirs}.weight'][None],
            f'{ours}.conv.modulation.weight': nvidia[f'{theirs}.affine.weight'],
            f'{ours}.conv.modulation.bias': nvidia[f'{theirs}.affine.bias'],
            f'{ours}.bias': nvidia[f'{theirs}.bias'].reshape(1, 3, 1, 1),
        }
    return {'g_ema': state, 'latent_avg': nvidia['mapping.w_avg']}
