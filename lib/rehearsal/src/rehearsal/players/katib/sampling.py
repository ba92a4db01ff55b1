"""What an algorithm's service answers: values for the parameters of further trials.

Its own search is not played: all but `grid` and the network searches draw from the feasible space, and draw
the same for the same experiment. What they refuse is: kubeflow/katib v0.19.0, pkg/suggestion/v1beta1,
optuna/service.py, internal/search_space.py and hyperopt/service.py, and nas/{enas,darts}/service.py.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from rehearsal.players.kinds import Object

_SETTINGS = {
    "random": {"random_state"},
    "grid": {"random_state"},
    "tpe": {"gamma", "prior_weight", "n_EI_candidates", "random_state"},
    "multivariate-tpe": {"n_startup_trials", "n_ei_candidates", "random_state"},
}
_NAMES = {
    "enas": ("architecture", "nn_config"),
    "darts": ("algorithm-settings", "search-space", "num-layers"),
}


def refused(experiment: Object) -> str:
    """Return why an algorithm's service would not search for an experiment."""
    spec = experiment["spec"]
    algorithm, parameters = spec["algorithm"]["algorithmName"], spec.get("parameters") or ()
    for each in spec["algorithm"].get("algorithmSettings") or ():
        if algorithm in _SETTINGS and each["name"] not in _SETTINGS[algorithm]:
            return f"unknown setting {each['name']} for algorithm {algorithm}"
    if algorithm == "cmaes" and sum(each["parameterType"] in ("int", "double") for each in parameters) < 2:
        return "cmaes only supports two or more dimensional continuous search space."
    if algorithm != "grid":
        return ""
    try:
        combinations = math.prod(len(list(_steps(each))) for each in parameters)
    except ValueError as error:
        return f"failed to validate parameters: {error}"
    limit = spec.get("maxTrialCount") or 0
    if limit > combinations:
        return f"Max Trial Count: {limit} > all possible search combinations: {combinations}"
    return ""


def assignments(experiment: Object, first: int, count: int) -> list[list[Object]]:
    """Return the parameters of so many trials, of which the first has a number.

    Raises:
        ValueError: for bounds that are no numbers; the service itself fails in these words of Python's
            (hyperopt/base_service.py), and Katib asks again.
    """
    spec = experiment["spec"]
    algorithm, parameters = spec["algorithm"]["algorithmName"], spec.get("parameters") or []
    if algorithm in _NAMES:
        values = {
            "num-layers": str(((spec.get("nasConfig") or {}).get("graphConfig") or {}).get("numLayers", 1))
        }
        one = [{"name": name, "value": values.get(name, "{}")} for name in _NAMES[algorithm]]
        return [one] * count
    if algorithm == "grid":
        every = itertools.product(*([*_steps(each)] for each in parameters))
        drawn = [*itertools.islice(every, first, first + count)]
    else:
        drawn = [
            tuple(_drawn(experiment, each, at) for each in parameters) for at in range(first, first + count)
        ]
    names = [each["name"] for each in parameters]
    return [
        [{"name": name, "value": value} for name, value in zip(names, values, strict=True)]
        for values in drawn
    ]


def _steps(parameter: Object) -> Iterator[str]:
    """Yield the values of a grid; raises ValueError if there is none."""
    name, kind, space = parameter["name"], parameter["parameterType"], parameter.get("feasibleSpace") or {}
    if kind in ("categorical", "discrete"):
        yield from space.get("list") or ()
        return
    step = space.get("step") or ("1" if kind == "int" else "")
    if not step:
        problem = "step is nil; For discrete search space, all parameters must include step"
        raise ValueError(f"Param {name} {problem}")
    try:
        value, last, by = Decimal(space["min"]), Decimal(space["max"]), Decimal(step)
    except InvalidOperation:
        raise ValueError(f"could not convert the bounds of {name} to numbers") from None
    while by > 0 and value <= last:
        yield str(value)
        value += by


def _drawn(experiment: Object, parameter: Object, at: int) -> str:
    seed = f"{experiment['metadata']['uid']} {parameter['name']} {at}"
    source = random.Random(seed)  # noqa: S311 (nothing secret: the same for the same trial)
    space = parameter.get("feasibleSpace") or {}
    if parameter["parameterType"] in ("categorical", "discrete"):
        return source.choice(space["list"])
    low, high = float(space.get("min") or ""), float(space.get("max") or "")
    if parameter["parameterType"] == "int":
        return str(source.randint(int(low), int(high)))
    if space.get("distribution") == "logUniform" and low > 0:
        return repr(math.exp(source.uniform(math.log(low), math.log(high))))
    return repr(source.uniform(low, high))
