"""The program that `watcher.py` starts: `python -P .../watch/__main__.py STATE`.

It imports only this folder: the `__init__` of the package would load the modules of hooks, which take 25 MiB.
"""

import sys
import types
from pathlib import Path

package = types.ModuleType("kubeflow_charm")
package.__path__ = [str(Path(__file__).parents[1])]
sys.modules["kubeflow_charm"] = package

from kubeflow_charm.watch import process  # noqa: E402

if __name__ == "__main__":
    process.launch(Path(sys.argv[1]))
