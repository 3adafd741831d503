#!/usr/bin/env python3
"""Exit code 0 if the server in this container answers."""

import http.client
import os
import sys

port = int(os.environ.get("ERRATA_PORT") or 8000)
server = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
try:
    server.request("GET", "/health/live")
    answer = server.getresponse()
except OSError as error:
    sys.exit(f"port {port}: {error}")
if answer.status != http.HTTPStatus.OK:
    sys.exit(f"/health/live: {answer.status} {answer.reason}")
