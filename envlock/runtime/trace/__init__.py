"""What a run computes, tensor by tensor: ``determinism: {trace: steps | modules | ops}`` (docs/trace.md).

Each process of the job writes a digest of each tensor, in the order in which they come, to a file of its
own; ``compare`` finds where two runs part first. Without a trace, a process that imports Keras loads one
small file of this, and no other loads any.
"""
