"""Which images a run takes: finding them, naming their results, and reading what they hold.

An image is a file, here or behind a URL, or a member of a tar file, which is read in place.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mgan_jax.data import decoding, listing, naming, shards
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import prefetch, remote

INDEXERS = 8  # tar files that are looked through at once


class Source(NamedTuple):
    """An image, and the name of its result folder.

    path: of its file, or a URL; or of the tar file in which it is `member`, `size` bytes from `offset` on.
    """

    path: str
    name: str
    member: str = ''
    offset: int = 0
    size: int = 0

    @property
    def title(self) -> str:
        """What users are told of it: 'folder/a.png', 'folder/shard.tar/a.png'."""
        return f'{self.path}/{self.member}' if self.member else self.path


def find_images(spec: str | os.PathLike | Sequence[str | os.PathLike], bundled: Path | None = None) -> list[Source]:
    """The images that `spec` names, in its order, each once.

    Args:
        spec: a file; a folder (its image and tar files, sorted, hidden ones skipped, subfolders not searched); a glob (the
            same of what it matches, `**` goes through subfolders); a tar file (its regular members with the name of an
            image, in its order); a list, .txt or .lst (a path or URL of an image or tar file on each line, relative to the
            list's folder; blank lines and those that begin with # are skipped); a URL of any of these; or several in a
            sequence or in one string separated by commas. What exists as a whole is never split, and a path that exists is
            not taken for a glob. Nothing, or the word 'bundled', stands for the folder `bundled`.
        bundled: the folder of images that come with the library, if there is one.

    Returns:
        Sources with the names that `naming.name_results` gives them; a tar file counts as a folder.

    Raises:
        ValueError: a file is missing, a list or tar file is unusable, or there is no image where some are wanted.
    """
    try:
        found = _looked_into(listing.list_paths(spec, bundled))
    except OSError as error:
        raise ValueError(one_sentence(error)) from error
    names = naming.name_results([_place(source) for source in found])
    for index, name in enumerate(names):
        found[index] = found[index]._replace(name=name)
    return found


def read_source(source: Source) -> bytes:
    """The content of an image's file. ValueError with one sentence if it cannot be read."""
    if source.member:
        if source.size > decoding.LARGEST:
            raise ValueError(
                f'{source.title} has {source.size:,} bytes, {decoding.LARGEST:,} is the limit: leave it out'
            )
        content = _part(source)
        if len(content) < source.size:
            raise ValueError(f'{source.path} ends before its member {source.member} does: copy it again')
        return content
    return remote.read_url(source.path) if remote.is_remote(source.path) else decoding.read_image_file(source.path)


def _part(source: Source) -> bytes:
    if remote.is_remote(source.path):
        return remote.read_url(source.path, source.offset, source.size)
    try:
        with open(source.path, 'rb') as file:
            file.seek(source.offset)
            return file.read(source.size)
    except OSError as error:
        raise ValueError(f'{source.path} cannot be opened ({error.strerror}): bring it back') from error


def _looked_into(paths: list[str]) -> list[Source]:
    """Sources without names: tar files give way to their members."""
    tars = [path for path in paths if path.lower().endswith(listing.SHARD)]
    found: list[Source] = []
    with contextlib.closing(prefetch.prefetch(_members, tars, workers=INDEXERS, depth=2 * INDEXERS)) as stream:
        for path in paths:
            if not path.lower().endswith(listing.SHARD):
                found.append(Source(path, ''))
                continue
            outcome = next(stream)
            if outcome.error is not None:
                raise outcome.error
            found.extend(outcome.value)
    return found


def _members(path: str) -> list[Source]:
    """The images in a tar file; of several with the same name the last, which is the one that counts in tar files."""
    with _pieces(path) as (read, length):
        found = {
            member.name: Source(path, '', *member)
            for member in shards.tar_members(path, read, length)
            if member.name.lower().endswith(listing.EXTENSIONS) and not listing.is_hidden(member.name)
        }
    if not found:
        raise ValueError(
            f'the tar file {path} holds no image: give one with files that end in {", ".join(listing.EXTENSIONS)}'
        )
    return list(found.values())


@contextlib.contextmanager
def _pieces(path: str) -> Iterator[tuple[shards.Read, int]]:
    if remote.is_remote(path):
        with remote.open_ranges(path) as pieces:
            yield pieces
        return
    with open(path, 'rb') as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        yield read, file.seek(0, os.SEEK_END)


def _place(source: Source) -> str:
    return source.title if remote.is_remote(source.path) else os.path.abspath(source.title)
