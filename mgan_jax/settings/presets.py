"""The fields of a run and their values by task and preset. `configs/` shows them to the command line.

demo: the embedded generator on bundled scenes. fast: few steps, for converted generators. upstream: the
settings of the released code and its README. paper: what the paper says where the released code differs.
"""

import math
from typing import Any

TASKS = ('reconstruct', 'super_resolve', 'colorize', 'inpaint', 'denoise', 'edit')

# Every field, with the values of the preset `fast`.
FIELDS: dict[str, Any] = {
    'task': 'reconstruct',
    'images': '',  # a file, a folder, a glob, or several of them separated by commas; 'bundled' are the demo's scenes
    'generator': '',  # a model directory, or 'demo'
    'extractor': '',  # a model directory, or 'demo-extractor'
    'out': '',  # the folder of results
    'prior': 'multi-code',  # or what it is compared with: 'feature-map' (after layer l, freely), 'dip' (deep image prior)
    'layer': 8,  # the composing layer l
    'num_codes': 20,  # N
    'space': 'z',  # of the latent codes; generators with styles also have 'w' and 'w+'
    'tail': 'learned',  # styles after the composing layer: 'learned', started from w_avg, or the codes' 'own'
    'noise': False,  # optimise the noise images of a generator that has them, too
    'label': -1,  # the class of the codes in the space z of a class-conditional generator, -1 for none
    'init_from': '',  # codes begin with an encoder's ('demo-encoder', a model directory) or an earlier run's (its 'out')
    'init_spread': 0.5,  # how far N codes that begin with an encoder's one are spread around it
    'steps': 300,
    'optimizer': 'whitening',  # or 'adam', both with cosine decay over the steps; 'sgd' has constant rates
    'latent_rate': 0.1,  # learning rate of the latent codes
    'alpha_rate': 0.01,  # learning rate of the channel importances
    'feature_rate': 0.15,  # of the feature maps, where they are optimised
    'dip_rate': 0.01,  # of the weights of the deep image prior
    'dip_size': 0,  # pixels a side of the images, where the deep image prior is used and there is no generator
    'dip_channels': 32,  # of its network at every size; the paper that it is from has 128
    'dip_jitter': 0.0,  # deviation of the noise that its input gets anew in every step; there 0.03 for some tasks
    'beta1': 0.5,  # Adam's memory of the gradient: without noise in it there is little to average (usual: 0.9)
    'beta2': 0.9,  # and of its square (usual: 0.999); with 'whitening', Adam moves the tail and the noise
    'alpha_over_n': False,  # the released code divides by N twice: alpha starts at 1/N^2, its rate is divided by N^2
    'tolerance': 0.0,  # an image is finished when its loss fell by less than this share over a tenth of the steps
    'keep': 'best',  # which iterate becomes the result: 'best' or 'last'
    'pixel': 1.0,  # weight of the mean squared difference
    'perceptual': 0.001,  # weight of the perceptual loss
    'extractor_layer': 'relu3_3',
    'extractor_size': 256,  # pixels a side that the extractor sees
    'lpips': '',  # a model directory of LPIPS heads: metrics.csv tells the LPIPS of each result
    'niqe': '',  # a model that `python -m mgan_jax.pristine` made: metrics.csv tells the NIQE of each result
    'perceptual_loss': 'features',  # mean absolute difference of one layer's features, or 'lpips'
    'winograd': True,  # on CPUs in float32, convolutions with fewer multiplications and 6 to 8 times the rounding error
    'batch_size': 0,  # images at once on all devices; 0: as many as fit, on CPUs one on each
    'dtype': 'float32',  # what the networks compute in, or 'bfloat16'; codes, sums and losses are float32 either way
    'remat': 'auto',  # compute feature maps twice to save memory: 'on', 'off', or where an image takes half of what there is
    'seed': 0,
    'save_every': 300.0,  # seconds between checkpoints of the images that are on their way
    'history_every': 0,  # keep a frame and the PSNR of every so many steps (60 frames at most): an animation of each image
    'contributions': False,  # picture what each of the N codes alone gives, and the channel importances
    'dry_run': False,  # only tell what a run would do: numbers, memory, volumes, time
}
TASK_FIELDS: dict[str, dict[str, Any]] = {
    'reconstruct': {'alpha_rate': 0.02},  # where nearly all pixels are known; elsewhere the prior has to fill in
    'super_resolve': {
        'factor': 16,
        'method': 'bilinear',  # how the observation was shrunk: bilinear (not antialiased), area, bicubic, lanczos
        'low_res': False,  # the images are low-resolution already
    },
    'colorize': {},
    'inpaint': {
        'mask': 'center',  # center[:FRACTION], box:TOP,LEFT,HEIGHT,WIDTH, random:SHARE, or a file where white is the hole
        'composite': True,  # put the known pixels back at the end
        'damaged': False,  # the images have their holes already: there is no target to compare with
    },
    'denoise': {'alpha_rate': 0.02, 'mask': 'random:0.3', 'composite': True, 'damaged': False},
    'edit': {
        'alpha_rate': 0.02,
        'attribute': '',  # a boundary file, or one that is shipped for the demo; several separated by commas
        'strength': 1.0,  # of all of them in result.png, see mgan_jax/editing.py for the unit
        'strength_range': 2.0,  # of each of them in the strip and the animation, both ways
        'frames': 13,  # of each
        'conditioned_on': '',  # boundaries that an edit must not come nearer to, by attributes' names or files
        'edit_layers': '',  # the layers whose styles move, such as 1-4, in the space 'w+'; all where none are given
    },
}
UPSTREAM: dict[str, dict[str, Any]] = {
    'reconstruct': {'layer': 8, 'num_codes': 20, 'steps': 3000},
    'super_resolve': {'layer': 6, 'num_codes': 20, 'steps': 2000},
    'colorize': {'layer': 6, 'num_codes': 20, 'steps': 1500},
    'inpaint': {'layer': 4, 'num_codes': 30, 'steps': 3000, 'perceptual': 0.0001, 'composite': False},
    'denoise': {'layer': 4, 'num_codes': 30, 'steps': 3000, 'perceptual': 0.0001, 'composite': False},
    'edit': {'layer': 6, 'num_codes': 30, 'steps': 2000},
}
SGD: dict[str, Any] = {
    'optimizer': 'sgd',
    'latent_rate': 1.0,
    'alpha_rate': 1.0,
    'alpha_over_n': True,
    'keep': 'last',
    'winograd': False,
    'batch_size': 1,
}
FAST_LAYERS = {'reconstruct': 8, 'super_resolve': 6, 'colorize': 8, 'inpaint': 4, 'denoise': 6, 'edit': 6}
PAPER_LAYERS = {'reconstruct': 8, 'super_resolve': 6, 'colorize': 8, 'inpaint': 4, 'denoise': 4, 'edit': 6}
DEMO: dict[str, Any] = {
    'images': 'bundled',
    'generator': 'demo',
    'extractor': 'demo-extractor',
    'steps': 75,
    'perceptual': 0.02,
    'extractor_size': 64,
    'history_every': 10,
    'contributions': True,
}
DEMO_LAYERS = {'reconstruct': 6, 'super_resolve': 4, 'colorize': 4, 'inpaint': 4, 'denoise': 6, 'edit': 2}
DEMO_TASK_FIELDS: dict[str, dict[str, Any]] = {
    'reconstruct': {'steps': 100},
    'super_resolve': {'factor': 4},
    'edit': {'steps': 100, 'attribute': 'daylight,snow,tower_height'},
}

CHOICES = {
    'prior': ('multi-code', 'feature-map', 'dip'),
    'tail': ('learned', 'own'),
    'optimizer': ('whitening', 'adam', 'sgd'),
    'keep': ('best', 'last'),
    'perceptual_loss': ('features', 'lpips'),
    'dtype': ('float32', 'bfloat16'),
    'remat': ('auto', 'on', 'off'),
}
KINDS = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a text'}


def preset_settings(task: str, preset: str) -> dict:
    """Every field of a run of `task`. ValueError for a preset that does not exist."""
    fast = FIELDS | TASK_FIELDS[task] | {'task': task, 'layer': FAST_LAYERS[task], 'out': f'results/{task}'}
    upstream = fast | SGD | UPSTREAM[task]
    paper = upstream | {
        'layer': PAPER_LAYERS[task],
        'extractor_layer': 'relu4_3',
        'alpha_over_n': False,
        **({'composite': True} if 'composite' in fast else {}),
    }
    demo = fast | DEMO | {'layer': DEMO_LAYERS[task]} | DEMO_TASK_FIELDS.get(task, {})
    presets = {'demo': demo, 'fast': fast, 'upstream': upstream, 'paper': paper}
    if preset not in presets:
        raise ValueError(f"there is no preset '{preset}'; choose one of {', '.join(presets)}.")
    return presets[preset]


def require_fields(settings: dict) -> None:
    """ValueError unless `preset_settings` has the fields of its task, no other ones, and values of their types."""
    task = settings.get('task')
    if task not in TASKS:
        raise ValueError(f"task '{task}' is given; {', '.join(TASKS)} are wanted.")
    wanted = FIELDS | TASK_FIELDS[task]
    for name in sorted(settings.keys() ^ wanted.keys()):
        verb = "lacks the field '{}' of" if name in wanted else "has the field '{}', which is none of"
        raise ValueError(
            f"the configuration {verb.format(name)} the task '{task}'; take that task's file in configs/, or the fields of "
            'mgan_jax.presets.settings.'
        )
    require_kinds(settings, wanted)


def require_kinds(settings: dict, wanted: dict) -> None:
    """ValueError unless all values have the types of those in `wanted`."""
    for name, value in settings.items():
        kind = type(wanted[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f'{name} is {value!r}; {KINDS[kind]} is wanted, such as {wanted[name]!r}.')


def require_values(settings: dict) -> None:
    """ValueError for a value that no run can have, in one sentence."""
    if not settings['generator'] and not (settings['prior'] == 'dip' and settings['dip_size'] > 0):
        raise ValueError(
            "no generator was given; set --config.generator to 'demo' or to a directory that `python -m converters` made."
        )
    if settings['perceptual'] and not settings['extractor']:
        raise ValueError(
            f'the perceptual weight is {settings["perceptual"]}, but no extractor was given; set --config.extractor to a '
            'model directory, or --config.perceptual=0 to do without.'
        )
    if settings['lpips'] and not settings['extractor']:
        raise ValueError(
            f"the LPIPS heads '{settings['lpips']}' were given, but no extractor; set --config.extractor to the VGG-16 or "
            'AlexNet that they are for.'
        )
    if settings['perceptual_loss'] == 'lpips' and not settings['lpips']:
        raise ValueError(
            "perceptual_loss is 'lpips', but no heads were given; set --config.lpips to a model directory of LPIPS heads."
        )
    if not settings['out']:
        raise ValueError('no output folder was given; set --config.out.')
    if not settings['images'].strip(' ,'):
        raise ValueError('no images were given; set --config.images to a file, a folder, a glob or a list of them.')
    for name in ('steps', 'num_codes', 'extractor_size', 'dip_channels'):
        if settings[name] < 1:
            raise ValueError(f'{name} is {settings[name]}; at least 1 is wanted.')
    if settings['history_every'] < 0:
        raise ValueError(f'history_every is {settings["history_every"]}; at least 1 is wanted, or 0 for no animation.')
    if settings['batch_size'] < 0:
        raise ValueError(f'batch_size is {settings["batch_size"]}; at least 1 is wanted, or 0 for what fits.')
    for name in ('tolerance', 'beta1', 'beta2'):
        if not 0 <= settings[name] < 1:
            raise ValueError(f'{name} is {settings[name]}; a share from 0 to below 1 is wanted.')
    for name in (
        'pixel',
        'perceptual',
        'latent_rate',
        'alpha_rate',
        'feature_rate',
        'dip_rate',
        'dip_jitter',
        'init_spread',
        'save_every',
    ):
        if not 0 <= settings[name] < math.inf:
            raise ValueError(f'{name} is {settings[name]}; a finite number of at least 0 is wanted.')
    if not settings['pixel'] and not settings['perceptual']:
        raise ValueError('pixel and perceptual are both 0, which leaves no loss; give one of them a weight.')
    if settings['prior'] != 'multi-code' and settings['task'] == 'edit':
        raise ValueError(
            f"prior is '{settings['prior']}', which has no latent codes to edit; 'multi-code' is wanted for the task 'edit'."
        )
    if settings['prior'] == 'dip' and settings['init_from']:
        raise ValueError(
            f"init_from is '{settings['init_from']}', but the prior 'dip' has no latent codes; leave it empty."
        )
    if not 0 <= settings['seed'] < 2**32:
        raise ValueError(f'seed is {settings["seed"]}; a whole number from 0 to {2**32 - 1} is wanted.')
    for name, wanted in CHOICES.items():
        if settings[name] not in wanted:
            choices = ', '.join(f"'{choice}'" for choice in wanted[:-1])
            raise ValueError(f"{name} is '{settings[name]}'; {choices} or '{wanted[-1]}' is wanted.")
