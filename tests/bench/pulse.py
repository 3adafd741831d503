"""A client of its own process, whom no other client keeps: how soon /health/live answers.

Prints a JSON list of milliseconds; -1 where there was no answer.
"""

import json
import sys
import time

import httpx

EVERY_S = 0.1


def main(url: str, seconds: float) -> None:
    found = []
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            try:
                http.get("/health/live").raise_for_status()
                found.append((time.perf_counter() - begun) * 1_000)
            except httpx.HTTPError:
                found.append(-1.0)
            time.sleep(EVERY_S)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
