"""The shared library that has MKL compute alike on every maker's CPU (docs/adr/0027-portable-mkl.md).

It defines two functions by which MKL asks what CPU it stands on, and each is one constant:
``mkl_serv_intel_cpu_true`` says 1, so that MKL_CBWR=AVX2 is honoured on AMD's CPUs too, and
``mkl_vml_serv_cpu_detect`` says 1, the vector functions' SSE4.2 kernels: the only ones that start from
no reciprocal estimate of the hardware, which is another on each maker's CPU. Nothing of MKL is changed:
the dynamic linker finds these first. Whether it did is in ``envlock_mkl_asked``, a byte for each function
that is 1 once it was called; it is written once, as threads that write to one place wait for each other.

Written here as ELF (System V gABI and its x86-64 supplement), as no compiler takes part in a build.
"""

import struct

_FUNCTIONS = (b"mkl_serv_intel_cpu_true", b"mkl_vml_serv_cpu_detect")
_ASKED = b"envlock_mkl_asked"
_ANSWER_BYTES = 22

_PAGE = 0x1000
_HEADER_BYTES, _PROGRAM_HEADER_BYTES, _SYMBOL_BYTES = 64, 56, 24
_LITTLE_64 = b"\x7fELF\x02\x01\x01" + bytes(9)
_SHARED, _X86_64 = 3, 62
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_EXECUTE, _WRITE, _READ = 1, 2, 4
_GLOBAL_FUNCTION, _GLOBAL_OBJECT = 0x12, 0x11
_DYNAMIC_BYTES = 12 * 8
_HASH, _STRINGS, _SYMBOLS, _STRINGS_BYTES, _ONE_SYMBOL_BYTES = 4, 5, 6, 10, 11


def library() -> bytes:
    """Return the library's bytes, the same everywhere.

    One read-only piece, then the dynamic section and the bytes of ``envlock_mkl_asked``, a page further in
    memory because they are written to.
    """
    names = b"\0" + b"".join(name + b"\0" for name in (*_FUNCTIONS, _ASKED))
    count = len(_FUNCTIONS) + 2
    hashes_at = _HEADER_BYTES + 4 * _PROGRAM_HEADER_BYTES
    hashes = _hashes(count)
    symbols_at = hashes_at + len(hashes)
    names_at = symbols_at + count * _SYMBOL_BYTES
    code_at = names_at + len(names)
    code_bytes = _ANSWER_BYTES * len(_FUNCTIONS)
    dynamic_at = -(-(code_at + code_bytes) // 8) * 8
    asked_at = dynamic_at + _PAGE + _DYNAMIC_BYTES
    symbols, code = bytes(_SYMBOL_BYTES), b""
    for number, name in enumerate(_FUNCTIONS):
        place = code_at + len(code)
        symbols += _symbol(names.index(name), _GLOBAL_FUNCTION, place, _ANSWER_BYTES)
        code += _answer(asked_at + number - place)
    symbols += _symbol(names.index(_ASKED), _GLOBAL_OBJECT, asked_at, len(_FUNCTIONS))
    head = hashes + symbols + names + code
    padding = dynamic_at - hashes_at - len(head)
    dynamic = struct.pack(
        "<12Q",
        *(_HASH, hashes_at, _STRINGS, names_at, _SYMBOLS, symbols_at),
        *(_STRINGS_BYTES, len(names), _ONE_SYMBOL_BYTES, _SYMBOL_BYTES, 0, 0),
    )
    headers = (
        _program_header(_LOAD, _READ | _EXECUTE, 0, 0, dynamic_at, _PAGE)
        + _program_header(_LOAD, _READ | _WRITE, dynamic_at, _PAGE, len(dynamic) + len(_FUNCTIONS), _PAGE)
        + _program_header(_DYNAMIC, _READ | _WRITE, dynamic_at, _PAGE, len(dynamic), 8)
        + _program_header(_STACK, _READ | _WRITE, 0, 0, 0, 16)
    )
    return _header() + headers + head + bytes(padding) + dynamic + bytes(len(_FUNCTIONS))


def _answer(asked: int) -> bytes:
    """Return a function that writes 1 to the byte ``asked`` further, where it is not yet, and returns 1."""
    # Distances count from the end of their instruction, an operand of one byte included.
    return struct.pack(
        "<2siB 2B 2siB Bi B",
        *(b"\x80\x3d", asked - 7, 0),  # cmp byte [asked], 0
        *(0x75, 7),  # jne over the next
        *(b"\xc6\x05", asked - 16, 1),  # mov byte [asked], 1
        *(0xB8, 1),  # mov eax, 1
        0xC3,  # ret
    )


def _symbol(name: int, kind: int, place: int, size: int) -> bytes:
    return struct.pack("<IBBHQQ", name, kind, 0, 1, place, size)


def _header() -> bytes:
    return _LITTLE_64 + struct.pack(
        "<HHIQQQIHHHHHH",
        *(_SHARED, _X86_64, 1, 0, _HEADER_BYTES, 0, 0),
        *(_HEADER_BYTES, _PROGRAM_HEADER_BYTES, 4, 0, 0, 0),
    )


def _program_header(kind: int, flags: int, offset: int, further: int, size: int, alignment: int) -> bytes:
    address = offset + further
    return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, alignment)


def _hashes(count: int) -> bytes:
    """Return a table of one bucket, whose chain is all symbols in their order."""
    chain = (0, *range(2, count), 0)
    return struct.pack(f"<III{count}I", 1, count, 1, *chain)
