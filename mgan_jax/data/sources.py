"""Finds the images of a run, names their results and reads their content.

An image is a local file, a URL, or a member of a tar file. Tar members are read in place, without extraction.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mgan_jax.data import decoding, listing, naming, shards
from mgan_jax.settings.errors import one_sentence
from mgan_jax.storage import prefetch, remote

INDEX_THREADS = 8  # each reads the headers of one tar file


class Source(NamedTuple):
    """An image, and the name of its result folder.

    path: the file or URL of the image; for a tar member, that of the tar file. member: the name in the tar file.
    offset, size: the bytes of the member in the tar file.
    """

    path: str
    name: str
    member: str = ''
    offset: int = 0
    size: int = 0

    @property
    def title(self) -> str:
        """Its path in messages: 'folder/a.png', 'folder/shard.tar/a.png'."""
        return f'{self.path}/{self.member}' if self.member else self.path


def find_images(spec: str | os.PathLike | Sequence[str | os.PathLike], bundled: Path | None = None) -> list[Source]:
    """Returns the images that `spec` names, in its order, each once.

    Args:
        spec: one of
            a file;
            a folder: its image and tar files, sorted, without hidden files and subfolders;
            a glob: the image and tar files that match; `**` matches subfolders;
            a tar file: its regular members whose name is that of an image, in the order of the file;
            a list, .txt or .lst: a path or URL of an image or tar file on each line, relative to the folder of the list;
                empty lines and lines that begin with # are skipped;
            a URL of any of these;
            several of these, in a sequence or in a string separated by commas;
            'bundled' or nothing: the folder `bundled`.
            A path that exists is neither split at commas nor taken for a glob.
        bundled: the folder of the images that come with the library; None without one.

    Returns:
        Sources with names from `naming.name_results`, where a tar file counts as a folder.

    Raises:
        ValueError: a file is missing, a list or tar file is unusable, or a part of `spec` has no image.
    """
    try:
        sources = _expand_tar_files(listing.list_paths(spec, bundled))
    except OSError as error:
        raise ValueError(one_sentence(error)) from error
    names = naming.name_results([_absolute_path(source) for source in sources])
    for index, name in enumerate(names):  # in place, since there may be a million of them
        sources[index] = sources[index]._replace(name=name)
    return sources


def read_source(source: Source) -> bytes:
    """Returns the content of an image file. Raises ValueError with one sentence if it cannot be read."""
    if source.member:
        if source.size > decoding.MAX_FILE_BYTES:
            raise ValueError(
                f'{source.title} has {source.size:,} bytes, {decoding.MAX_FILE_BYTES:,} is the limit: leave it out'
            )
        content = _read_member(source)
        if len(content) < source.size:
            raise ValueError(f'{source.path} ends before its member {source.member} does: copy it again')
        return content
    return remote.read_url(source.path) if remote.is_remote(source.path) else decoding.read_image_file(source.path)


def _read_member(source: Source) -> bytes:
    """Reads the bytes of a tar member; fewer if the tar file ends before."""
    if remote.is_remote(source.path):
        return remote.read_url(source.path, source.offset, source.size)
    try:
        with open(source.path, 'rb') as file:
            file.seek(source.offset)
            return file.read(source.size)
    except OSError as error:
        raise ValueError(f'{source.path} cannot be opened ({error.strerror}): bring it back') from error


def _expand_tar_files(paths: list[str]) -> list[Source]:
    """Returns sources without names, where the members of a tar file replace it. Tar files are indexed in threads."""
    tar_files = [path for path in paths if path.lower().endswith(listing.SHARD)]
    sources: list[Source] = []
    with contextlib.closing(
        prefetch.prefetch(_list_members, tar_files, workers=INDEX_THREADS, depth=2 * INDEX_THREADS)
    ) as indexed:
        for path in paths:
            if not path.lower().endswith(listing.SHARD):
                sources.append(Source(path, ''))
                continue
            members = next(indexed)
            if members.error is not None:
                raise members.error
            sources.extend(members.value)
    return sources


def _list_members(path: str) -> list[Source]:
    """Returns the images in a tar file. Of members with the same name the last one counts, as on extraction."""
    with _open_ranges(path) as (read, length):
        members = {
            member.name: Source(path, '', *member)
            for member in shards.tar_members(path, read, length)
            if member.name.lower().endswith(listing.EXTENSIONS) and not listing.is_hidden(member.name)
        }
    if not members:
        raise ValueError(
            f'the tar file {path} holds no image: give one with files that end in {", ".join(listing.EXTENSIONS)}'
        )
    return list(members.values())


@contextlib.contextmanager
def _open_ranges(path: str) -> Iterator[tuple[shards.Read, int]]:
    """Yields (read(offset, size), the length of the file) of a local file or a URL."""
    if remote.is_remote(path):
        with remote.open_ranges(path) as ranges:
            yield ranges
        return
    with open(path, 'rb') as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        yield read, file.seek(0, os.SEEK_END)


def _absolute_path(source: Source) -> str:
    """Returns the path of an image, with the tar file as a folder, or its URL."""
    return source.title if remote.is_remote(source.path) else os.path.abspath(source.title)
