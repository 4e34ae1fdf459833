"""Program of a process that `tests/run/test_processes.py` starts: determines its share and processes a list of numbers.

Number i takes i * seconds and is written to the file of this name in the folder. Prints the share, the number of
processes and devices that JAX sees, and the visible CUDA devices as JSON. A refusal is printed on standard error.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from mgan_jax.run import processes


def main(join: str, count: str, seconds: str, folder: str) -> str | None:
    try:
        share = processes.join_processes(**json.loads(join))
    except ValueError as error:
        return str(error)
    for number in range(int(count))[share.index :: share.count]:
        time.sleep(number * float(seconds))
        (Path(folder) / f'{number}').write_text(f'{jnp.square(number)} by {share.index}')
    answer = {'share': share, 'processes': jax.process_count(), 'devices': len(jax.devices())}
    print(json.dumps(answer | {'visible': jax.config.values['jax_cuda_visible_devices']}))
    return None


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
