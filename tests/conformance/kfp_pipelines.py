"""Pipelines as data scientists write them; run by the real SDK, in an environment of its own.

    python kfp_pipelines.py FOLDER

writes `<name>.yaml` for each into the folder. Nothing here is imported by the tests.
"""
# pyright: reportMissingImports=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportFunctionMemberAccess=false

import sys
from pathlib import Path

from kfp import compiler, dsl, kubernetes


@dsl.component(base_image="python:3.12")
def add(a: float, b: float) -> float:
    return a + b


@dsl.component(base_image="python:3.12")
def numbers() -> list:
    return [1, 2, 3]


@dsl.component(base_image="python:3.12")
def train(data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model], epochs: int = 1):
    Path(model.path).write_text(f"{data.uri} {epochs}")


@dsl.component(base_image="python:3.12")
def make(data: dsl.Output[dsl.Dataset]):
    Path(data.path).write_text("data")


@dsl.component(base_image="python:3.12")
def tell(text: str):
    print(text)


@dsl.container_component
def shell(text: str):
    return dsl.ContainerSpec(image="busybox:1.36", command=["echo"], args=[text])


@dsl.pipeline
def one_container(text: str = "hello"):
    shell(text=text)


@dsl.pipeline
def chained(a: float = 1.0):
    first = add(a=a, b=1.0)
    add(a=first.output, b=2.0)


@dsl.pipeline
def looped():
    with dsl.ParallelFor(items=[1.0, 2.0, 3.0], parallelism=2) as item:
        add(a=item, b=1.0)


@dsl.pipeline
def looped_over_an_output():
    with dsl.ParallelFor(items=numbers().output) as item:
        first = add(a=item, b=1.0)
        add(a=first.output, b=1.0)


@dsl.pipeline
def conditional(a: float = 1.0):
    total = add(a=a, b=1.0)
    with dsl.If(total.output > 3.0):
        tell(text="much")
    with dsl.Elif(total.output > 1.0):
        tell(text="some")
    with dsl.Else():
        tell(text="little")


@dsl.pipeline
def imported():
    data = dsl.importer(artifact_uri="s3://bucket/data", artifact_class=dsl.Dataset, reimport=False)
    train(data=data.output)


@dsl.pipeline
def on_gpus():
    step = train(data=make().outputs["data"])
    step.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_memory_limit("8G").set_cpu_limit(
        "2"
    )


@dsl.pipeline
def on_a_volume():
    step = tell(text="x")
    kubernetes.mount_pvc(step, pvc_name="team-data", mount_path="/data")
    kubernetes.use_secret_as_env(step, secret_name="token", secret_key_to_env={"token": "TOKEN"})
    kubernetes.use_secret_as_volume(step, secret_name="token", mount_path="/token")


@dsl.pipeline
def retried():
    add(a=1.0, b=1.0).set_retry(num_retries=3, backoff_duration="5s", backoff_factor=2.0)


@dsl.pipeline
def with_exit_handler():
    bye = tell(text="bye")
    with dsl.ExitHandler(bye):
        add(a=1.0, b=1.0)


@dsl.pipeline
def inner(a: float) -> float:
    return add(a=a, b=1.0).output


@dsl.pipeline
def nested():
    first = inner(a=1.0)
    add(a=first.output, b=1.0).set_caching_options(False)


@dsl.pipeline
def placed():
    step = tell(text="x")
    kubernetes.add_node_selector(step, label_key="kubernetes.io/os", label_value="linux")
    kubernetes.add_toleration(step, key="team", operator="Equal", value="a", effect="NoSchedule")
    kubernetes.add_pod_label(step, label_key="team", label_value="a")
    kubernetes.add_pod_annotation(step, annotation_key="note", annotation_value="b")


ALL = (
    one_container,
    chained,
    looped,
    looped_over_an_output,
    conditional,
    imported,
    on_gpus,
    on_a_volume,
    retried,
    with_exit_handler,
    nested,
    placed,
)

if __name__ == "__main__":
    for pipeline in ALL:
        path = Path(sys.argv[1]) / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, package_path=str(path))
        print(path.stem, flush=True)
