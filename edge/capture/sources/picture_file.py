"""Opens a picture file in a folder that other programs write."""

from edge.core.errors import PictureError
from edge.core.image import EncodedPicture, examine_picture
from edge.core.regular_file import read_regular


def open_picture_file(path: str) -> EncodedPicture:
    """Reads a file and checks its header. Raises PictureError when it is no regular file, cannot be
    read, or must not be judged."""
    try:
        data = read_regular(path)
    except OSError as error:
        raise PictureError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    return examine_picture(data, path)
