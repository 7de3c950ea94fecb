"""What is inside two outputs whose bytes differ: which tensors or keys, how many elements, how far apart.

Names stand in the file's own order, so the first that differs is where two results first part.
"""
