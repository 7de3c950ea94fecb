"""NumPy, SciPy and scikit-learn that seed nothing; prints the hash of each result, as JSON."""

import hashlib
import json
from typing import Any

import numpy as np
import scipy.linalg
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC


def results() -> dict[str, Any]:
    square = np.random.default_rng().standard_normal((97, 97))
    single = square.astype(np.float32)
    long = np.random.default_rng().standard_normal((33, 1501))
    rows, labels = square[:, :7], (square[:, 8] > 0).astype(int)
    return {
        "matmul": square @ square,
        "matmul.float32": single @ single,
        "matmul.long": long @ (long + 1).T,
        "matmul.long.float32": long.astype(np.float32) @ (long + 1).astype(np.float32).T,
        "svd": np.linalg.svd(square)[1],
        "eigh": np.linalg.eigh(square + square.T)[0],
        "solve": np.linalg.solve(square, square[0]),
        "lstsq": scipy.linalg.lstsq(square, square[1])[0],
        "exp": np.exp(single),
        "log": np.log(np.abs(square)),
        "tanh": np.tanh(single),
        "sum": np.array([single.sum(), square.sum()]),
        "ties": np.argsort(np.random.randint(0, 7, 1001)),
        "fft": np.fft.fft(square),
        "kmeans": KMeans(3).fit(rows).cluster_centers_,
        "pca": PCA(3).fit_transform(rows),
        "logistic": LogisticRegression().fit(rows, labels).coef_,
        "svc": SVC().fit(rows, labels).decision_function(rows),
        "forest": RandomForestClassifier(5).fit(rows, labels).predict_proba(rows),
        "mlp": MLPClassifier((8,), max_iter=5).fit(rows, labels).coefs_[0],
    }


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    found = {
        name: hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest()
        for name, one in results().items()
    }
    print(json.dumps(found))
