"""What an earlier lock knows of a part that a capture found unchanged. Pure.

An image's files don't tell how its packages came into the environment that it was built from, nor who
built its interpreter. The lock that it was built from does, of each part whose content is the same; of
any other it says nothing.
"""

from dataclasses import replace

from envlock.lock.model import Lock, Package, Python, SystemPackage


def adopted(lock: Lock, earlier: Lock) -> Lock:
    """Return ``lock`` with the entries of ``earlier`` for what is the same in both, and their gaps."""
    packages = {_content(one): one for one in earlier.packages}
    # Who needs whom is a fact of all packages, and some may have come or gone.
    system = {_identity(one): one for one in earlier.system_packages}
    same_packages = {one.name for one in lock.packages if _content(one) in packages}
    same_system = {one.name for one in lock.system_packages if _identity(one) in system}
    told = {gap for gap in earlier.gaps if gap.subject in same_packages | same_system}
    return replace(
        lock,
        python=_python(lock.python, earlier.python),
        packages=tuple(
            replace(packages.get(_content(one), one), dependencies=one.dependencies) for one in lock.packages
        ),
        system_packages=tuple(system.get(_identity(one), one) for one in lock.system_packages),
        gaps=tuple(sorted({*lock.gaps, *told})),
    )


def _content(package: Package) -> tuple[str, str, str, str]:
    return package.name, package.version, package.wheel.name, package.wheel.sha256.hex


def _identity(package: SystemPackage) -> tuple[str, str, str, str]:
    return package.name, package.version, package.architecture, package.manager


def _python(python: Python, earlier: Python) -> Python:
    """Return the interpreter. In an image all stand in one place, whoever installed them."""
    return (
        earlier
        if replace(python, prefix_kind=earlier.prefix_kind, extra=earlier.extra) == earlier
        else python
    )
