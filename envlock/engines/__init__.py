"""Where images run: embedded in Linux namespaces, in Docker, in podman; and where bases come from."""
