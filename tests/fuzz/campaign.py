"""So many requests against one server, and what they have shown."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.server import MODEL_NAME, asked
from tests.processes import Child, errata

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SEED = 1
# What the document's examples and bounds make, whatever else is asked for.
FIXED = 2_000
# Of the routes, so many take enough for as many different requests as one asks for.
ROUTES = 16


@dataclass(frozen=True)
class Outcome:
    code: int  # of Schemathesis: 0 where each answer was as the document has it
    report: dict[str, Any]  # Schemathesis's own
    output: str  # of Schemathesis; empty where it was shown meanwhile
    answers: Counter[tuple[str, int]]  # by route and status, as the server counts them
    faults: list[str]  # of the server, afterwards

    @property
    def cases(self) -> int:
        return int(self.report["test_cases"]["generated"])


def run(cases: int, *, shown: bool) -> Outcome:
    """Makes at least so many cases; with `shown`, tells of them on the terminal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with asked(folder) as (child, model):
            document = folder / "openapi.json"
            document.write_bytes(child.http.get("/openapi.json").raise_for_status().content)
            report = folder / "report.json"
            ran = subprocess.run(
                _command(document, child.url, report, cases),
                env={**os.environ, MODEL_NAME: model},
                stdout=None if shown else subprocess.PIPE,
                stderr=None if shown else subprocess.STDOUT,
                check=False,
            )
            faults = _faults(child)
            child.kill()
            settings = {"ERRATA_DATA_DIR": str(child.folder), "ERRATA_MODEL": model}
            verified = errata("log", "verify", **settings)
            if verified.exit_code != 0:
                faults.append(f"the log does not verify: {verified.output}")
            return Outcome(
                ran.returncode,
                json.loads(report.read_text()) if report.exists() else {},
                (ran.stdout or b"").decode(),
                _answers(child.errors),
                faults,
            )


def _command(document: Path, url: str, report: Path, cases: int) -> list[str]:
    return [
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", str(document)),
        *("--url", url, "--seed", str(SEED), "--max-examples", str(_examples(cases))),
        *("--report", "json", "--report-json-path", str(report)),
    ]


def _examples(cases: int) -> int:
    """Of each operation, beyond what is fixed."""
    return max(5, (cases - FIXED) // ROUTES)


def _faults(child: Child) -> list[str]:
    faults = []
    ready = child.http.get("/health/ready")
    if ready.status_code != 200:
        faults.append(f"the server is not ready: {ready.text}")
    log = child.errors.read_text()
    if "Traceback" in log or '"level": "error"' in log:
        faults += [line for line in log.splitlines() if '"level": "error"' in line][:3]
        faults.append("the server's log holds errors")
    return faults


def _answers(log: Path) -> Counter[tuple[str, int]]:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return Counter(
        (f"{line['method']} {line['route']}", line["status"])
        for line in lines
        if line.get("event") == "request"
    )
