"""The only package that touches files being written, processes, the network and the clock."""
