"""Run manifests: an example with every key, defaults, and errors with the path to the fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.runtime import document, manifest
from envlock.runtime.errors import InputError
from envlock.runtime.manifest import Cpu, Determinism, Hardware, Input, Manifest, Output, SeedingPolicy

EXAMPLE = f"""
envlock: 1
experiment: resnet-baseline
trial: 2
seed: 42
command: [python, train.py, --epochs, "3"]
seeding: {{scheme: uniform, ranks: shared}}
determinism: {{level: strict, trace: ops}}
cpu: {{isa: portable, threads: 8}}
hardware: {{gpu: same, on-mismatch: refuse}}
environment-id: sha256:{"a" * 64}
inputs:  [{{path: data/train.csv, sha256: {"1" * 64}}}, {{path: data/test.csv}}]
outputs: [{{path: out/model.safetensors, compare: tensors}}, {{path: out/metrics.json, compare: json}}]
env: {{WANDB_MODE: off, B: "1.10"}}
"""


def parsed(text: str) -> Manifest:
    return manifest.parse(document.read(text, "run.yaml"), "run.yaml")


def test_every_key_of_the_contract_is_read() -> None:
    assert parsed(EXAMPLE) == Manifest(
        experiment="resnet-baseline",
        trial=2,
        seed=42,
        command=("python", "train.py", "--epochs", "3"),
        seeding=SeedingPolicy(scheme="uniform", ranks="shared"),
        determinism=Determinism(level="strict", trace="ops"),
        cpu=Cpu(isa="portable", threads=8),
        hardware=Hardware(gpu="same", on_mismatch="refuse"),
        environment_id="sha256:" + "a" * 64,
        inputs=(Input("data/train.csv", "1" * 64), Input("data/test.csv")),
        outputs=(Output("out/model.safetensors", "tensors"), Output("out/metrics.json", "json")),
        env=(("B", "1.10"), ("WANDB_MODE", "off")),
    )


def test_a_version_alone_is_a_manifest_of_defaults() -> None:
    assert parsed("envlock: 1") == Manifest()
    assert Manifest().determinism == Determinism(level="warn", trace="none")
    assert Manifest().seeding == SeedingPolicy(scheme="tree", ranks="distinct")


def test_a_bare_word_is_the_determinism_level() -> None:
    assert parsed("envlock: 1\ndeterminism: none").determinism == Determinism(level="none")


def test_a_manifest_survives_its_document() -> None:
    found = parsed(EXAMPLE)
    assert manifest.parse(manifest.to_document(found), "again") == found


@given(seed=st.none() | st.integers(min_value=0, max_value=2**200), trial=st.integers(min_value=0))
def test_any_seed_survives_its_document(seed: int | None, trial: int) -> None:
    found = Manifest(seed=seed, trial=trial, command=("a b",))
    assert manifest.parse(manifest.to_document(found), "again") == found


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("env: {A: 1.10}", "run.yaml: env.A: expected text, found the number 1.10", '"1.10"'),
        ("env: {A: true}", "run.yaml: env.A: expected text, found true", '"true"'),
        ("env: {A: }", "run.yaml: env.A: expected text, found nothing", '""'),
        ("env: {'A=B': c}", "run.yaml: env.A=B", None),
        ("env: []", "run.yaml: env: expected a mapping, found a sequence", None),
        ("command: [python, 3]", "run.yaml: command[1]: expected text, found the number 3", '"3"'),
        ("command: python", "run.yaml: command: expected a sequence, found the text 'python'", None),
        ("outputs: [{path: a, compare: zip}]", "run.yaml: outputs[0].compare: expected bytes", None),
        ("outputs: [{compare: json}]", "missing key: run.yaml: outputs[0].path", None),
        ("outputs: [a]", "run.yaml: outputs[0]: expected a mapping", None),
        ("outputs: [{path: ../a}]", "run.yaml: outputs[0].path", None),
        ("inputs: [{path: a, sha256: abc}]", "run.yaml: inputs[0].sha256: expected 64", None),
        (f"inputs: [{{path: a, sha256: {'A' * 64}}}]", "run.yaml: inputs[0].sha256: expected 64", None),
        (f"environment-id: {'a' * 64}", "run.yaml: environment-id: expected sha256:<64", None),
        (f"environment-id: sha256:{'a' * 63}", "run.yaml: environment-id: expected sha256:<64", None),
        ("inputs: [{path: a, size: 1}]", "unknown key: run.yaml: inputs[0].size", "known here: path, sha256"),
        ("seeds: 42", "unknown key: run.yaml: seeds", "seeding"),
        ("seed: -1", "run.yaml: seed: expected an integer of at least 0, found the number -1", None),
        ("seed: 1.5", "run.yaml: seed", None),
        ("seed: true", "run.yaml: seed", None),
        ("seed: x", "run.yaml: seed", None),
        ("trial: -1", "run.yaml: trial", None),
        ("experiment: a/", "run.yaml: experiment: expected a name", None),
        ("experiment: 3", "run.yaml: experiment: expected text, found the number 3", '"3"'),
        ("determinism: on", "run.yaml: determinism: expected none | warn | strict", None),
        ("determinism: {level: on}", "run.yaml: determinism.level", None),
        ("cpu: {isa: avx2}", "run.yaml: cpu.isa: expected portable | native", None),
        ("cpu: {threads: 0}", "run.yaml: cpu.threads: expected an integer of at least 1", None),
        ("environment-id: abc", "run.yaml: environment-id", None),
        ("hardware: {on_mismatch: warn}", "unknown key: run.yaml: hardware.on_mismatch", "on-mismatch"),
    ],
)
def test_faults_name_file_and_key(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parsed(f"envlock: 1\n{line}")
    assert message in str(caught.value)
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize("text", ["{}", "envlock: 2", "envlock: true", "envlock: '1'"])
def test_other_versions_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"unknown version: run\.yaml: envlock: expected 1"):
        parsed(text)


@pytest.mark.parametrize("text", ["", "- a", "text"])
def test_a_manifest_is_a_mapping(text: str) -> None:
    with pytest.raises(InputError, match=r"run\.yaml: expected a mapping"):
        parsed(text)
