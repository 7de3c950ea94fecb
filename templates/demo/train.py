"""Train a small classifier. Note what is not here: no seed, no random_state, no framework switch."""

import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

rows = np.random.normal(size=(400, 10))
labels = (rows[:, 0] + 0.5 * np.random.default_rng().normal(size=400) > 0).astype(int)
train_rows, test_rows, train_labels, test_labels = train_test_split(rows, labels)
forest = RandomForestClassifier(n_estimators=50).fit(train_rows, train_labels)

accuracy = forest.score(test_rows, test_labels)
np.save("out/probabilities.npy", forest.predict_proba(test_rows))
Path("out/metrics.json").write_text(json.dumps({"accuracy": accuracy}) + "\n")
print(f"accuracy {accuracy:.2f}")
