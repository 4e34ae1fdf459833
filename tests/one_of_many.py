"""One of the processes that `test_hosts` starts: it joins, and works on its share of a list of numbers.

Number i takes i * SECONDS, and leaves a file of this name in the folder.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from mgan_jax.run import processes


def main(join: str, count: str, seconds: str, folder: str) -> None:
    share = processes.join_processes(**json.loads(join))
    for number in range(int(count))[share.index :: share.count]:
        time.sleep(number * float(seconds))
        (Path(folder) / f'{number}').write_text(f'{jnp.square(number)} by {share.index}')
    answer = {'share': share, 'processes': jax.process_count(), 'devices': len(jax.devices())}
    print(json.dumps(answer | {'visible': jax.config.values['jax_cuda_visible_devices']}))


if __name__ == '__main__':
    main(*sys.argv[1:])
