"""What it takes to import a program's libraries in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LIBRARIES = "import jinja2, lightkube, ops; from pydantic import BaseModel, ConfigDict, Field"
"""What every charm imports; pydantic loads its parts when they are asked for."""


def imported(statement: str, path: str = "") -> tuple[float, float]:
    """Return the CPU seconds and the peak of memory in MiB that imports take in a fresh process."""
    # What getrusage tells of memory has that of the process that started it.
    program = (
        f"import json, re, time; t = time.process_time(); {statement}; "
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]; "
        "print(json.dumps([time.process_time() - t, int(peak) / 1024]))"
    )
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    seconds, mebibytes = json.loads(done.stdout)
    return seconds, mebibytes
