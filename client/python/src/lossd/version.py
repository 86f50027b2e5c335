"""The version of everything here: packaging and CMake read it, too."""

__version__ = "0.1.0"
