"""World `lab.orchard`, registered when this package is imported."""

from lab_orchard.world import Orchard

__all__ = ["Orchard"]
