"""From a Lock to an OCI image: a pure plan, wheel layers by splicing, the base, bytecode, the assembly."""
