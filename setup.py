"""The one step of the build that pyproject.toml cannot say: a .pth file beside the packages."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithStart(build_py):
    """Build the packages, and put powerseek.pth where Python reads it when it starts."""

    def run(self) -> None:
        """Build."""
        super().run()
        editable = self.get_finalized_command("install").install_lib if self.editable_mode else ""
        self.copy_file("src/powerseek.pth", editable or self.build_lib)


setup(cmdclass={"build_py": BuildWithStart})
