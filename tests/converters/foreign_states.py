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


def _channels(resolution: int, fmaps_base: int, fmaps_max: int) -> dict[int, int]:
    return {4 * 2**k: min(fmaps_base // (4 * 2**k), fmaps_max) for k in range(resolution.bit_length() - 2)}


def pggan_tf(resolution=16, latent_dim=6, fmaps_base=64, fmaps_max=8, seed=0) -> dict[str, np.ndarray]:
    """The variables of an official PGGAN."""
    draw, c_in, state = normal(seed), latent_dim, {'lod': np.zeros((), np.float32)}
    sizes = _channels(resolution, fmaps_base, fmaps_max)
    for number, (r, c) in enumerate(sizes.items()):
        if r == 4:
            state |= {'4x4/Dense/weight': draw(c_in, 16 * c), '4x4/Conv/weight': draw(3, 3, c, c)}
            state |= {'4x4/Dense/bias': draw(c), '4x4/Conv/bias': draw(c)}
        else:
            state |= {f'{r}x{r}/Conv0/weight': draw(3, 3, c_in, c), f'{r}x{r}/Conv1/weight': draw(3, 3, c, c)}
            state |= {f'{r}x{r}/Conv{i}/bias': draw(c) for i in (0, 1)}
        lod = len(sizes) - 1 - number
        state |= {f'ToRGB_lod{lod}/weight': draw(1, 1, c, 3), f'ToRGB_lod{lod}/bias': draw(3)}
        c_in = c
    return state


def _mapping_tf(draw, latent_dim: int) -> dict[str, np.ndarray]:
    names = [f'mapping/Dense{i}' for i in range(8)]
    weights = {f'{name}/weight': draw(latent_dim, latent_dim) * np.float32(100) for name in names}
    return weights | {f'{name}/bias': draw(latent_dim) for name in names} | {'dlatent_avg': draw(latent_dim)}


def stylegan_tf(resolution=16, latent_dim=6, fmaps_base=64, fmaps_max=8, seed=0) -> dict[str, np.ndarray]:
    """The variables of an official StyleGAN, those of its components below `mapping/` and `synthesis/`."""
    draw, c_in = normal(seed), 0
    state = _mapping_tf(draw, latent_dim) | {'synthesis/lod': np.zeros((), np.float32)}
    sizes = _channels(resolution, fmaps_base, fmaps_max)
    for number, (r, c) in enumerate(sizes.items()):
        for i, layer in enumerate(('Const', 'Conv') if r == 4 else ('Conv0_up', 'Conv1')):
            name = f'synthesis/{r}x{r}/{layer}'
            weight = draw(3, 3, c_in if layer == 'Conv0_up' else c, c)
            state |= {f'{name}/const': draw(1, c, 4, 4)} if layer == 'Const' else {f'{name}/weight': weight}
            state |= {f'{name}/bias': draw(c), f'{name}/Noise/weight': draw(c)}
            state |= {f'{name}/StyleMod/weight': draw(latent_dim, 2 * c), f'{name}/StyleMod/bias': draw(2 * c)}
            state[f'synthesis/noise{2 * number + i}'] = draw(1, 1, r, r)
        lod = len(sizes) - 1 - number
        state |= {f'synthesis/ToRGB_lod{lod}/weight': draw(1, 1, c, 3), f'synthesis/ToRGB_lod{lod}/bias': draw(3)}
        c_in = c
    return state


def stylegan_authors(tf: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The layout of the multi-code GAN prior's authors, with the weights of `stylegan_tf`."""
    state = {'truncation.w_avg': tf['dlatent_avg'], 'synthesis.lod': tf['synthesis/lod']}
    for i in range(8):
        state[f'mapping.dense{i}.fc.weight'] = tf[f'mapping/Dense{i}/weight'].T.copy()
        state[f'mapping.dense{i}.wscale.bias'] = tf[f'mapping/Dense{i}/bias']
    resolutions = [r for r in (4 * 2**k for k in range(9)) if f'synthesis/{r}x{r}/Conv1/weight' in tf or r == 4]
    for number, r in enumerate(resolutions):
        for i, layer in enumerate(('Const', 'Conv') if r == 4 else ('Conv0_up', 'Conv1')):
            theirs, ours = f'synthesis/{r}x{r}/{layer}', f'synthesis.layer{2 * number + i}'
            if layer == 'Const':
                state[f'{ours}.const'] = tf[f'{theirs}/const']
            elif layer == 'Conv0_up' and r >= 128:
                state[f'{ours}.weight'] = tf[f'{theirs}/weight']
            else:
                state[f'{ours}.conv.weight'] = tf[f'{theirs}/weight'].transpose(3, 2, 0, 1).copy()
            epilogue = f'{ours}.epilogue'
            state |= {
                f'{epilogue}.bias': tf[f'{theirs}/bias'],
                f'{epilogue}.apply_noise.weight': tf[f'{theirs}/Noise/weight'],
                f'{epilogue}.apply_noise.noise': tf[f'synthesis/noise{2 * number + i}'],
                f'{epilogue}.style_mod.dense.fc.weight': tf[f'{theirs}/StyleMod/weight'].T.copy(),
                f'{epilogue}.style_mod.dense.wscale.bias': tf[f'{theirs}/StyleMod/bias'],
            }
        rgb = f'synthesis/ToRGB_lod{len(resolutions) - 1 - number}'
        state[f'synthesis.output{number}.conv.weight'] = tf[f'{rgb}/weight'].transpose(3, 2, 0, 1).copy()
        state[f'synthesis.output{number}.bias'] = tf[f'{rgb}/bias']
    return state


def stylegan2_tf(resolution=16, latent_dim=6, fmaps_base=128, fmaps_max=8, seed=0) -> dict[str, np.ndarray]:
    """The variables of an official StyleGAN2."""
    draw, c_in, number = normal(seed), 0, 0
    state = _mapping_tf(draw, latent_dim)
    for r, c in _channels(resolution, fmaps_base, fmaps_max).items():
        if r == 4:
            state['synthesis/4x4/Const/const'] = draw(1, c, 4, 4)
        for layer in ('Conv',) if r == 4 else ('Conv0_up', 'Conv1'):
            name, width = f'synthesis/{r}x{r}/{layer}', c_in if layer == 'Conv0_up' else c
            state |= {f'{name}/weight': draw(3, 3, width, c), f'{name}/bias': draw(c)}
            state |= {f'{name}/mod_weight': draw(latent_dim, width), f'{name}/mod_bias': draw(width)}
            state |= {f'{name}/noise_strength': draw(), f'synthesis/noise{number}': draw(1, 1, r, r)}
            number += 1
        name = f'synthesis/{r}x{r}/ToRGB'
        state |= {f'{name}/weight': draw(1, 1, c, 3), f'{name}/bias': draw(3)}
        state |= {f'{name}/mod_weight': draw(latent_dim, c), f'{name}/mod_bias': draw(c)}
        c_in = c
    return {name: np.asarray(value, np.float32) for name, value in state.items()}


def stylegan2_nvidia(tf: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The layout of NVIDIA's PyTorch networks, with the weights of `stylegan2_tf`."""
    state = {'mapping.w_avg': tf['dlatent_avg'], 'synthesis.b4.const': tf['synthesis/4x4/Const/const'][0]}
    for i in range(8):
        state[f'mapping.fc{i}.weight'] = tf[f'mapping/Dense{i}/weight'].T.copy()
        state[f'mapping.fc{i}.bias'] = tf[f'mapping/Dense{i}/bias']
    number, names = 0, {'Conv': 'conv1', 'Conv0_up': 'conv0', 'Conv1': 'conv1', 'ToRGB': 'torgb'}
    for r in (4 * 2**k for k in range(9)):
        for layer, own in names.items():
            theirs, ours = f'synthesis/{r}x{r}/{layer}', f'synthesis.b{r}.{own}'
            if f'{theirs}/weight' not in tf:
                continue
            weight = tf[f'{theirs}/weight']
            weight = weight[::-1, ::-1] if layer == 'Conv0_up' else weight
            state |= {
                f'{ours}.weight': weight.transpose(3, 2, 0, 1).copy(),
                f'{ours}.bias': tf[f'{theirs}/bias'],
                f'{ours}.affine.weight': tf[f'{theirs}/mod_weight'].T.copy(),
                f'{ours}.affine.bias': tf[f'{theirs}/mod_bias'] + np.float32(1),
            }
            if layer != 'ToRGB':
                state[f'{ours}.noise_strength'] = tf[f'{theirs}/noise_strength']
                state[f'{ours}.noise_const'] = tf[f'synthesis/noise{number}'][0, 0]
                number += 1
    return state
