"""Registries of images, by the OCI distribution-spec 1.1, without a daemon."""
