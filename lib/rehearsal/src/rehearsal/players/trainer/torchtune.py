"""How a TrainJob that says `tune run` is trained by torchtune: recipe, configuration, and what is refused.

kubeflow/trainer v2.1.0, pkg/runtime/framework/plugins/torch/torchtune.go and pkg/constants/constants.go. What
may surprise there, and so here: the model is read from the runtime's name, and nothing is checked of a
TrainJob that says no `numProcPerNode`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rehearsal.players import answers
from rehearsal.players.kinds import Object

ENTRYPOINT = ["tune", "run"]
_KEPT = ("output_dir", "tokenizer.path", "tokenizer.merges_file", "checkpointer.checkpoint_dir")
_SEVERAL_NODES = "llama3_3/70B"
_MODELS = ("llama3_2/1B", "llama3_2/3B", _SEVERAL_NODES, "qwen2_5/1.5B")


def kept(command: Sequence[str]) -> list[str]:
    """Return the words of a runtime's command that stay, whatever a TrainJob says."""
    return [word for word in command if word.partition("=")[0] in _KEPT]


def command(job: Object, nodes: int, processes: object, gpus: int, address: str) -> list[str]:
    """Return what follows `tune run`, but for the words that are kept.

    Args:
        job: the TrainJob.
        nodes: how many.
        processes: of a node; a number, `auto`, `gpu` or `cpu`.
        gpus: of a node.
        address: by which the nodes find each other.
    """
    several = nodes > 1 or (processes > 1 if isinstance(processes, int) else gpus > 1)
    recipe, config = _recipe(job, nodes, processes, gpus)
    return [*([f"--rdzv_endpoint={address}"] if several else []), recipe, "--config", config]


def problems(job: Object, gpus: int) -> Iterator[str]:
    """Yield what is wrong with a TrainJob that says how many processes a node has.

    Raises:
        answers.Denied: if it does not say how many nodes there are, for Trainer fails then.
    """
    trainer, name = job["spec"]["trainer"], job["spec"]["runtimeRef"]["name"]
    model, processes = _model(name), trainer["numProcPerNode"]
    if model not in _MODELS:
        problem = f"must have a supported pretrained model, invalid model configured: {model}"
        yield answers.invalid("spec.runtimeRef.name", name, problem)
    nodes = trainer.get("numNodes")
    if nodes is None:
        panic = "runtime error: invalid memory address or nil pointer dereference [recovered]"
        raise answers.Denied(f"panic: {panic}", 500)
    if nodes > 1 and model != _SEVERAL_NODES:
        yield answers.invalid("spec.trainer.numNodes", nodes, f"must be 1 for {model} model")
    _, config = _recipe(job, nodes, processes, gpus)
    if "_qlora" not in config:
        return
    if model == "qwen2_5/1.5B":
        yield answers.invalid("spec.runtimeRef.name", name, f"QLoRA is not supported for {model} model")
    if "_qlora_single_device" not in config and model in ("llama3_2/1B", "llama3_2/3B"):
        when = f"for {model} model when using QLoRA"
        yield answers.invalid("spec.trainer.numProcPerNode", processes, f"must be auto or 1 {when}")
        asked = trainer.get("resourcesPerNode")
        yield answers.invalid(
            "spec.trainer.resourcesPerNode", asked, f"must have gpu resource with value 1 {when}"
        )


def _recipe(job: Object, nodes: int, processes: object, gpus: int) -> tuple[str, str]:
    """Return the names of recipe and configuration."""
    arguments = job["spec"]["trainer"].get("args") or []

    def says(option: str) -> bool:
        return any(option in each for each in arguments)

    quantized = says("model.quantize_base") and not says("model.use_dora")
    adapts = quantized or says("model.lora_attn_modules")
    device = "single_device" if processes == 1 or gpus == 1 else "distributed"
    if nodes > 1:
        recipe, suffix = "full_finetune_distributed", "_full_multinode"
    else:
        recipe = f"{'lora' if adapts else 'full'}_finetune_{device}"
        suffix = f"_{'qlora' if quantized else 'lora' if adapts else 'full'}"
        suffix += "_single_device" if device == "single_device" else ""
    return recipe, _model(job["spec"]["runtimeRef"]["name"]) + suffix


def _model(runtime: str) -> str:
    parts = runtime.split("-")
    return f"{parts[1].replace('.', '_')}/{parts[2].upper()}" if len(parts) == 3 else ""
