"""Exported files in a process that does not have this library: they give what the model gives."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tf_keras as keras

from robust_sparse_tf import export, sparsity

layers = keras.layers

PROGRAM = """
import os, sys
sys.modules["robust_sparse_tf"] = None  # as if it was not installed: every import fails
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import json
import keras, numpy as np, onnxruntime, tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

folder = sys.argv[1]
stored = np.load(f"{folder}/outputs.npz")
pixels, logits = stored["pixels"], stored["logits"]
images = pixels / np.float32(255)
chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
found = {}

signatures = tf.saved_model.load(f"{folder}/saved_model").signatures
for name in ("serving_default", "probabilities", "uint8_logits", "uint8_probabilities"):
    given = tf.constant(pixels if "uint8" in name else images)
    (outputs,) = signatures[name](images=given).values()
    found[name] = np.abs(outputs - (chances if "probabilities" in name else logits)).max()

model = keras.saving.load_model(f"{folder}/model.keras")
found["keras3"] = np.abs(model.predict(images, verbose=0) - logits).max()

session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
found["onnx"] = np.abs(session.run(["logits"], {"images": images})[0] - logits).max()

interpreter = Interpreter(f"{folder}/model.tflite")
(entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
interpreter.resize_tensor_input(entry["index"], images.shape)
interpreter.allocate_tensors()
interpreter.set_tensor(entry["index"], images)
interpreter.invoke()
found["tflite"] = np.abs(interpreter.get_tensor(exit_["index"]) - logits).max()

try:
    import robust_sparse_tf
except ImportError:
    found["the library is not there"] = 0.0
names = open(f"{folder}/saved_model/assets.extra/class_names.txt").read().split()
print(json.dumps([names, {name: float(value) for name, value in found.items()}]))
"""


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    return sparsity.sparsify(made, sparsity.Magnitude(density=0.2))


def test_files_need_nothing_of_this_library(model, tmp_path):
    folder = str(tmp_path)
    names = ["one", "two", "three"]
    export.to_saved_model(model, f"{folder}/saved_model", class_names=names)
    export.to_keras3(model, f"{folder}/model.keras")
    export.to_onnx(model, f"{folder}/model.onnx")
    export.to_tflite(model, f"{folder}/model.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    logits = model(pixels / np.float32(255)).numpy()
    np.savez(f"{folder}/outputs.npz", pixels=pixels, logits=logits)
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, folder],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found_names, differences = json.loads(done.stdout.splitlines()[-1])
    assert found_names == names and len(differences) == 8
    assert max(differences.values()) < 1e-5, differences
