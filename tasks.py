"""The tasks for `inv`, in this directory. A project of yours needs the same two lines."""

from deployer.inv import namespace

__all__ = ["namespace"]
