"""A lock in the forms of other tools: each module turns a Lock into the bytes of one form, purely."""
