"""What travels in the image: standard library only, Python 3.8 and newer.

Nothing in this package imports anything outside it but the standard library, so that the command
line and the container share one manifest, one seed tree and one record type.
"""
