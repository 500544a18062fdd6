"""The tasks for `inv`, in this directory. A project of yours needs the same two lines."""

from deployer.tasks import namespace

__all__ = ["namespace"]
