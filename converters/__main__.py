"""python -m converters SOURCE DESTINATION [--network NAME] [--architecture NAME] [--overwrite]"""

import argparse
import contextlib
import ctypes
import sys

from .convert import MAPPINGS, Report, convert

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 after one line on stderr."""
    options = _parser().parse_args(arguments)
    _return_freed_memory()
    try:
        report = convert(**vars(options))
    except (ValueError, OSError, MemoryError) as error:
        print(_one_line(f'{options.source}: {_sentence(error)}'), file=sys.stderr)
        return 1
    print(_summary(report, options.destination))
    return 0


def _return_freed_memory() -> None:
    """Arrays from a megabyte on get memory of their own, which glibc gives back when they go; it would keep up to 32 MB."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1_000_000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f'python -m {__package__}', description='Weight file -> model directory.')
    parser.add_argument('source', metavar='SOURCE', help='the weight file; its format is detected by its content')
    parser.add_argument('destination', metavar='DESTINATION', help='the model directory to make')
    parser.add_argument('--network', metavar='NAME', help='which network, if the file holds several')
    parser.add_argument('--architecture', choices=sorted(MAPPINGS), help='refuse a network of any other architecture')
    parser.add_argument(
        '--height', type=int, metavar='ROWS', help='rows of a non-square StyleGAN or StyleGAN2 (cars: 384)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace DESTINATION')
    return parser


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return 'there is not enough memory to convert it.'
    if isinstance(error, OSError) and error.strerror:
        return f'{error.strerror}: {error.filename}.'
    return str(error)


def _one_line(text: str) -> str:
    return ''.join(c if c.isprintable() else '?' for c in ' '.join(text.split()))


def _summary(report: Report, destination: str) -> str:
    configuration = ', '.join(f'{name} {value}' for name, value in report.configuration.items())
    return '\n'.join(
        [
            f'format        {report.format}',
            f'architecture  {report.architecture}: {configuration}',
            f'parameters    {report.num_parameters:,}',
            f'sha256        {report.sha256}',
            f'check         loaded back, all parameters equal; sample output equal, mean {report.sample:.6f}',
            f'written       {_one_line(destination)}',
        ]
    )


if __name__ == '__main__':
    sys.exit(main())
