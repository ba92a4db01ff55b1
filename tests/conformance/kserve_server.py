"""A server of scikit-learn models, and a transformer before one, on KServe's own library.

    python kserve_server.py --model_name NAME --http_port PORT --model_dir FOLDER
    python kserve_server.py --model_name NAME --http_port PORT --predictor_host HOST

KServe's sklearnserver is not on PyPI. This takes the same arguments: those of KServe's library and the model's
folder (kserve v0.16.0, python/kserve/kserve/model_server.py, python/sklearnserver/sklearnserver/__main__.py). The
transformer makes centimetres of millimetres. Nothing here is imported by the tests.
"""
# pyright: reportMissingImports=false

import argparse
from pathlib import Path
from typing import Any

import joblib
from kserve import InferRequest, Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class Predictor(Model):
    """Answers by a model in a folder, as v1 and as v2."""

    def __init__(self, name: str, folder: str):
        super().__init__(name)
        self._folder = Path(folder)

    def load(self) -> bool:
        """Read the model, which is the folder's only one."""
        (path,) = self._folder.glob("*.joblib")
        self._model = joblib.load(path)
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answer a request."""
        return get_predict_response(payload, self._model.predict(get_predict_input(payload)), self.name)


class Transformer(Model):
    """Asks the predictor, by the protocol that it was told."""

    def preprocess(self, payload: Any, headers: Any = None) -> Any:
        """Make centimetres of millimetres."""
        if isinstance(payload, InferRequest):
            for each in payload.inputs:
                each.set_data_from_numpy(each.as_numpy() / 10, binary_data=False)
            return payload
        return {"instances": [[value / 10 for value in row] for row in payload["instances"]]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir")
    said = parser.parse_args()
    model = Predictor(said.model_name, said.model_dir) if said.model_dir else Transformer(said.model_name)
    model.load()
    ModelServer().start([model])
