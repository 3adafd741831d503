"""Keys and passwords that lie in files. What is wrong with one is a `ValueError`, without it."""

from pathlib import Path


def read_key(file: Path) -> str:
    try:
        return _read(file).decode("ascii").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{file} holds no key") from None


def read_password(file: Path) -> str:
    """Its first line, which may begin and end with spaces."""
    try:
        return _read(file).decode("utf-8").partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file} holds no password") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror}") from None


def check_key(key: str) -> None:
    """Clients send keys in a header, which takes neither spaces nor letters beyond ASCII."""
    if not key or not all("!" <= character <= "~" for character in key):
        raise ValueError("a key is one word of printable ASCII characters")
