"""`errata`, every connection, look-up of a name and program of which is a line of the file that the
first argument names.
"""

import os
import sys
from typing import Any

WATCHED = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostby",
    "socket.send",  # of datagrams
    "urllib.Request",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
)


def watch(file: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(WATCHED):
            os.write(descriptor, f"{event} {arguments!r}\n".encode())

    sys.addaudithook(note)


if __name__ == "__main__":
    watch(sys.argv.pop(1))
    from service.cli import main

    main()
