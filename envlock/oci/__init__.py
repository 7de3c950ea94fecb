"""OCI image-spec 1.1 values, layers, layouts and archives. Knows nothing of Python packages."""
