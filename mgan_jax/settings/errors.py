"""Errors as one sentence."""


def one_sentence(error: Exception) -> str:
    """The message of an exception on one line; for system errors the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}'
    return ' '.join(str(error).split())
