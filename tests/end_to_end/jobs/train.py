"""A job without a single seeding call: numpy, scikit-learn and the standard library."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

rows = np.random.normal(size=(300, 8))
labels = (rows[:, 0] + np.random.default_rng().normal(size=300) > 0).astype(int)
forest = RandomForestClassifier(n_estimators=20).fit(rows, labels)
drawn = np.append(forest.predict_proba(rows).ravel(), random.random())

np.save("out/drawn.npy", drawn)
Path("out/metrics.json").write_text(json.dumps({"accuracy": forest.score(rows, labels)}) + "\n")
print("weights", hashlib.sha256(drawn.tobytes()).hexdigest())
