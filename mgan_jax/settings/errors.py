"""Errors as users read them."""


def one_sentence(error: Exception) -> str:
    """What went wrong, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}'
    return ' '.join(str(error).split())
